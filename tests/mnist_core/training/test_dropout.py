from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.data.images import LabelledImages, Split
from mnist_core.runtime import reset
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentImages
from mnist_core.training.dropout import dropout_by_product, dropout_factors, dropout_layers

IMAGES, BATCH = 100, 40


class Subclass(keras.layers.Dropout):
    """A layer that may do anything in its call."""


def network(*middle: keras.layers.Layer) -> keras.Model:
    ends = keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), *middle, *ends])
    model.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return model


def noisy() -> keras.Model:
    reset(0)
    dropout = keras.layers.Dropout
    inner = keras.Sequential([keras.Input((28, 28)), dropout(0.3), keras.layers.Dense(9, activation="relu")])
    return network(dropout(0.1, seed=7), inner, dropout(0.7), dropout(0.5, noise_shape=(None, 1, 9)), dropout(0.0))


@pytest.fixture(scope="module")
def images(small_split: Split) -> LabelledImages:
    return small_split.train.take(np.arange(IMAGES))


def test_an_epoch_with_dropout_gives_the_weights_of_keras_up_to_rounding(images: LabelledImages) -> None:
    ours, theirs = noisy(), noisy()
    assert len(dropout_layers(ours)) == 3
    CompiledEpoch(ours, ResidentImages.load(images), BATCH)(np.random.default_rng(0))
    order = np.random.default_rng(0).permutation(IMAGES)
    for start in range(0, IMAGES, BATCH):
        chosen = order[start : start + BATCH]
        theirs.train_on_batch(images.images[chosen], images.labels[chosen].astype(int))
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        # Seven digits; TensorFlow joins constant factors where it can.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "options", [{"rate": 0.0}, {"rate": 0.5, "noise_shape": (None, 1, 28)}, {"rate": 0.5, "dtype": "mixed_float16"}]
)
def test_other_dropout_is_left_to_keras(options: dict[str, Any]) -> None:
    assert dropout_layers(network(keras.layers.Dropout(**options))) == []
    assert dropout_layers(network(Subclass(0.5))) == []


def test_the_rate_is_an_argument_and_the_layer_is_unchanged_after_an_error() -> None:
    reset(0)
    model = network(keras.layers.Dropout(0.5))
    layers = dropout_layers(model)

    @tf.function
    def zeros(x: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        with dropout_by_product(layers, factors):
            return tf.reduce_mean(tf.cast(layers[0](x, training=True) == 0, tf.float32))

    ones = tf.ones((100, 28, 28))
    shares = [float(zeros(ones, tf.constant([[rate, 1 / (1 - rate)]]))) for rate in (0.1, 0.8)]
    assert shares == pytest.approx([0.1, 0.8], abs=0.01)
    with contextlib.suppress(ZeroDivisionError), dropout_by_product(layers, tf.constant(dropout_factors(layers))):
        assert "call" in vars(layers[0])
        raise ZeroDivisionError
    assert "call" not in vars(layers[0])
