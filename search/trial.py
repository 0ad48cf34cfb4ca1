"""The values that travel between searcher, executor, loop and record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mnist_core.hyperparameters import ModelConfig, TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason
from search.objectives import Objective
from search.space import Point


class TrialState(Enum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_finished(self) -> bool:
        """Whether the trial has its result. A killed one has not: it is to be run again."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True)
class Trial:
    """One point to be trained.

    Args:
        number: counts the trials of a sweep, from 0; the same for all attempts at a point.
        point: the searched parameters.
        hyperparameters: all of the model factory's arguments, or those of the user's own function, searched and fixed.
        training: all training settings, searched and fixed.
        seed: decides initial weights, dropout and the order of the images.
        attempt: 1 at first; one more each time a worker died or the sweep was killed under it.
    """

    number: int
    point: Point
    hyperparameters: ModelConfig
    training: TrainingConfig
    seed: int
    attempt: int = 1

    @property
    def name(self) -> str:
        """For people: ``trial-007``, and ``trial-007 (attempt 2)`` where it had to be tried again."""
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"trial-{self.number:03d}{again}"


@dataclass(frozen=True)
class SavedModel:
    """A trained model as files.

    Args:
        folder: everything that belongs to it.
        file: the model file itself, relative to ``folder``.
        sha256: digest of that file.
        size: bytes of that file.
        weights: number of the model's weights, trainable or not.
    """

    folder: Path
    file: str
    sha256: str
    size: int
    weights: int


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial.

    Args:
        state: COMPLETE, PRUNED or FAILED.
        history: metrics of every epoch that was run.
        best_epoch: 1-based epoch whose weights the model holds; None for a failed trial.
        stop_reason: why training ended; None where something other than training failed.
        training_seconds: wall time of building and training the model, without waiting for answers to its reports.
        saving_seconds: wall time of writing the model's files.
        model: the saved model; None for a failed trial.
        weights: number of the model's weights, known also where its files are no longer at hand.
        error: one line on why it failed.
        traceback: the whole story of that.
    """

    state: TrialState
    history: tuple[EpochMetrics, ...] = ()
    best_epoch: int | None = None
    stop_reason: StopReason | None = None
    training_seconds: float = 0.0
    saving_seconds: float = 0.0
    model: SavedModel | None = None
    weights: int | None = None
    error: str | None = None
    traceback: str | None = None

    @property
    def best(self) -> EpochMetrics | None:
        """The metrics of the saved weights."""
        return self.history[self.best_epoch - 1] if self.best_epoch else None

    def outcome(self, objectives: Sequence[Objective]) -> Outcome:
        """Return the end of the trial in the terms of a searcher.

        Args:
            objectives: of the sweep, the first of them the one that ranks.
        """
        values = tuple(one.value(self.best, self.weights) for one in objectives) if self.best else ()
        curve = tuple(objectives[0].value(metrics, self.weights) for metrics in self.history)
        return Outcome(self.state, values, curve)


@dataclass(frozen=True)
class Outcome:
    """The end of a trial in the terms of a searcher.

    Args:
        state: COMPLETE, PRUNED or FAILED.
        values: of each objective at the best epoch; empty for a failed trial.
        curve: the first objective at each epoch.
    """

    state: TrialState
    values: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()

    @classmethod
    def read_back(cls, state: TrialState, value: float | None, curve: tuple[float, ...]) -> Outcome:
        """The outcome of a recorded trial.

        Args:
            state: as recorded.
            value: the first objective at the best epoch; None where it was not recorded.
            curve: the first objective at each epoch.
        """
        return cls(state, () if value is None else (value,), curve)

    @property
    def value(self) -> float | None:
        """The first objective at the best epoch; None for a failed trial."""
        return self.values[0] if self.values else None
