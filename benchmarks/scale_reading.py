"""Reading a store of 10,000 trials: the commands as a user gives them, each in a process of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from common import Measurement
from synthetic_store import SPEC, SWEEP, fill

from experiments.tracking import queries, trial_results
from experiments.tracking.datasets import describe_data, locate
from experiments.tracking.store import open_store
from mnist_core.messages import print_to_stderr
from search.searchers.factory import make_searcher
from search.spec_file import parse_spec

PART = "reading"
OTHER = "other"
# Command, and the most seconds that it may take at 10,000 trials; None for no aim.
COMMANDS: Sequence[tuple[Sequence[str], float | None]] = (
    (("best", SWEEP), 3.0),
    (("runs", SWEEP), 3.0),
    (("sweeps",), None),
    (("compare", SWEEP, OTHER), None),
    (("report", SWEEP), 60.0),
)
RESUME_SECONDS = 60.0
ASK_MS = 150.0
ASKS, EPOCHS = 20, 20


@dataclass(frozen=True)
class ReadingSizes:
    """Sizes of the measurement.

    Args:
        trials: of the sweep that is read.
        other_trials: of a second one in the same store.
        turns: of each command; the medians count.
    """

    trials: int = 10_000
    other_trials: int = 1_000
    turns: int = 1


QUICK = ReadingSizes(500, 100)


def measure(sizes: ReadingSizes) -> Iterator[Measurement]:
    """Measure commands, a resume until its first trial is submitted, and the asks of TPE."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store"
        data = _data_tags()
        fill(folder, sizes.trials, EPOCHS, data=data)
        fill(folder, sizes.other_trials, EPOCHS, OTHER, data)
        for words, aim in COMMANDS:
            turns = sorted(run(folder, words) for _ in range(sizes.turns))
            yield from _rows(words[0], sizes, *turns[len(turns) // 2], aim)
        yield from _asks(folder, sizes)
        yield from _rows("sweep --resume, until its first trial", sizes, *resume(folder, sizes.trials), RESUME_SECONDS)


def _data_tags() -> dict[str, str]:
    """Tags of the data set that a resumed sweep will find."""
    spec = parse_spec(SPEC.format(name=SWEEP, trials=1, epochs=EPOCHS))
    return describe_data(locate(None, print_to_stderr), spec).tags()


def _rows(name: str, sizes: ReadingSizes, wall: float, cpu: float, aim: float | None) -> Iterator[Measurement]:
    about = f"{name}, {sizes.trials:,} trials"
    yield Measurement(PART, about, wall, "s", aim, series="wall time")
    yield Measurement(PART, f"{about}: CPU", cpu, "s", series="CPU time")


def _start(folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def run(folder: Path, words: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command.

    Raises:
        SystemExit: it failed.
    """
    before, started = os.times(), time.perf_counter()
    process = _start(folder, words)
    _, errors = process.communicate()
    wall, after = time.perf_counter() - started, os.times()
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}: {errors.decode()[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu


def resume(folder: Path, trials: int) -> tuple[float, float]:
    """Wall and CPU seconds of the driver of a resumed sweep, until the store has the run of a new trial.

    Raises:
        SystemExit: it failed.
    """
    before, started = _runs(folder), time.perf_counter()
    process = _start(
        folder, ["sweep", "--resume", SWEEP, "--trials", str(trials + 10), "--no-report", "--workers", "1"]
    )
    try:
        driver = psutil.Process(process.pid)
        cpu = driver.cpu_times()
        while _runs(folder) == before:
            if process.poll() is not None:
                assert process.stderr is not None
                sys.exit(f"sweep --resume ended with {process.returncode}: {process.stderr.read().decode()[-2000:]}")
            cpu = driver.cpu_times()
            time.sleep(0.1)
        wall = time.perf_counter() - started
        process.send_signal(signal.SIGINT)
        process.communicate()
    finally:
        process.kill()
    return wall, cpu.user + cpu.system


def _runs(folder: Path) -> int:
    database = sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT COUNT(*) FROM runs").fetchone()[0])
    finally:
        database.close()


def _asks(folder: Path, sizes: ReadingSizes) -> Iterator[Measurement]:
    """CPU time of an ask of TPE after the trials of the store, with and without a pruner that divides them."""
    store = open_store(f"sqlite:///{folder}/mlflow.db")
    sweep = queries.find_sweep(store, SWEEP)
    recorded = queries.read_recorded_spec(store, sweep)
    runs = queries.read_sweep_runs(store, sweep)
    for pruner in ("hyperband", "none"):
        spec = replace(recorded, pruner=pruner)
        history = trial_results.read_resume_state(store, runs.attempts, spec)
        searcher = make_searcher(spec, replace(history, unfinished=()))  # those are suggested without a model
        times = []
        for _ in range(ASKS):
            started = time.thread_time()
            searcher.ask()
            times.append(1000 * (time.thread_time() - started))
        median = sorted(times)[ASKS // 2]
        yield Measurement(PART, f"ask of TPE after {sizes.trials:,} trials, pruner {pruner}: CPU", median, "ms", ASK_MS)
