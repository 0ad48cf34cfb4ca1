"""What training measures: the curves, the epoch that counts, and why it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """Which way a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    def better(self, new: float, old: float, margin: float = 0.0) -> bool:
        """Whether ``new`` beats ``old`` by more than ``margin``. Nothing that is not a number beats anything."""
        return new - old > margin if self is Direction.MAXIMIZE else old - new > margin

    @property
    def worst(self) -> float:
        """The value that every finite one beats."""
        return -math.inf if self is Direction.MAXIMIZE else math.inf


class Metric(Enum):
    """The per-epoch curves, by the names under which Keras and MLflow users know them."""

    LOSS = "loss"
    ACCURACY = "accuracy"
    VAL_LOSS = "val_loss"
    VAL_ACCURACY = "val_accuracy"
    VAL_CROSSENTROPY = "val_crossentropy"

    @property
    def direction(self) -> Direction:
        """Accuracies are maximised, losses minimised."""
        return Direction.MAXIMIZE if self in (Metric.ACCURACY, Metric.VAL_ACCURACY) else Direction.MINIMIZE


MONITORED = (Metric.LOSS, Metric.ACCURACY, Metric.VAL_LOSS, Metric.VAL_ACCURACY)
"""Those that early stopping can go by."""


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch's measurements.

    ``loss`` and ``accuracy`` are means over the training images as they were seen, dropout on and weights
    moving (as Keras's ``fit`` reports them); ``val_loss`` and ``val_accuracy`` are of the epoch's final
    weights, dropout off. Losses include regularisation and are in nats; accuracies lie in [0, 1].
    ``val_crossentropy`` is the mean of ``-log`` of the probability given to the true class, in nats, without penalties
    and smoothing: it means the same for every model. None where it was not recorded.
    """

    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_crossentropy: float | None = None

    def value(self, metric: Metric) -> float:
        """The measurement called ``metric``; NaN where it was not recorded."""
        value = getattr(self, metric.value)
        return math.nan if value is None else float(value)


class StopReason(Enum):
    """Why training ended."""

    BUDGET = "budget"
    PATIENCE = "patience"
    PRUNED = "pruned"
    NON_FINITE = "non-finite"


@dataclass(frozen=True)
class TrainingResult:
    """What one training left behind; the model itself holds the weights of ``best_epoch``.

    Args:
        history: metrics of every epoch run, in order; never empty.
        best_epoch: 1-based epoch whose weights the model holds.
        reason: why training ended.
    """

    history: tuple[EpochMetrics, ...]
    best_epoch: int
    reason: StopReason

    @property
    def best(self) -> EpochMetrics:
        """The metrics of the weights that the model holds."""
        return self.history[self.best_epoch - 1]
