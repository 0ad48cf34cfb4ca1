"""The service against ``mlflow models serve`` with the same model: latency, throughput, memory, swaps under load.

The servers take turns on one core, so that other load affects all of them; the load comes from another core
over connections that stay open.
One hour of a person who draws without a pause is 36,000 requests, ten pictures a second. They are sent as fast as they
are answered, so the memory measured is that of requests and not of time.

    MNIST_DATA=FOLDER python benchmarks/http_service.py [UNITS]
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from common import SEED, machine, whole_mnist
from http_load import Call, Outcome, load
from PIL import Image

SERVER_CORE, CLIENT_CORE = 0, 1
SECONDS, ROUNDS = 2.0, 5
CONNECTIONS = 16
UNITS = 512  # maximum of the shipped sweeps
HOUR = 36_000
SWAPS = 20
JSON, PNG = "application/json", "image/png"

# A service whose versions are files of a folder; another file names the champion.
SERVICE = """
import shutil, sys
from pathlib import Path
from mnist_core import runtime
runtime.configure(threads=1)
import serving.app
from serving import server
from serving.app import Settings, create_app
from serving.model_manager import ModelArtifact, ModelInfo, ModelManager, load_predictor

class FolderSource:
    def current(self):
        return Path("champion").read_text()
    def fetch(self, identity, folder):
        path = Path(shutil.copy(f"{identity}.keras", folder))
        return ModelArtifact(path, ModelInfo("benchmark", identity, "", "", "", ""))

class Alone:
    async def probabilities(self, predictor, image):
        return predictor.probabilities(image[None])[0]

if "alone" in sys.argv:
    serving.app.Batcher = Alone
