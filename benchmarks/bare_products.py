"""The matrix products and convolutions of an epoch and nothing else, as a lower bound of its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf


@dataclass(frozen=True)
class _Product:
    """The three products of one layer: its output, and the gradients of its weights and of its input.

    Args:
        inputs: random, of the size of a batch.
        weights: a variable, since TensorFlow would move products of constants out of the loop.
        is_convolution: with padding, or else of matrices.
        is_first: the gradient of the input is not needed.
    """

    inputs: tf.Tensor
    weights: tf.Variable
    is_convolution: bool
    is_first: bool

    def compute(self) -> list[tf.Tensor]:
        """Compute all of them; the output stands for its own gradient."""
        x, w = self.inputs, self.weights.read_value()
        if not self.is_convolution:
            y = tf.matmul(x, w)
            gradients = [tf.matmul(x, y, transpose_a=True)]
            return gradients if self.is_first else [*gradients, tf.matmul(y, w, transpose_b=True)]
        options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
        y = tf.nn.conv2d(x, w, **options)
        gradients = [tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=w.shape, out_backprop=y, **options)]
        if not self.is_first:
            sizes = tf.constant(x.shape.as_list())
            gradients.append(tf.raw_ops.Conv2DBackpropInput(input_sizes=sizes, filter=w, out_backprop=y, **options))
        return gradients


def products(model: keras.Model, batch: int) -> list[_Product]:
    """Those of the dense layers and the convolutions of a network of the model factory."""
    found: list[_Product] = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            inputs = tf.random.normal((batch, *layer.input.shape[1:]))
            weights = tf.Variable(tf.random.normal(layer.kernel.shape) * 0.01)
            found.append(_Product(inputs, weights, isinstance(layer, keras.layers.Conv2D), not found))
    return found


def bare_epoch(model: keras.Model, batch: int, steps: int) -> Callable[[], float]:
    """Return a function that computes the products of an epoch."""
    parts = products(model, batch)

    @tf.function
    def run() -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(steps):
            for part in parts:
                for gradient in part.compute():
                    # One number of each, so that none is left out.
                    total += tf.reshape(gradient, (-1,))[0]
        return total

    return lambda: float(run())
