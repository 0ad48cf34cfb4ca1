"""Whole sweeps as ``mnist-search sweep`` runs them, counted in epochs and kept in a file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from common import whole_mnist
from simulated_sweep import WORKERS, EndedSweep, EndedTrial

from experiments import run_sweep
from experiments.launch import LaunchOptions
from mnist_core.metrics import EpochMetrics
from search.executors.base import WorkerStatus
from search.resume import ResumeState
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState


class EpochCount:
    """An observer that counts the epochs of all trials, and notes the count at each end."""

    def __init__(self) -> None:
        self._epochs = 0
        self._trials: list[EndedTrial] = []
        self._spent: list[int] = []

    @property
    def sweep(self) -> EndedSweep:
        return EndedSweep(tuple(self._trials), tuple(self._spent))

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        pass

    def trial_started(self, trial: Trial) -> None:
        pass

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        self._epochs += 1

    def trial_lost(self, trial: Trial, cause: str) -> None:
        pass

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        best = result.best.val_accuracy if result.best else 0.0
        self._trials.append(EndedTrial(trial.number, trial.point, result.state, len(result.history), best))
        self._spent.append(self._epochs)

    def workers_changed(self, workers: Sequence[WorkerStatus]) -> None:
        pass


def run_live(spec: SweepSpec, folder: Path) -> EndedSweep:
    """Run a sweep with two workers and a store that is dropped, unless its file is in the folder."""
    path = folder / f"{spec.name}-{spec.seed}-{spec.pruner}.json"
    if not path.exists():
        count = EpochCount()
        with tempfile.TemporaryDirectory() as scratch:
            store = f"sqlite:///{scratch}/mlflow.db"
            options = LaunchOptions(workers=WORKERS, report=False, tracking_uri=store, observers=(count,))
            run_sweep(spec, options, data=whole_mnist().path)
        path.write_text(json.dumps(asdict(count.sweep), default=lambda state: state.value))
    values = json.loads(path.read_text())
    trials = tuple(EndedTrial(**{**one, "state": TrialState(one["state"])}) for one in values["trials"])
    return EndedSweep(trials, tuple(values["spent"]))
