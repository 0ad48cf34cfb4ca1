"""The folder of a Keras model as MLflow's TensorFlow flavor writes it, without importing MLflow.

That import takes a second and 80 MB in each worker. A test compares the files with those of the installed MLflow.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    import keras

DESCRIPTION_FILE = "MLmodel"
DATA_FOLDER = "data"
MODEL_FILE = f"{DATA_FOLDER}/model.keras"
REQUIREMENTS = ("mlflow", "tensorflow", "keras", "numpy")
"""Packages that MLflow needs to load the model; their versions here are stated, not inferred."""

CONDA_FILE, ENVIRONMENT_FILE, REQUIREMENTS_FILE = "conda.yaml", "python_env.yaml", "requirements.txt"


def write_model_folder(model: keras.Model, folder: Path) -> None:
    """Write a Keras model and MLflow's description of it.

    Args:
        model: from pixels ``(n, height, width)``, uint8, to class probabilities ``(n, classes)``, float32.
        folder: must not exist yet. After an error, part of it may.

    Raises:
        OSError: it could not be written, as on a full disk.
    """
    data = folder / DATA_FOLDER
    data.mkdir(parents=True)
    (data / "keras_module.txt").write_text("tensorflow.keras", encoding="utf-8")
    (data / "save_format.txt").write_text("tf", encoding="utf-8")
    model.save(str(folder / MODEL_FILE))
    size = sum(file.stat().st_size for file in data.iterdir())
    _write_yaml(folder / DESCRIPTION_FILE, _description(model, size), sort_keys=True)
    requirements = [f"{package}=={version(package)}" for package in REQUIREMENTS]
    (folder / REQUIREMENTS_FILE).write_text("\n".join(requirements), encoding="utf-8")
    _write_yaml(folder / CONDA_FILE, _conda_environment(requirements), sort_keys=True)
    _write_yaml(folder / ENVIRONMENT_FILE, _virtual_environment(), sort_keys=False)


def _description(model: keras.Model, size: int) -> Mapping[str, object]:
    """The content of the ``MLmodel`` file; ids of run and model are added when it is logged."""
    return {
        "flavors": {
            "tensorflow": {
                "code": None,
                "data": DATA_FOLDER,
                "keras_version": version("tensorflow"),
                "model_type": "keras",
                "save_format": "tf",
            },
            "python_function": {
                "data": DATA_FOLDER,
                "env": {"conda": CONDA_FILE, "virtualenv": ENVIRONMENT_FILE},
                "loader_module": "mlflow.tensorflow",
                "python_version": platform.python_version(),
            },
        },
        "is_signature_from_type_hint": False,
        "mlflow_version": version("mlflow"),
        "model_id": None,
        "model_size_bytes": size,
        "model_uuid": uuid4().hex,
        "prompts": None,
        "signature": {
            "inputs": _tensor("uint8", model.input_shape),
            "outputs": _tensor("float32", model.output_shape),
            "params": None,
        },
        "type_hint_from_example": False,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
    }


def _tensor(dtype: str, shape: Sequence[int | None]) -> str:
    """The schema of one tensor, whose first dimension may have any length."""
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape[1:]]}}])


def _conda_environment(requirements: Sequence[str]) -> Mapping[str, object]:
    return {
        "channels": ["conda-forge"],
        "dependencies": [
            f"python={platform.python_version()}",
            _pinned("pip", "<="),  # conda-forge may not have the newest yet
            {"pip": list(requirements)},
        ],
        "name": "mlflow-env",
    }


def _virtual_environment() -> Mapping[str, object]:
    return {
        "python": platform.python_version(),
        "build_dependencies": [_pinned(package, "==") for package in ("pip", "setuptools", "wheel")],
        "dependencies": [f"-r {REQUIREMENTS_FILE}"],
    }


def _pinned(package: str, relation: str) -> str:
    """The package with its version here, or alone where it is not installed."""
    try:
        return f"{package}{relation}{version(package)}"
    except PackageNotFoundError:
        return package


def _write_yaml(path: Path, content: Mapping[str, object], sort_keys: bool) -> None:
    import yaml

    with path.open("w", encoding="utf-8") as file:
        yaml.safe_dump(content, file, default_flow_style=False, sort_keys=sort_keys)
