"""Schedules of the learning rate: warm-up, cosine, plateau."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Floats
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import EarlyStopping, TrainingConfig
from mnist_core.metrics import EpochMetrics
from mnist_core.training.early_stopping import BestEpoch

Steps = npt.NDArray[np.int64]
Factors = npt.NDArray[np.float64]


def rising(steps: Steps, warmup: float) -> Factors:
    """Factors of a linear warm-up over the first ``warmup`` steps, by 0-based number of the step."""
    return np.minimum(1.0, (steps + 1) / warmup) if warmup else np.ones(len(steps))


def cosine(steps: Steps, warmup: float, total: int) -> Factors:
    """Factors of a cosine from 1 after the warm-up to 0 at the end of all steps (Loshchilov and Hutter 2017)."""
    progress = np.clip((steps - warmup) / max(1.0, total - warmup), 0.0, 1.0)
    return np.asarray((1 + np.cos(np.pi * progress)) / 2)


class Plateau:
    """A factor that is halved after half of early stopping's patience without an improvement."""

    FACTOR = 0.5

    def __init__(self, stopping: EarlyStopping) -> None:
        self._patience = max(1, stopping.patience // 2)
        self._best = BestEpoch(replace(stopping, patience=self._patience))
        self._reduced_at = 0
        self.factor = 1.0

    def update(self, epoch: int, metrics: EpochMetrics) -> None:
        """Add the metrics of an epoch."""
        self._best.update(epoch, metrics)
        if self._best.out_of_patience(epoch) and epoch - self._reduced_at >= self._patience:
            self.factor *= self.FACTOR
            self._reduced_at = epoch


class LearningRates:
    """The learning rates of one training, as factors of the optimizer's initial rate.

    Args:
        config: has the schedule and its warm-up.
        optimizer: unchanged if the rate is constant.
        steps: number of steps in an epoch.

    Raises:
        ParameterError: the config has a schedule, and the optimizer has one too or several rates.
    """

    def __init__(self, config: TrainingConfig, optimizer: keras.optimizers.Optimizer, steps: int) -> None:
        self._config, self._optimizer, self._steps = config, optimizer, steps
        self._plateau = Plateau(config.early_stopping)
        self.vary = config.schedule != "constant" or config.warmup > 0
        """True if the rate is not constant."""
        self._base = self._initial_rate() if self.vary else math.nan

    def of_epoch(self, epoch: int) -> Floats:
        """The rates of a 1-based epoch, shape ``(steps,)``; empty if they do not vary."""
        if not self.vary:
            return np.zeros(0, np.float32)
        before = (epoch - 1) * self._steps + np.arange(self._steps)
        warmup = self._config.warmup * self._steps
        factors = rising(before, warmup)
        if self._config.schedule == "cosine":
            factors *= cosine(before, warmup, self._config.epochs * self._steps)
        if self._config.schedule == "plateau":
            factors *= self._plateau.factor
        return np.asarray(self._base * factors, np.float32)

    def update(self, epoch: int, metrics: EpochMetrics) -> None:
        """Add the metrics of an epoch."""
        self._plateau.update(epoch, metrics)

    def restore(self) -> None:
        """Set the optimizer to its initial rate."""
        if self.vary:
            self._optimizer.learning_rate = self._base

    def _initial_rate(self) -> float:
        rate = getattr(self._optimizer, "learning_rate", None)  # a MultiOptimizer has none
        if not isinstance(rate, keras.Variable):
            raise ParameterError(
                "schedule: the optimizer has its own schedule or several rates; expected schedule = 'constant' and "
                f"warmup = 0, received {self._config.schedule!r} and {self._config.warmup:g}"
            )
        return float(rate)
