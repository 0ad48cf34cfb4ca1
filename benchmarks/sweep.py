"""Trials a minute: the same 12 points through this project and through the baseline.

12 trials of 5 epochs on MNIST, each side in a process and an empty store of its own, start-up included: from the
start of the command to its end. Also the cost of tracking, and the memory of a worker.

    MNIST_DATA=FOLDER python benchmarks/sweep.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import machine, whole_mnist

from search.spec_file import parse_spec

SWEEP = """
name = "benchmark"
engine = "optuna"
sampler = "grid"
[data]
validation = 6000
[training]
epochs = 5
batch_size = 128
early_stopping = { monitor = "val_accuracy", patience = 5 }
[space]
hidden_size = [64, 128, 256]
learning_rate = [1e-3, 3e-3]
dropout = [0.0, 0.2]
"""

# The program of this project: a sweep, then the time that it spent writing to MLflow.
PROGRAM = """
import sys
from experiments import run_sweep
if __name__ == "__main__":
    result = run_sweep(sys.argv[1], data=sys.argv[2], report=False)
    print(f"best {result.best.value('val_accuracy'):.4f}")
    print(f"tracking {result.tracking_seconds:.3f}")
    print(f"waiting {result.tracking_wait_seconds:.3f}")
"""


def run(command: list[str], folder: Path) -> tuple[float, dict[str, float], dict[str, float]]:
    """Wall seconds, the lines ``name value`` that the command printed, and the maximum memory of a worker."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        peak = {"pss": 0.0, "rss": 0.0}
        while process.poll() is None:
            time.sleep(0.25)
            for child in children(process.pid):
                peak = {name: max(value, child[name]) for name, value in peak.items()}
        seconds = time.perf_counter() - started
        if process.returncode:
            err.seek(0)
            sys.exit(f"{command[:2]} ended with {process.returncode}: {err.read()[-2000:]}")
        out.seek(0)
        words = [line.split() for line in out if len(line.split()) == 2]
    return seconds, {name: float(value) for name, value in words}, peak


def children(pid: int) -> list[dict[str, float]]:
    found = []
    try:
        for child in psutil.Process(pid).children():
            info = child.memory_full_info()
            found.append({"pss": getattr(info, "pss", info.rss) / 1e6, "rss": info.rss / 1e6})
    except psutil.Error:
        pass
    return found


def main() -> None:
    spec = parse_spec(SWEEP)
    points = [dict(point) for point in spec.space.grid()]
    data = str(whole_mnist().path)
    settings = {"epochs": spec.training.epochs, "batch_size": spec.training.batch_size, "validation": 6000}
    print(f"{machine()}\n{len(points)} trials of {spec.training.epochs} epochs, start-up included")
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / name for name in ("ours", "baseline")}
        for folder in folders.values():
            folder.mkdir()
        (folders["ours"] / "sweep.toml").write_text(SWEEP)
        (folders["ours"] / "main.py").write_text(PROGRAM)
        ours, values, memory = run([sys.executable, "main.py", "sweep.toml", data], folders["ours"])
        baseline_command = [sys.executable, str(here / "baseline.py"), json.dumps(points), json.dumps(settings), data]
        baseline, baseline_values, _ = run(baseline_command, folders["baseline"])
    for name, seconds, best in (
        ("this project", ours, values["best"]),
        ("baseline", baseline, baseline_values["best"]),
    ):
        rate = 60 * len(points) / seconds
        print(f"  {name:<14} {seconds:6.1f} s  {rate:5.1f} trials a minute  best val accuracy {best:.4f}")
    print(f"{baseline / ours:.1f} times the trials a minute (at least 4 wanted)")
    print(f"recording the trials takes {100 * values['tracking'] / ours:.1f}% of the wall time (at most 5% wanted),")
    print(f"most of it beside them: the sweep waits for {100 * values['waiting'] / ours:.1f}%")
    print(f"the memory of a worker is at most {memory['pss']:.0f} MB (shared pages counted once; 900 wanted),")
    print(f"resident {memory['rss']:.0f} MB (shared pages counted in each worker)")


if __name__ == "__main__":
    main()