manager = ModelManager(FolderSource(), load_predictor)
manager.check()
server.run(create_app(manager, Settings(check_seconds=0.2)), server.listen("127.0.0.1", int(sys.argv[1])))
"""


def train_models(folder: Path, units: int) -> np.ndarray:
    """Two networks of one hidden layer as files 1.keras and 2.keras, the first also as an MLflow model; 200 digits."""
    from experiments.tracking.artifacts import MODEL_FILE, save_model
    from mnist_core import runtime
    from mnist_core.data.images import split
    from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
    from mnist_core.models.factory import build_model
    from mnist_core.training.trainer import train

    data = split(whole_mnist().load_training(), 6000, seed=SEED)
    for number in (1, 2):
        runtime.reset(number)
        model = build_model(Hyperparameters(hidden_size=units))
        train(model, data, TrainingConfig(epochs=1), seed=number)
        save_model(model, folder / f"mlflow-{number}")
        (folder / f"{number}.keras").write_bytes((folder / f"mlflow-{number}" / MODEL_FILE).read_bytes())
    return data.validation.images[:200]


@contextmanager
def server(command: list[str], port: int, health: str, folder: Path) -> Iterator[psutil.Process]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        psutil.Process(process.pid).cpu_affinity([SERVER_CORE])
        try:
            wait_for(f"http://127.0.0.1:{port}{health}", process)
            yield psutil.Process(process.pid)
        finally:
            for one in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
                one.terminate()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    sys.exit(f"{url}: the server did not start")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def for_seconds(seconds: float) -> Callable[[Outcome], bool]:
    """A condition that holds for so long from its first call."""
    end: float | None = None

    def keep_going(outcome: Outcome) -> bool:
        nonlocal end
        end = end or time.perf_counter() + seconds
        return time.perf_counter() < end

    return keep_going


@dataclass(frozen=True)
class Contender:
    """A server, the calls that are made to it, and the results of each round."""

    name: str
    process: psutil.Process
    port: int
    calls: list[Call]
    alone: list[Outcome] = field(default_factory=list)
    together: list[Outcome] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """One connection for latency, sixteen for throughput."""
        self.alone.append(load(self.port, self.calls, 1, for_seconds(SECONDS), warm_up=10))
        before = cpu_seconds(self.process)
        self.together.append(load(self.port, self.calls, CONNECTIONS, for_seconds(SECONDS)))
        self.cpu.append((cpu_seconds(self.process) - before) / len(self.together[-1].seconds))

    def milliseconds(self, percentile: float) -> float:
        return 1e3 * float(np.percentile([value for outcome in self.alone for value in outcome.seconds], percentile))

    @property
    def rate(self) -> float:
        return statistics.median(outcome.rate for outcome in self.together)

    def __str__(self) -> str:
        errors = sum(outcome.errors for outcome in (*self.alone, *self.together))
        core = 1e3 * statistics.median(self.cpu)
        return (
            f"  {self.name:<26} p50 {self.milliseconds(50):7.2f} ms   p99 {self.milliseconds(99):7.2f} ms   "
            f"{self.rate:7.1f} requests/s   {core:6.2f} ms of the core each   errors {errors}"
        )


def png(digit: np.ndarray) -> bytes:
    """A PNG as the page sends it: 280 × 280, dark on light."""
    buffer = BytesIO()
    Image.fromarray(255 - digit).resize((280, 280), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def swap_under_load(port: int, folder: Path, calls: list[Call]) -> Outcome:
    """Move the alias ``SWAPS`` times under load, each time after the service has followed; the result of the load."""
    swaps, asked = 0, 0.0

    def keep_going(outcome: Outcome) -> bool:
        nonlocal swaps, asked
        if time.perf_counter() - asked > 0.1:
            asked = time.perf_counter()
            serving = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/health"))["version"]
            if serving == (folder / "champion").read_text():
                if swaps == SWAPS:
                    return False
                (folder / "next").write_text("2" if serving == "1" else "1")
                (folder / "next").rename(folder / "champion")
                swaps += 1
        return True

    return load(port, calls, CONNECTIONS, keep_going)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a server and its children, which other load on the machine hardly changes."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def megabytes(process: psutil.Process) -> float:
    return process.memory_full_info().rss / 1e6


def main() -> None:
    units = int(sys.argv[1]) if sys.argv[1:] else UNITS
    print(f"{machine()}\none core for the server, load from another; {units} hidden units; requests of one image")
    psutil.Process().cpu_affinity([SERVER_CORE, CLIENT_CORE])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        digits = train_models(folder, units)
        (folder / "champion").write_text("1")
        psutil.Process().cpu_affinity([CLIENT_CORE])

        arrays = [Call("/predict", JSON, json.dumps(digit.tolist()).encode()) for digit in digits]
        pictures = [Call("/predict", PNG, png(digit)) for digit in digits]
        explained = [Call("/explain", PNG, call.body) for call in pictures]
        wrapped = [Call("/invocations", JSON, json.dumps({"inputs": [digit.tolist()]}).encode()) for digit in digits]
        ports = [free_port() for _ in range(3)]
        mlflow = ["-m", "mlflow", "models", "serve", "-m", "mlflow-1", "--env-manager", "local", "--port"]
        with (
            server([sys.executable, *mlflow, str(ports[0])], ports[0], "/ping", folder) as mlflow_server,
            server([sys.executable, "-c", SERVICE, str(ports[1]), "alone"], ports[1], "/health", folder) as unbatched,
            server([sys.executable, "-c", SERVICE, str(ports[2])], ports[2], "/health", folder) as process,
        ):
            port = ports[2]
            theirs = Contender("mlflow models serve", mlflow_server, ports[0], wrapped)
            ours = Contender("here, JSON", process, port, arrays)
            others = [
                Contender("here, JSON, unbatched", unbatched, ports[1], arrays),
                Contender("here, PNG of 280 × 280", process, port, pictures),
                Contender("here, explained as on page", process, port, explained),
            ]
            for _ in range(ROUNDS):
                for contender in (theirs, ours, *others):
                    contender.take_turn()
            print(*(theirs, ours, *others), sep="\n")
            print(f"{ours.rate / theirs.rate:.1f} times the throughput (at least 10 wanted)")
            print(f"{theirs.milliseconds(50) / ours.milliseconds(50):.1f} times as quick (at least 10 wanted)")
            saved = statistics.median(others[0].cpu) / statistics.median(ours.cpu)
            print(f"unbatched, a request takes {saved:.2f} times as much of the core", flush=True)

            warm = megabytes(process)
            hour = load(port, [*explained, *arrays], CONNECTIONS, lambda outcome: len(outcome.seconds) < HOUR)
            after = megabytes(process)
            print(f"{len(hour.seconds):,} requests at {hour.rate:.0f} a second, errors {hour.errors}: memory from")
            print(f"  {warm:.0f} MB to {after:.0f} MB, {after / warm:.2f} times (at most 1.2 wanted)")

            swapped = swap_under_load(port, folder, arrays)
            print(f"{SWAPS} swaps under load: {len(swapped.seconds):,} requests, errors {swapped.errors}, p99")
            print(
                f"  {swapped.milliseconds(99):.0f} ms, longest {swapped.milliseconds(100):.0f} ms; memory then ", end=""
            )
            print(f"{megabytes(process):.0f} MB")


if __name__ == "__main__":
    main()
