"""The service against ``mlflow models serve`` with the same model: latency, throughput, memory, swaps under load.

Each server has one core, one after the other; the load comes from another core over connections that stay open.
An hour's worth of load is what one person makes who draws without a pause, ten pictures a second: 36,000 requests,
sent as fast as they are answered, so it shows what requests leave behind and not what time does.

    MNIST_DATA=FOLDER python benchmarks/serving.py
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from common import SEED, machine, whole_mnist
from load import Call, Outcome, load
from PIL import Image

SERVER_CORE, CLIENT_CORE = 0, 1
SECONDS = 10.0
CONNECTIONS = 16
HOUR = 36_000
SWAPS = 20
JSON, PNG = "application/json", "image/png"

# A service whose champions are files of a folder, and its alias another file.
SERVICE = """
import shutil, sys
from pathlib import Path
from mnist_core import runtime
runtime.configure(threads=1)
import serving.app
from serving import server
from serving.app import Settings, create_app
from serving.champion import Candidate, ModelFacts, Throne, load_predictor

class Folder:
    def current(self):
        return Path("champion").read_text()
    def fetch(self, identity, folder):
        path = Path(shutil.copy(f"{identity}.keras", folder))
        return Candidate(path, ModelFacts("benchmark", identity, "", "", "", ""))

class Alone:
    async def probabilities(self, predictor, image):
        return predictor.probabilities(image[None])[0]

if "alone" in sys.argv:
    serving.app.Batcher = Alone
throne = Throne(Folder(), load_predictor)
throne.check()
server.run(create_app(throne, Settings(check_seconds=0.2)), server.listen("127.0.0.1", int(sys.argv[1])))
"""


def train_models(folder: Path) -> np.ndarray:
    """Two networks of 128 units as files 1.keras and 2.keras, the first also as an MLflow model; 200 digits."""
    from experiments.model_files import MODEL_FILE, save_model
    from mnist_core import runtime
    from mnist_core.data import split
    from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
    from mnist_core.model import build_model
    from mnist_core.training import train

    data = split(whole_mnist().load_training(), 6000, seed=SEED)
    for number in (1, 2):
        runtime.start_afresh(number)
        model = build_model(Hyperparameters())
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
    sys.exit(f"{url}: no server came up")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def for_seconds(seconds: float) -> Callable[[Outcome], bool]:
    """Goes on for so long, from the first call."""
    end: float | None = None

    def go_on(outcome: Outcome) -> bool:
        nonlocal end
        end = end or time.perf_counter() + seconds
        return time.perf_counter() < end

    return go_on


def measure(name: str, port: int, calls: list[Call]) -> tuple[Outcome, Outcome]:
    """One connection for latency, sixteen for throughput."""
    alone, together = (
        load(port, calls, connections, for_seconds(SECONDS), warm_up=20) for connections in (1, CONNECTIONS)
    )
    print(
        f"  {name:<26} p50 {alone.milliseconds(50):7.2f} ms   p99 {alone.milliseconds(99):7.2f} ms   "
        f"{together.rate:7.1f} requests/s   errors {alone.errors + together.errors}",
        flush=True,
    )
    return alone, together


def png(digit: np.ndarray) -> bytes:
    """As the page sends a drawing: 280 × 280, dark on light."""
    buffer = BytesIO()
    Image.fromarray(255 - digit).resize((280, 280), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def swap_under_load(port: int, folder: Path, calls: list[Call]) -> Outcome:
    """Move the alias so many times, each when the last move has been followed; what the load saw of it."""
    swaps, asked = 0, 0.0

    def go_on(outcome: Outcome) -> bool:
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

    return load(port, calls, CONNECTIONS, go_on)


def megabytes(process: psutil.Process) -> float:
    return process.memory_full_info().rss / 1e6


def main() -> None:
    print(f"{machine()}\none core for the server, load from another; 128 units; requests of one image")
    psutil.Process().cpu_affinity([SERVER_CORE, CLIENT_CORE])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        digits = train_models(folder)
        (folder / "champion").write_text("1")
        psutil.Process().cpu_affinity([CLIENT_CORE])

        port = free_port()
        serve = ["-m", "mlflow", "models", "serve", "-m", "mlflow-1", "--env-manager", "local", "--port", str(port)]
        with server([sys.executable, *serve], port, "/ping", folder):
            calls = [Call("/invocations", JSON, json.dumps({"inputs": [d.tolist()]}).encode()) for d in digits]
            theirs = measure("mlflow models serve", port, calls)

        port = free_port()
        arrays = [Call("/predict", JSON, json.dumps(d.tolist()).encode()) for d in digits]
        with server([sys.executable, "-c", SERVICE, str(port), "alone"], port, "/health", folder):
            measure("here, JSON, unbatched", port, arrays)

        port = free_port()
        with server([sys.executable, "-c", SERVICE, str(port)], port, "/health", folder) as process:
            pictures = [Call("/predict", PNG, png(d)) for d in digits]
            explained = [Call("/explain", PNG, call.body) for call in pictures]
            ours = measure("here, JSON", port, arrays)
            measure("here, PNG of 280 × 280", port, pictures)
            measure("here, explained as on page", port, explained)
            print(f"{ours[1].rate / theirs[1].rate:.1f} times the throughput (at least 10 wanted)")
            print(f"{theirs[0].milliseconds(50) / ours[0].milliseconds(50):.1f} times as quick (at least 10 wanted)")

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
