"""A model file, loaded without running anything that it brings along; and what it says of images."""

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
    """The model of a ``.keras`` file, ready to predict, not to train.

    Keras's safe mode refuses a file that holds code. Whether the file is the one that was saved is for the caller
    to check, by its SHA-256.

    Raises:
        ModelError: no such file, not a Keras model, or one that holds code.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a broken archive makes Keras, HDF5 and zipfile raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{path}: expected a Keras model that holds no code, cannot load it: {reason}") from error


@contextmanager
def portable(model: keras.Model) -> Iterator[None]:
    """Let a model be saved in this block so that to load it, compiled, takes nothing but Keras.

    A loss of this project's own gives way to Keras's, for good. What libraries registered with Keras is out of sight
    meanwhile: MLflow would pickle all of it beside the model, and need those libraries to load it.

    Args:
        model: compiled or not.
    """
    if model.compiled and isinstance(model.loss, SmoothedCrossentropy):
        model.compile(model.optimizer, loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    registered = keras.saving.get_custom_objects()
    kept = dict(registered)
    registered.clear()
    try:
        yield
    finally:
        registered.update(kept)


@dataclass(frozen=True)
class Latency:
    """How long one image takes, in milliseconds: the median, and what 99 of 100 stay below."""

    median: float
    p99: float


def latency(model: keras.Model, image: Images, calls: int = 300) -> Latency:
    """Time the recognition of one image by a compiled call, after it has warmed up.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        image: shape ``(height, width)``, uint8.
        calls: how many to time.
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
        Shape ``(n, classes)``, float32. Not all need be finite.

    Raises:
        DataError: the images are of another size than those that the model takes.
        ModelError: what the model gives are no probabilities.
    """
    sizes = zip(model.input_shape[1:], images.shape[1:], strict=False)  # Keras adds a last axis where one is missing
    if any(taken not in (None, given) for taken, given in sizes):
        expected, received = (" × ".join(map(str, shape[1:3])) for shape in (model.input_shape, images.shape))
        raise DataError(f"images: expected {expected} pixels, as the model takes them, received {received}")
    batches = [images[start : start + PREDICTION_BATCH] for start in range(0, len(images), PREDICTION_BATCH)]
    scores = np.concatenate([np.asarray(model(batch, training=False), dtype=np.float32) for batch in batches])
    if fault := probability_fault(scores[np.isfinite(scores).all(axis=1)]):
        raise ModelError(f"model {model.name}: {fault}")
    return scores
