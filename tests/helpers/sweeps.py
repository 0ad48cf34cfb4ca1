"""Sweeps run within a test, watched, and looked at afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments import LaunchOptions, SweepResult
from experiments.tracking import queries
from experiments.tracking.records import RunRecord
from experiments.tracking.store import open_store, tracking_uri
from mnist_core.metrics import EpochMetrics
from search.executors.base import InProcessExecutor
from search.resume import ResumeState
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState

Run = Callable[..., tuple[int, str, str]]
"""Runs mnist-search with the given words; its exit code, output and errors."""


class Watcher:
    """An observer that keeps what it was shown, and does something when a given trial ends."""

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


def here(data: Path, *observers: Watcher, **settings: Any) -> LaunchOptions:
    """Trials one after the other in this process, nothing printed, no report drawn."""
    quiet: dict[str, Any] = {
        "on_message": lambda line: None,
        "executor": lambda context, workers: InProcessExecutor(context),
    }
    return LaunchOptions(data=data, observers=observers, **(quiet | {"report": False} | settings))


def points(runs: Sequence[RunRecord]) -> Counter[tuple[str, str]]:
    return Counter((run.params["hidden_size"], run.params["dropout"]) for run in runs if run.state.is_finished)


EVERY_GRID_POINT_ONCE = Counter((size, dropout) for size in ("8", "16") for dropout in ("0.0", "0.25", "0.5"))


def states(result: SweepResult) -> Counter[TrialState]:
    return Counter(run.state for run in result.runs)


def stored_sweep(name: str) -> tuple[Any, list[RunRecord]]:
    store = open_store(tracking_uri())
    sweep = queries.find_sweep(store, name)
    return sweep, queries.read_runs(store, sweep)
