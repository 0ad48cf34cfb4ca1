"""Which epoch counts, and for how long nothing has improved."""

from __future__ import annotations

from mnist_core.hyperparameters import EarlyStopping
from mnist_core.metrics import EpochMetrics, Metric


class BestEpoch:
    """Which epoch is the best so far, and for how long nothing has improved.

    The best epoch is the one with the best value, by however little. Patience is counted from the last
    improvement of more than ``min_delta``, so a slow creep neither loses its best weights nor goes on for ever.
    """

    def __init__(self, stopping: EarlyStopping) -> None:
        self._stopping = stopping
        self._direction = Metric(stopping.monitor).direction
        self._best = self._mark = self._direction.worst
        self._mark_epoch = 0
        self.epoch = 0

    def update(self, epoch: int, metrics: EpochMetrics) -> bool:
        """Take in one epoch; whether it is the best so far."""
        value = metrics.value(Metric(self._stopping.monitor))
        if self._direction.better(value, self._mark, self._stopping.min_delta):
            self._mark, self._mark_epoch = value, epoch
        if not self._direction.better(value, self._best):
            return False
        self._best, self.epoch = value, epoch
        return True

    def out_of_patience(self, epoch: int) -> bool:
        """Whether ``patience`` epochs have gone by without an improvement."""
        return epoch - self._mark_epoch >= self._stopping.patience
