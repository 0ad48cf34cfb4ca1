"""Sweeps that run within a test: their launch, an observer, and what their stores hold afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import LaunchOptions, SweepResult
from experiments.tracking import queries
from experiments.tracking.artifacts import save_model
from experiments.tracking.records import RunRecord
from experiments.tracking.store import open_store, tracking_uri
from mnist_core.errors import DataError
from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Decide, Ended, Finished, InProcessExecutor
from search.resume import ResumeState
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState
from search.worker import run_trial

Run = Callable[..., tuple[int, str, str]]
"""Runs mnist-search with the given words and returns its exit code, output and errors."""


class Watcher:
    """An observer that keeps the trials that ended, and calls a function after a given number of them."""

    def __init__(self, after: int = -1, do: Any = None) -> None:
        self.after, self.do = after, do
        self.ended: list[tuple[Trial, TrialResult]] = []

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        self.spec = spec

    def trial_started(self, trial: Trial) -> None:
        pass

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        pass

    def trial_lost(self, trial: Trial, cause: str) -> None:
        pass

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        self.ended.append((trial, result))
        if len(self.ended) == self.after:
            self.do()


_kept = tempfile.TemporaryDirectory(prefix="mnist-search-tests-")
_results: dict[str, TrialResult] = {}


class TrainedOnce(InProcessExecutor):
    """Runs each trial within ``poll``, and trains each configuration once in the life of this process.

    Training is deterministic and takes most of the time of a small sweep. A trial that an earlier sweep completed on
    the same data is not trained again: its epochs are reported to ``decide`` and its model's files are copied. Where
    ``decide`` stops it, or models are saved in another way than usual, it is trained.
    """

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        if not self._waiting:
            return []
        trial, context = self._waiting.popleft(), self._runtime.context
        decisions: list[bool] = []

        def report(epoch: int, metrics: EpochMetrics) -> bool:
            if epoch > len(decisions):
                decisions.append(decide(trial, epoch, metrics) or not context.pruning)
            return decisions[epoch - 1]

        key = repr((context.digest, context.data, trial.hyperparameters, trial.training, trial.seed))
        usual = context.save is save_model and self._data_is_that_of_the_sweep()
        known = _results.get(key) if usual else None
        if known and all(report(epoch, metrics) for epoch, metrics in enumerate(known.history, 1)):
            return [Finished(trial, _copied(known, context.staging / f"{trial.number}-{trial.attempt}"))]
        result = run_trial(trial, self._runtime, report)
        if usual and (result.state is TrialState.COMPLETE or result.stop_reason is StopReason.NON_FINITE):
            _results[key] = _copied(result, Path(_kept.name, str(len(_results))))
        return [Finished(trial, result)]

    def _data_is_that_of_the_sweep(self) -> bool:
        try:
            return bool(self._runtime.split)
        except DataError:
            return False


def _copied(result: TrialResult, folder: Path) -> TrialResult:
    """The same result, its model's files copied to a folder that does not exist yet."""
    if result.model is None:
        return result
    shutil.copytree(result.model.folder, folder)
    return replace(result, model=replace(result.model, folder=folder))


def in_process(data: Path | None, *observers: Watcher, **settings: Any) -> LaunchOptions:
    """Options of a sweep whose trials run one after the other in this process. Nothing is printed, no report drawn."""
    quiet: dict[str, Any] = {"on_message": lambda line: None, "executor": lambda context, workers: TrainedOnce(context)}
    return LaunchOptions(data=data, observers=observers, **(quiet | {"report": False} | settings))


def points(runs: Sequence[RunRecord]) -> Counter[tuple[str, str]]:
    """Number of finished runs at each point of ``SMALL_GRID``."""
    return Counter((run.params["hidden_size"], run.params["dropout"]) for run in runs if run.state.is_finished)


EVERY_GRID_POINT_ONCE = Counter((size, dropout) for size in ("8", "16") for dropout in ("0.0", "0.25", "0.5"))


def states(result: SweepResult) -> Counter[TrialState]:
    """Number of runs in each state."""
    return Counter(run.state for run in result.runs)


def stored_sweep(name: str) -> tuple[Any, list[RunRecord]]:
    """A sweep of the default store, and its runs."""
    store = open_store(tracking_uri())
    sweep = queries.find_sweep(store, name)
    return sweep, queries.read_runs(store, sweep)
