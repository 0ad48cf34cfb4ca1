"""The training loop of one model: early stopping, schedule, weights of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from contextlib import nullcontext

import keras
import numpy as np

from mnist_core.data.images import Split
from mnist_core.errors import NonFiniteError
from mnist_core.hyperparameters import TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason, TrainingResult
from mnist_core.training.compiled_epoch import CompiledEpoch, CompiledEvaluation, ResidentSplit, prepare
from mnist_core.training.early_stopping import BestEpoch
from mnist_core.training.schedules import LearningRates
from mnist_core.training.weight_average import WeightAverage

EpochCallback = Callable[[int, EpochMetrics], bool]
"""Called after each epoch with its 1-based number and metrics; False ends the training as pruned."""


def never_stop(epoch: int, metrics: EpochMetrics) -> bool:
    """Continue: the default callback, which never prunes."""
    return True


def train(
    model: keras.Model,
    data: Split | ResidentSplit,
    config: TrainingConfig,
    seed: int,
    report: EpochCallback = never_stop,
    structure: Hashable | None = None,
) -> TrainingResult:
    """Train a compiled model, and set it to the weights of its best epoch.

    Args:
        model: any compiled Keras model from pixels ``(n, height, width)`` to probabilities ``(n, classes)`` that
            :func:`~mnist_core.models.supported.check_supported` accepts. It is changed in place.
        data: training and validation images; a ``ResidentSplit`` avoids a copy if several models train on it.
        config: settings of the training.
        seed: of the order and the random changes of the images only; initial weights and dropout are seeded before
            the model is built.
        report: called after each epoch; False ends the training as pruned, unless it has ended anyway.
        structure: that of :class:`~mnist_core.training.compiled_epoch.CompiledEpoch`: models of the same structure that
            train on the same ``ResidentSplit`` are traced once. The results do not depend on it.

    Returns:
        The metrics of all epochs, the best epoch and the reason for the end.

    Raises:
        NonFiniteError: a loss or a weight became infinite or NaN. Do not use the model.
        ParameterError: the model is not supported, or ``config`` has a schedule that its optimizer cannot follow.
    """
    if isinstance(data, Split):
        data = ResidentSplit.load(data)
    prepare(model, data.train)
    rates = LearningRates(config, model.optimizer, steps=math.ceil(len(data.train) / config.batch_size))
    average = WeightAverage(model, config.ema) if config.ema else None
    run_epoch = CompiledEpoch(model, data.train, config.batch_size, config.augmentation, average, rates.vary, structure)
    evaluate = CompiledEvaluation(model, data.validation, structure)
    rng = np.random.default_rng(seed)
    best, best_weights = BestEpoch(config.early_stopping), model.get_weights()
    history: list[EpochMetrics] = []
    reason = None
    while reason is None:
        epoch = len(history) + 1
        loss, accuracy = run_epoch(rng, rates.of_epoch(epoch))
        with average.in_place() if average else nullcontext():
            validation = evaluate()
            if not (math.isfinite(loss) and validation.finite):
                raise NonFiniteError(
                    f"epoch {epoch}: training loss {loss:g}, validation loss {validation.loss:g}; a loss or a weight "
                    "is not finite. A smaller learning_rate usually helps"
                )
            history.append(EpochMetrics(loss, accuracy, validation.loss, validation.accuracy, validation.crossentropy))
            if best.update(epoch, history[-1]):
                best_weights = model.get_weights()
        rates.update(epoch, history[-1])
        keep_going = report(epoch, history[-1])
        if epoch == config.epochs:
            reason = StopReason.BUDGET
        elif best.out_of_patience(epoch):
            reason = StopReason.PATIENCE
        elif not keep_going:
            reason = StopReason.PRUNED
    rates.restore()
    if average or best.epoch != len(history):
        model.set_weights(best_weights)
    return TrainingResult(tuple(history), best.epoch, reason)
