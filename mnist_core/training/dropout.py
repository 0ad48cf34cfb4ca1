"""Dropout by a product, with rates that are arguments of the traced function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats
from mnist_core.training.layer_calls import Call, leaf_layers, replaced_calls


def dropout_layers(model: keras.Model) -> list[keras.layers.Dropout]:
    """The layers of a model that :func:`dropout_by_product` replaces: plain ones with a rate above 0, in float32."""
    return [layer for layer in leaf_layers(model) if _replaceable(layer)]


def dropout_factors(layers: list[keras.layers.Dropout]) -> Floats:
    """Rate of each layer, and the factor of the values that it keeps, shape ``(layers, 2)``, float32."""
    return np.array([(layer.rate, 1 / (1 - layer.rate)) for layer in layers], np.float32).reshape(-1, 2)


@contextmanager
def dropout_by_product(layers: list[keras.layers.Dropout], factors: tf.Tensor) -> Iterator[None]:
    """Replace dropout in a function that is traced in this block; the random numbers and the result are Keras's.

    Keras selects between values and zeros, forward and backward, at several times the cost of a product with zeros and
    factors. A rate that is an argument lets networks that differ in it share a traced function. The layers are
    unchanged after the block.

    Args:
        layers: some of :func:`dropout_layers`.
        factors: those of :func:`dropout_factors`, as an argument of the function that is traced.
    """
    calls = (_product_call(layer, factors[index, 0], factors[index, 1]) for index, layer in enumerate(layers))
    with replaced_calls(zip(layers, calls, strict=True)):
        yield


def _replaceable(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Dropout
        and 0 < layer.rate < 1
        and layer.noise_shape is None
        and layer.compute_dtype == "float32"
    )


def _product_call(layer: keras.layers.Dropout, rate: tf.Tensor, factor: tf.Tensor) -> Call:
    def call(inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        drawn = keras.random.uniform(keras.ops.shape(inputs), dtype="float32", seed=layer.seed_generator)
        return inputs * (tf.cast(drawn >= rate, tf.float32) * factor)

    return call
