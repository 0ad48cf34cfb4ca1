"""Worker processes that are forked, beside spawned ones: seconds until they are ready, memory, and ends by force.

1. Two workers of each kind at a time train a trial of one epoch on MNIST; kinds take turns.
2. A fork server starts many workers, each of which computes with TensorFlow, while other processes keep the cores busy.
3. Whole sweeps whose processes are killed or interrupted: their exit codes, and the processes that are left.

    MNIST_DATA=FOLDER python benchmarks/workers.py [--forks 300] [--turns 3] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from common import machine, whole_mnist

from experiments.tracking.artifacts import save_model
from search.executors.processes import ProcessStarter, exit_with_parent
from search.spec import DataSpec
from search.spec_file import parse_spec
from search.worker import WorkerContext, WorkerRuntime, run_trial

SPEC = parse_spec('name = "workers"\ntrials = 1\n[training]\nepochs = 1\n[space]\nhidden_size = [64, 128]')
SWEEP_ARGUMENTS = ("sweep", "quick", "--workers", "2", "--no-report", "--set", "training.epochs=12")
PATIENCE_SECONDS = 300.0
LEFT_SECONDS = 15.0
"""Time that processes have to notice the end of their driver."""


@dataclass(frozen=True)
class WorkerCost:
    """One worker: wall seconds until its data was loaded, its processor seconds until then, and its memory in MB."""

    ready: float
    processor: float
    pss: float
    uss: float


@dataclass(frozen=True)
class ForcedEnd:
    """A sweep that was disturbed: its exit code, negative for a signal, and the processes left after it."""

    event: str
    exit_code: int
    left: int


def train_once(connection: Connection, context: WorkerContext, number: int) -> None:
    exit_with_parent()
    runtime = WorkerRuntime(context, own_process=True)
    runtime.split  # noqa: B018
    used = psutil.Process().cpu_times()
    connection.send((time.time(), used.user + used.system))
    result = run_trial(SPEC.trial(number, {"hidden_size": 64}), runtime, lambda *_: True)
    connection.send(result.state.value)
    connection.recv()


def compute(connection: Connection) -> None:
    from mnist_core.runtime import configure

    configure(1)
    import tensorflow as tf

    product = tf.function(lambda matrix: tf.linalg.matmul(matrix, matrix))
    connection.send(float(product(tf.ones((64, 64)))[0, 0]))


def compute_in(starter: ProcessStarter) -> bool:
    """Start a worker that computes with TensorFlow; True if its result is right and it has ended by itself."""
    ours, theirs = Pipe()
    process = starter.start(compute, theirs)
    theirs.close()
    with ours:
        right = ours.poll(PATIENCE_SECONDS) and ours.recv() == 64.0
    process.join(PATIENCE_SECONDS)
    return right and process.exitcode == 0


def measure_pair(starter: ProcessStarter, context: WorkerContext) -> list[WorkerCost]:
    """Two workers that start at once, each with its memory after one trial, while both live."""
    started, pairs = time.time(), []
    for number in range(2):
        ours, theirs = Pipe()
        pairs.append((ours, starter.start(train_once, theirs, context, number)))
        theirs.close()
    ready = [ours.recv() for ours, _ in pairs]
    states = [ours.recv() for ours, _ in pairs]
    if set(states) != {"complete"}:
        sys.exit(f"expected complete trials, received {states}")
    memory = [psutil.Process(process.pid).memory_full_info() for _, process in pairs]
    for ours, process in pairs:
        ours.send(None)
        process.join()
    shutil.rmtree(context.staging)
    return [
        WorkerCost(at - started, processor, info.pss / 1e6, info.uss / 1e6)
        for (at, processor), info in zip(ready, memory, strict=True)
    ]


def compare_kinds(turns: int) -> dict[str, list[WorkerCost]]:
    source = whole_mnist()
    forked, spawned = ProcessStarter(()), ProcessStarter(())
    spawned.forks = False
    with tempfile.TemporaryDirectory() as staging:
        digest = source.load_training().digest
        place = Path(staging) / "models"
        context = WorkerContext(source, digest, DataSpec(validation=6000), save_model, place, pruning=False)
        compute_in(forked)  # the fork server has imported its modules then
        found: dict[str, list[WorkerCost]] = {"forked": [], "spawned": []}
        for turn in range(turns):
            kinds = [("forked", forked), ("spawned", spawned)]
            for name, starter in kinds if turn % 2 else reversed(kinds):
                found[name] += measure_pair(starter, context)
    return found


def keep_busy() -> None:
    while True:
        sum(range(100_000))


def fork_many(count: int) -> tuple[int, list[float]]:
    """The number of workers that computed rightly, and the wall seconds of each from its start to its result."""
    load = [get_context("spawn").Process(target=keep_busy, daemon=True) for _ in range(os.cpu_count() or 1)]
    for one in load:
        one.start()
    starter, right, seconds = ProcessStarter(()), 0, []
    try:
        for _ in range(count):
            began = time.perf_counter()
            right += compute_in(starter)
            seconds.append(time.perf_counter() - began)
    finally:
        for one in load:
            one.kill()
    return right, seconds


def fork_server_of(driver: psutil.Process) -> psutil.Process | None:
    return next((child for child in driver.children() if "forkserver" in " ".join(child.cmdline())), None)


def wait_for_workers(driver: psutil.Process) -> tuple[psutil.Process, list[psutil.Process]]:
    """The fork server and two workers that have computed for a while, so they are training."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        server = fork_server_of(driver)
        workers = server.children() if server else []
        if server and len(workers) == 2 and all(one.cpu_times().user > 1.5 for one in workers):
            return server, workers
        time.sleep(0.1)
    sys.exit("no two workers trained in time")


