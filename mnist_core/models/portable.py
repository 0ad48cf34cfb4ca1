"""Models whose files need nothing but Keras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from mnist_core.models.losses import SmoothedCrossentropy


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
