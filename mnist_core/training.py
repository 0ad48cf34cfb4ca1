"""Training one model: early stopping, the best epoch, its weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np

from mnist_core.compiled import CompiledEpoch, CompiledEvaluation, ResidentSplit
from mnist_core.data import Split
from mnist_core.errors import NonFiniteError
from mnist_core.hyperparameters import EarlyStopping, TrainingConfig
from mnist_core.metrics import EpochMetrics, Metric, StopReason, TrainingResult

Report = Callable[[int, EpochMetrics], bool]
"""Called after each epoch with its 1-based number and metrics; False ends the training as pruned."""


def go_on(epoch: int, metrics: EpochMetrics) -> bool:
    """The report that never prunes."""
    return True


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


def train(
    model: keras.Model, data: Split | ResidentSplit, config: TrainingConfig, seed: int, report: Report = go_on
) -> TrainingResult:
    """Train a compiled model and leave the weights of its best epoch in it.

    Args:
        model: any compiled Keras model from pixels ``(n, height, width)`` to scores ``(n, classes)``; it need
            not be Sequential. It is changed in place.
        data: training and validation images; resident ones spare a copy where several models train on them.
        config: epochs, batch size and early stopping.
        seed: decides the order of the images, and it alone; initial weights and dropout were seeded where
            the model was built.
        report: told of every epoch; its False ends the training as pruned, unless it was over anyway.

    Returns:
        The curves, the best epoch and the reason for the end.

    Raises:
        NonFiniteError: a loss or a weight became infinite or NaN. The model is not to be used.
        ParameterError: the model is not compiled.
    """
    if isinstance(data, Split):
        data = ResidentSplit.load(data)
    run_epoch = CompiledEpoch(model, data.train, config.batch_size)
    evaluate = CompiledEvaluation(model, data.validation)
    rng = np.random.default_rng(seed)
    best, best_weights = BestEpoch(config.early_stopping), model.get_weights()
    history: list[EpochMetrics] = []
    reason = None
    while reason is None:
        loss, accuracy = run_epoch(rng)
        validation = evaluate()
        epoch = len(history) + 1
        if not (math.isfinite(loss) and validation.finite):
            raise NonFiniteError(
                f"epoch {epoch}: training loss {loss:g}, validation loss {validation.loss:g}; a loss or a weight is "
                "not finite. A smaller learning_rate usually helps"
            )
        history.append(EpochMetrics(loss, accuracy, validation.loss, validation.accuracy))
        if best.update(epoch, history[-1]):
            best_weights = model.get_weights()
        keep_going = report(epoch, history[-1])
        if epoch == config.epochs:
            reason = StopReason.BUDGET
        elif best.out_of_patience(epoch):
            reason = StopReason.PATIENCE
        elif not keep_going:
            reason = StopReason.PRUNED
    if best.epoch != len(history):
        model.set_weights(best_weights)
    return TrainingResult(tuple(history), best.epoch, reason)
