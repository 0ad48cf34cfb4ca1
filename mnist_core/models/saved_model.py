"""Saving, loading and calling of Keras model files, without running code from the file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats, Images
from mnist_core.errors import DataError, ModelError
from mnist_core.models.losses import SmoothedCrossentropy
from mnist_core.models.probabilities import probability_fault

PREDICTION_BATCH = 2000


def load_model(path: Path) -> keras.Model:
    """Load the model of a ``.keras`` file for prediction; it is not compiled.

    Keras's safe mode refuses a file that contains code. The caller checks by its SHA-256 that the file is the one that
    was saved.

    Raises:
        ModelError: no such file, not a Keras model, or one that contains code.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, HDF5 and zipfile raise many kinds of exceptions for broken archives
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{path}: expected a Keras model that holds no code, cannot load it: {reason}") from error


@contextmanager
def portable(model: keras.Model) -> Iterator[None]:
    """Make a file that is saved in this block loadable, compiled, with nothing but Keras.

    This project's loss is permanently replaced by Keras's. The custom objects that libraries registered with Keras are
    hidden in the block: MLflow would pickle them all with the model, and need those libraries to load it.

    Args:
        model: compiled or not.
    """
    if model.compiled and isinstance(model.loss, SmoothedCrossentropy):
        model.compile(model.optimizer, loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    registered = keras.saving.get_custom_objects()
    custom_objects = dict(registered)
    registered.clear()
    try:
        yield
    finally:
        registered.update(custom_objects)


@dataclass(frozen=True)
class Latency:
    """The time to predict one image, in milliseconds: median and 99th percentile."""

    median: float
    p99: float


def latency(model: keras.Model, image: Images, calls: int = 300) -> Latency:
    """Measure the time of a compiled prediction of one image, after a warm-up.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        image: shape ``(height, width)``, uint8.
        calls: number of measured calls.
    """
    batch = tf.constant(image[None])
    run = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(batch)
    times = []
    for _ in range(calls + calls // 10):
        started = time.perf_counter()
        run(batch).numpy()
        times.append(time.perf_counter() - started)
    median, p99 = np.percentile(times[calls // 10 :], [50, 99]) * 1000
    return Latency(float(median), float(p99))


def predict(model: keras.Model, images: Images) -> Floats:
    """Class probabilities of raw images.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        images: shape ``(n, height, width)``, uint8.

    Returns:
        Shape ``(n, classes)``, float32. Some may not be finite.

    Raises:
        DataError: the images have another size than the model's input.
        ModelError: the outputs of the model are no probabilities.
    """
    shape = getattr(model, "input_shape", (None,))  # a subclassed model has none
    sizes = zip(shape[1:], images.shape[1:], strict=False)  # Keras adds a missing last axis
    if any(expected not in (None, received) for expected, received in sizes):
        expected, received = (" × ".join(map(str, sizes[1:3])) for sizes in (shape, images.shape))
        raise DataError(f"images: expected {expected} pixels, the input of the model, received {received}")
    batches = [images[start : start + PREDICTION_BATCH] for start in range(0, len(images), PREDICTION_BATCH)]
    scores = np.concatenate([np.asarray(model(batch, training=False), dtype=np.float32) for batch in batches])
    if fault := probability_fault(scores[np.isfinite(scores).all(axis=1)]):
        raise ModelError(f"model {model.name}: {fault}")
    return scores
