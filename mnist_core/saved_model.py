"""A model file, loaded without running anything that it brings along; and what it says of images."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from mnist_core.errors import ModelError

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


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Class probabilities of raw images.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        images: shape ``(n, height, width)``, uint8.

    Returns:
        Shape ``(n, classes)``, float32.
    """
    batches = [images[start : start + PREDICTION_BATCH] for start in range(0, len(images), PREDICTION_BATCH)]
    return np.concatenate([np.asarray(model(batch, training=False), dtype=np.float32) for batch in batches])
