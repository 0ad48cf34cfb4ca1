"""The exponential moving average of a model's weights, which generalises better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf


class WeightAverage:
    """An exponential moving average that starts as a plain mean.

    The momentum grows with the number of steps, ``min(momentum, (1 + steps) / (10 + steps))``, as in
    ``tf.train.ExponentialMovingAverage``, so the initial weights soon have no effect. The moments of batch
    normalisation are averaged too: those of the last weights do not fit the averaged weights.

    Args:
        model: built; the average starts with its current weights.
        momentum: of the average after many steps, in (0, 1).
    """

    def __init__(self, model: keras.Model, momentum: float) -> None:
        self._variables = [variable for variable in model.weights if "float" in variable.dtype]  # also bfloat16
        self._averages = [tf.Variable(_precise(variable), trainable=False) for variable in self._variables]
        self._steps = tf.Variable(0.0, trainable=False)
        self.momentum = momentum

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that :meth:`update` writes but the model."""
        return [*self._averages, self._steps]

    def update(self) -> None:
        """Add the weights after a step; to be traced into the compiled epoch."""
        self._steps.assign_add(1.0)
        momentum = tf.minimum(self.momentum, (1 + self._steps) / (10 + self._steps))
        for average, variable in zip(self._averages, self._variables, strict=True):
            kept = tf.cast(momentum, average.dtype)
            average.assign(kept * average + (1 - kept) * _precise(variable))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Set the model to the averaged weights in this block."""
        weights = [tf.identity(variable.value) for variable in self._variables]
        self._set(self._averages)
        try:
            yield
        finally:
            self._set(weights)

    def _set(self, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(tf.cast(value, variable.dtype))


def _precise(variable: keras.Variable) -> tf.Tensor:
    """Its value, at least in float32: half precision would round small changes of an average away."""
    return variable.value if variable.dtype == "float64" else tf.cast(variable.value, tf.float32)
