"""The metrics of training: their curves, the best epoch, and the reason for the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """The direction in which a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    def better(self, new: float, old: float, margin: float = 0.0) -> bool:
        """True if ``new`` is better than ``old`` by more than ``margin``. NaN is never better."""
        return new - old > margin if self is Direction.MAXIMIZE else old - new > margin

    @property
    def worst(self) -> float:
        """The value that every finite value is better than."""
        return -math.inf if self is Direction.MAXIMIZE else math.inf


class Metric(Enum):
    """The metrics of each epoch, by their names in Keras and MLflow."""

    LOSS = "loss"
    ACCURACY = "accuracy"
    VAL_LOSS = "val_loss"
    VAL_ACCURACY = "val_accuracy"
    VAL_CROSSENTROPY = "val_crossentropy"

    @property
    def direction(self) -> Direction:
        """MAXIMIZE for accuracies, MINIMIZE for losses."""
        return Direction.MAXIMIZE if self in (Metric.ACCURACY, Metric.VAL_ACCURACY) else Direction.MINIMIZE


MONITORED = (Metric.LOSS, Metric.ACCURACY, Metric.VAL_LOSS, Metric.VAL_ACCURACY)
"""The metrics that early stopping can monitor."""


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch.

    ``loss`` and ``accuracy`` are means over the training images during the epoch, with dropout and with weights
    that change (as Keras's ``fit`` reports them). ``val_loss`` and ``val_accuracy`` are those of the epoch's last
    weights, or of their moving average if ``ema`` is set, without dropout. Losses include regularisation and are in
    nats; accuracies are in [0, 1]. ``val_crossentropy`` is the mean of ``-log`` of the true class's probability, in
    nats, without penalties and smoothing, so it is comparable between models. None if it was not recorded.
    """

    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_crossentropy: float | None = None

    def value(self, metric: Metric) -> float:
        """The value of ``metric``; NaN if it was not recorded."""
        value = getattr(self, metric.value)
        return math.nan if value is None else float(value)


class StopReason(Enum):
    """The reason why training ended."""

    BUDGET = "budget"
    PATIENCE = "patience"
    PRUNED = "pruned"
    NON_FINITE = "non-finite"


@dataclass(frozen=True)
class TrainingResult:
    """The result of one training; the model itself has the weights of ``best_epoch``.

    Args:
        history: metrics of all epochs, in order; never empty.
        best_epoch: 1-based epoch whose weights the model has.
        reason: the reason why training ended.
    """

    history: tuple[EpochMetrics, ...]
    best_epoch: int
    reason: StopReason

    @property
    def best(self) -> EpochMetrics:
        """The metrics of the weights that the model has."""
        return self.history[self.best_epoch - 1]
