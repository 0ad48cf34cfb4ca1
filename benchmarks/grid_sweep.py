"""Grids of points on MNIST, a sweep of one by this project, and its epochs; used by ``sweep.py`` and ``scaling.py``."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

BATCH_SIZE, VALIDATION = 128, 6000
VALUES: dict[str, tuple[float, ...]] = {
    "hidden_size": (64, 128, 256, 32, 512),
    "learning_rate": (1e-3, 3e-3, 5e-4, 2e-3, 1.5e-3),
    "dropout": (0.2, 0.0, 0.1, 0.3),
}
COUNTS = ((3, 1, 1), (5, 1, 1), (3, 2, 1), (5, 2, 1), (3, 2, 2), (5, 2, 2), (5, 3, 2), (5, 5, 2), (5, 5, 4))
"""Values of each parameter in a grid, in the order of ``VALUES``."""
POINTS = {math.prod(counts): counts for counts in COUNTS}

SWEEP = """
name = "benchmark"
engine = "{engine}"
sampler = "grid"
[data]
validation = {validation}
[training]
epochs = {epochs}
batch_size = {batch_size}
early_stopping = {{ monitor = "val_accuracy", patience = {epochs} }}
[space]
{space}
"""


@dataclass(frozen=True)
class Epoch:
    """An epoch of a trial.

    Args:
        trial: any text that is the trial's alone.
        ended: seconds since 1970.
        accuracy: on the validation images, after it.
    """

    trial: str
    ended: float
    accuracy: float


def grid_of(points: int) -> dict[str, list[float]]:
    """The values of a grid of so many points, one of ``POINTS``."""
    counts = POINTS[points]
    return {name: list(values[:count]) for (name, values), count in zip(VALUES.items(), counts, strict=True)}


def sweep_text(engine: str, points: int, epochs: int) -> str:
    """The sweep file of a grid. No trial stops early; each keeps the weights of its best epoch."""
    space = "\n".join(f"{name} = {values}" for name, values in grid_of(points).items())
    return SWEEP.format(engine=engine, validation=VALIDATION, epochs=epochs, batch_size=BATCH_SIZE, space=space)


def sweep_command(data: Path) -> list[str]:
    """The command that runs the file ``sweep.toml`` in the folder that it is run in."""
    return [sys.executable, "-m", "experiments", "sweep", "sweep.toml", "--data", str(data), "--no-report"]


def new_environment(folder: Path) -> dict[str, str]:
    """The environment of a command in an empty folder: no store or cluster from outside, no reports of usage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    return kept | {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TMPDIR": str(folder),
    }


def recorded_epochs(folder: Path) -> list[Epoch]:
    """The epochs of the sweep that was run in a folder, in no order."""
    client = _client(folder)
    return [
        Epoch(run.info.run_id, point.timestamp / 1000, point.value)
        for run in client.search_runs(_experiments(client), max_results=1000)
        for point in client.get_metric_history(run.info.run_id, "val_accuracy")
    ]


def recorded_metric(folder: Path, name: str) -> float:
    """A metric that one run alone has of those of the sweep that was run in a folder."""
    client = _client(folder)
    [value] = [
        run.data.metrics[name]
        for run in client.search_runs(_experiments(client), max_results=1000)
        if name in run.data.metrics
    ]
    return float(value)


def _client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


def best_accuracies(epochs: Sequence[Epoch], points: int, epochs_of_each: int) -> list[float]:
    """The best accuracy of each trial, in falling order.

    Raises:
        ValueError: not as many trials, or not as many epochs of one, as there should be.
    """
    trials: dict[str, list[float]] = {}
    for epoch in epochs:
        trials.setdefault(epoch.trial, []).append(epoch.accuracy)
    found = sorted(len(accuracies) for accuracies in trials.values())
    if found != [epochs_of_each] * points:
        raise ValueError(f"expected {points} trials of {epochs_of_each} epochs, received trials of {found} epochs")
    return sorted((max(accuracies) for accuracies in trials.values()), reverse=True)


def seconds_to(level: float, epochs: Sequence[Epoch], started: float) -> float | None:
    """Seconds from ``started`` (since 1970) until the first epoch with an accuracy; None if there is none."""
    return min((epoch.ended - started for epoch in epochs if epoch.accuracy >= level), default=None)
