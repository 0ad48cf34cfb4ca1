"""A trained model as an MLflow model folder. Runs in the workers, where TensorFlow is loaded already."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.store import calm_mlflow
from search.trial import SavedModel

if TYPE_CHECKING:
    import keras

MODEL_FILE = "data/model.keras"
REQUIREMENTS = ("tensorflow", "keras", "numpy")


def save_model(model: keras.Model, folder: Path) -> SavedModel:
    """Write a Keras model as an MLflow model: signature and requirements are stated, not inferred.

    The folder appears whole or not at all.

    Args:
        model: from pixels ``(n, height, width)`` to class probabilities ``(n, classes)``.
        folder: must not exist yet.

    Raises:
        OSError: it could not be written, as on a full disk.
    """
    calm_mlflow()
    import mlflow.tensorflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *model.input_shape[1:]))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *model.output_shape[1:]))]),
    )
    partial = folder.with_name(folder.name + ".partial")
    try:
        mlflow.tensorflow.save_model(
            model,
            str(partial),
            signature=signature,
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
        )
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return SavedModel(
        folder=folder,
        file=MODEL_FILE,
        sha256=sha256_of(folder / MODEL_FILE),
        size=(folder / MODEL_FILE).stat().st_size,
        weights=model.count_params(),
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
