"""Custom models and data, good and bad. Workers import this module by its name."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import keras
import numpy as np


def softmax(units: int, rate: float = 0.01, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """A compiled network."""
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="tanh"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), loss="sparse_categorical_crossentropy")
    return model


def recording_its_environment(units: int, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """Write the environment of this process into the folder in which the sweep was started."""
    Path("environment.json").write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    return softmax(units, input_shape=input_shape)


def leaving_a_temporary_file(units: int, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    tempfile.mkstemp(prefix="left-by-a-trial-")
    return softmax(units, input_shape=input_shape)


def sleeping(units: int, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """Sleep for ever."""
    while True:
        time.sleep(1)


def not_a_model(units: int) -> dict[str, int]:
    return {"units": units}


def ending_its_process(units: int) -> keras.Model:
    raise SystemExit(0)


def not_compiled(units: int) -> keras.Model:
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(units)])


def of_three_classes(units: int) -> keras.Model:
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


class Subclassed(keras.Model):
    """A subclass of keras.Model that computes what a functional model could."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.scores = keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return self.scores(self.flatten(pixels))


def subclassed(units: int) -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 28, 28), np.uint8))
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


class OwnSteps(keras.Model):
    """A functional model, but for its class."""

    def train_step(self, data: object) -> dict[str, float]:
        return {"loss": 0.0}


def with_own_steps(units: int) -> keras.Model:
    plain = softmax(units)
    model = OwnSteps(plain.inputs, plain.outputs[0])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def with_logits(units: int) -> keras.Model:
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def with_an_average_of_its_own(units: int) -> keras.Model:
    model = softmax(units)
    model.compile(keras.optimizers.SGD(use_ema=True), loss="sparse_categorical_crossentropy")
    return model


class Garment(keras.layers.Layer):
    """Of a library whose name begins as that of Keras does."""

    __module__ = "keras_garments"

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return pixels


def with_a_layer_of_another_library(units: int) -> keras.Model:
    return _with(Garment())


class Doubled(keras.layers.Layer):
    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return 2 * pixels


def _with(layer: keras.layers.Layer) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.Sequential([layer]), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def with_an_own_layer(units: int) -> keras.Model:
    return _with(Doubled())


def with_a_lambda(units: int) -> keras.Model:
    return _with(keras.layers.Lambda(lambda pixels: 2 * pixels))


def with_own_epochs(units: int, epochs: int) -> keras.Model:
    return softmax(units)


def with_a_seed_of_its_own(units: int, seed: int = 3) -> keras.Model:
    return softmax(units)


def typed_for_checkers_alone(units: int) -> "nowhere.Model":  # type: ignore[name-defined]  # noqa: F821, UP037
    return softmax(units)


def anything(**arguments: object) -> keras.Model:
    return softmax(8)


a_number = 3


def _stripes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of one bright column whose place tells the class."""
    labels = np.arange(count) % 10
    images = np.zeros((count, 12, 12), np.uint8)
    images[np.arange(count), :, 1 + labels] = 200
    return images, labels


def stripes() -> tuple[np.ndarray, ...]:
    return (*_stripes(400), *_stripes(100))


def stripes_in_pairs() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return _stripes(400), _stripes(100)


def floats() -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(array, np.float32) for array in stripes())


def too_few() -> tuple[np.ndarray, ...]:
    return stripes()[:3]


def a_dictionary() -> dict[str, np.ndarray]:
    return {"train": _stripes(400)[0], "test": _stripes(100)[0]}


def nothing() -> None:
    return None


def without_data() -> None:
    raise SystemExit("no data")


def broken() -> None:
    raise OSError("the cable is out")


def broken_after_computing() -> None:
    """Data that TensorFlow has a part in, and that cannot be read after that."""
    import tensorflow as tf

    tf.reduce_sum(tf.ones(3)).numpy()
    raise OSError("the cable is out")