Disturb = Callable[[subprocess.Popen[bytes], psutil.Process, list[psutil.Process]], None]
EVENTS: dict[str, Disturb] = {
    "driver killed": lambda driver, server, workers: driver.kill(),
    "fork server killed": lambda driver, server, workers: server.kill(),
    "fork server and worker killed": lambda driver, server, workers: [server.kill(), workers[0].kill()],
    "worker killed": lambda driver, server, workers: workers[0].kill(),
    "Ctrl-C, to all processes": lambda driver, server, workers: os.killpg(driver.pid, signal.SIGINT),
    "SIGTERM, to the driver": lambda driver, server, workers: driver.terminate(),
}


def disturb(event: str, data: str) -> ForcedEnd:
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        command = [sys.executable, "-m", "experiments", *SWEEP_ARGUMENTS, "--data", data]
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        driver = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        server, workers = wait_for_workers(psutil.Process(driver.pid))
        family = psutil.Process(driver.pid).children(recursive=True)
        EVENTS[event](driver, server, workers)
        code = driver.wait(PATIENCE_SECONDS)
        _, left = psutil.wait_procs(family, timeout=LEFT_SECONDS)
        for one in left:
            one.kill()
    return ForcedEnd(event, code, len(left))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/workers"), help="folder of the JSON file")
    given = parser.parse_args()
    print(f"{machine()}\n\n  two workers  ready s  processor s  PSS MB  USS MB   (medians, after one trial)")
    costs = compare_kinds(given.turns)
    for name, found in costs.items():
        ready, processor, pss, uss = (statistics.median(column) for column in zip(*map(astuple, found), strict=True))
        print(f"  {name:<12} {ready:7.2f} {processor:12.2f} {pss:7.0f} {uss:7.0f}")
    right, seconds = fork_many(given.forks)
    print(f"\n{right} of {given.forks} forks under load computed rightly; seconds from start to result: ", end="")
    print(f"median {statistics.median(seconds):.2f}, longest {max(seconds):.2f}")
    print("\n  event                            exit code  processes left")
    data, ends = str(whole_mnist().path), []
    for event in EVENTS:
        ends.append(disturb(event, data))
        print(f"  {event:<32} {ends[-1].exit_code:9} {ends[-1].left:15}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    content = {
        "workers": {name: [asdict(one) for one in found] for name, found in costs.items()},
        "forks": {"asked": given.forks, "right": right, "seconds": seconds},
        "ends": [asdict(one) for one in ends],
    }
    (given.out / "workers.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
