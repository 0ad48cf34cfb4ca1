"""The values that travel between searcher, executor, loop and record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mnist_core.hyperparameters import ModelConfig, TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason, TrainingResult
from search.objectives import Objective
from search.space import Point
from search.worker_info import WorkerInfo


class TrialState(Enum):
    """The states of a trial."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_finished(self) -> bool:
        """True where the trial has its result. A killed one has none, and is run again."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)


@dataclass(frozen=True)
class Trial:
    """One point to be trained.

    Args:
        number: counts the trials of a sweep, from 0; the same for all attempts at a point.
        point: the searched parameters.
        hyperparameters: values that the model is built from, searched and fixed.
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
        """The name for people: ``trial-007``, or ``trial-007 (attempt 2)`` after a lost attempt."""
        attempt = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"trial-{self.number:03d}{attempt}"


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
    """The result of a trial.

    Args:
        state: COMPLETE, PRUNED or FAILED.
        history: metrics of every epoch that was run.
        best_epoch: 1-based epoch whose weights the model holds; None for a failed trial, and for a pruned one whose
            record lacks it.
        stop_reason: why training ended; None where something other than training failed.
        training_seconds: wall time of building and training the model, without waiting for answers to its reports.
        saving_seconds: wall time of writing the model's files.
        model: the saved model; None for a failed trial, and for a result that was read back.
        weights: number of the model's weights, known also where its files are no longer at hand.
        error: one line on why it failed.
        traceback: of the exception that made it fail.
        worker: the place in which it ran; None where that is not known.

    Raises:
        ValueError: the values contradict each other. :meth:`read_back` never raises it.
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
    worker: WorkerInfo | None = None

    def __post_init__(self) -> None:
        _check_finished(self.state)
        epochs, failed = len(self.history), self.state is TrialState.FAILED
        if self.best_epoch is not None and not 1 <= self.best_epoch <= epochs:
            raise ValueError(
                f"best_epoch: expected one of the {epochs} epochs of the history, received {self.best_epoch}"
            )
        if self.state is TrialState.COMPLETE and self.best_epoch is None:
            raise ValueError("best_epoch: expected one for a complete trial, received None")
        if self.state is TrialState.PRUNED and not self.history:
            raise ValueError("history: expected one epoch or more for a pruned trial, received none")
        if failed and (self.best_epoch is not None or self.model is not None):
            raise ValueError("best_epoch, model: expected None for a failed trial")
        if failed and self.error is None and self.stop_reason is None:
            raise ValueError("error: expected the cause of a failed trial, or a stop_reason; received neither")

    @classmethod
    def trained(
        cls, training: TrainingResult, model: SavedModel, training_seconds: float, saving_seconds: float
    ) -> TrialResult:
        """Return the result of a training that came to its end. It always has its model.

        Args:
            training: curves, best epoch, and why it ended.
            model: its files.
            training_seconds: wall time of building and training the model.
            saving_seconds: wall time of writing the files.
        """
        return cls(
            TrialState.PRUNED if training.reason is StopReason.PRUNED else TrialState.COMPLETE,
            history=training.history,
            best_epoch=training.best_epoch,
            stop_reason=training.reason,
            training_seconds=training_seconds,
            saving_seconds=saving_seconds,
            model=model,
            weights=model.weights,
        )

    @classmethod
    def read_back(
        cls,
        state: TrialState,
        history: tuple[EpochMetrics, ...],
        best_epoch: int | None,
        weights: int | None,
        error: str | None = None,
    ) -> TrialResult:
        """Return the result of a recorded trial, without its files.

        A record that contradicts itself, such as a best epoch after the last one, gives a FAILED result whose error
        names the contradiction.

        Args:
            state: as recorded.
            history: the recorded epochs.
            best_epoch: as recorded; ignored for a failed trial.
            weights: number of the model's weights; None where it was not recorded.
            error: why the trial failed; None where it was not recorded.
        """
        if state is TrialState.FAILED:
            return cls(state, history, weights=weights, error=error or "failed; the record names no cause")
        try:
            return cls(state, history, best_epoch, weights=weights)
        except ValueError as contradiction:
            return cls(TrialState.FAILED, history, weights=weights, error=f"the record is broken: {contradiction}")

    @property
    def best(self) -> EpochMetrics | None:
        """The metrics of the saved weights."""
        return self.history[self.best_epoch - 1] if self.best_epoch else None

    def outcome(self, objectives: Sequence[Objective]) -> Outcome:
        """Return the end of the trial in the terms of a searcher.

        A complete trial without a number for an objective is FAILED there: samplers refuse NaN, so a record with one
        would keep its sweep from being resumed.

        Args:
            objectives: of the sweep, the first of them the one that ranks.
        """
        values = tuple(one.value(self.best, self.weights) for one in objectives) if self.best else ()
        curve = tuple(objectives[0].value(metrics, self.weights) for metrics in self.history)
        if self.state is TrialState.COMPLETE and any(map(math.isnan, values)):
            return Outcome(TrialState.FAILED, curve=curve)
        return Outcome(self.state, values, curve)


@dataclass(frozen=True)
class Outcome:
    """The end of a trial in the terms of a searcher.

    Args:
        state: COMPLETE, PRUNED or FAILED.
        values: of each objective at the best epoch; empty for a failed trial.
        curve: the first objective at each epoch.

    Raises:
        ValueError: the values contradict each other. :meth:`read_back` never raises it.
    """

    state: TrialState
    values: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_finished(self.state)
        if self.state is TrialState.COMPLETE and not self.values:
            raise ValueError("values: expected one for each objective of a complete trial, received none")
        if self.state is TrialState.FAILED and self.values:
            raise ValueError(f"values: expected none for a failed trial, received {self.values}")
        if self.state is TrialState.PRUNED and not self.curve:
            raise ValueError("curve: expected one epoch or more for a pruned trial, received none")

    @classmethod
    def read_back(cls, state: TrialState, value: float | None, curve: tuple[float, ...]) -> Outcome:
        """Return the outcome of a recorded trial. A record that contradicts itself gives a FAILED one.

        Args:
            state: as recorded.
            value: the first objective at the best epoch; None where it was not recorded. Ignored for a failed trial.
            curve: the first objective at each epoch.
        """
        values = () if value is None or state is TrialState.FAILED else (value,)
        try:
            return cls(state, values, curve)
        except ValueError:
            return cls(TrialState.FAILED, curve=curve)

    @property
    def value(self) -> float | None:
        """The first objective at the best epoch; None for a failed trial."""
        return self.values[0] if self.values else None


def _check_finished(state: TrialState) -> None:
    if not state.is_finished:
        raise ValueError(f"state: expected that of a finished trial, received {state.name}")
