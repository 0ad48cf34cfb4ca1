"""The best epoch, and the number of epochs without an improvement."""

from __future__ import annotations

from mnist_core.hyperparameters import EarlyStopping
from mnist_core.metrics import EpochMetrics, Metric


class BestEpoch:
    """The best epoch so far, and the number of epochs without an improvement.

    The best epoch is the one with the best value, by any margin. Patience is counted from the last improvement of
    more than ``min_delta``, so a slow improvement keeps its best weights, but does not prolong the training.
    """

    def __init__(self, stopping: EarlyStopping) -> None:
        self._stopping = stopping
        self._direction = Metric(stopping.monitor).direction
        self._best = self._last_improved = self._direction.worst
        self._last_improved_epoch = 0
        self.epoch = 0

    def update(self, epoch: int, metrics: EpochMetrics) -> bool:
        """Add the metrics of an epoch, and return true if it is the best so far."""
        value = metrics.value(Metric(self._stopping.monitor))
        if self._direction.better(value, self._last_improved, self._stopping.min_delta):
            self._last_improved, self._last_improved_epoch = value, epoch
        if not self._direction.better(value, self._best):
            return False
        self._best, self.epoch = value, epoch
        return True

    def out_of_patience(self, epoch: int) -> bool:
        """True if there was no improvement for ``patience`` epochs."""
        return epoch - self._last_improved_epoch >= self._stopping.patience
