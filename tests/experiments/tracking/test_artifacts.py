from __future__ import annotations

import errno
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from experiments.tracking.artifacts import save_model, sha256_of
from experiments.tracking.model_folder import MODEL_FILE, write_model_folder
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.models.saved_model import portable


def test_a_saved_model_is_described_as_it_is_on_disk(tmp_path: Path) -> None:
    saved = save_model(build_model(Hyperparameters(hidden_size=4)), tmp_path / "model")
    file = saved.folder / saved.file
    assert saved.sha256 == sha256_of(file)
    assert saved.size == file.stat().st_size
    assert saved.weights == 784 * 4 + 4 + 4 * 10 + 10
    assert (saved.folder / "MLmodel").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_folder_of_a_model_is_the_one_that_mlflow_writes(tmp_path: Path) -> None:
    import mlflow.tensorflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    model = build_model(Hyperparameters(hidden_size=4))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.uint8), (-1, 28, 28))]), Schema([TensorSpec(np.dtype(np.float32), (-1, 10))])
    )
    requirements = [f"{package}=={version(package)}" for package in ("tensorflow", "keras", "numpy")]
    with portable(model):
        write_model_folder(model, ours)
        mlflow.tensorflow.save_model(model, str(theirs), signature=signature, pip_requirements=requirements)

    def texts(folder: Path) -> dict[str, str]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert folder / MODEL_FILE in files
        return {str(path.relative_to(folder)): path.read_text() for path in files if path.suffix != ".keras"}

    def description(folder: Path) -> dict[str, object]:
        content = Model.load(str(folder)).to_dict()
        assert content["model_size_bytes"] == sum(file.stat().st_size for file in (folder / "data").iterdir())
        own = {"model_uuid", "utc_time_created", "model_size_bytes"}
        assert own < content.keys()
        return {key: value for key, value in content.items() if key not in own}

    assert description(ours) == description(theirs)
    others = [{name: text for name, text in texts(folder).items() if name != "MLmodel"} for folder in (ours, theirs)]
    assert others[0] == others[1]
    keys = [yaml.safe_load((folder / "MLmodel").read_text()).keys() for folder in (ours, theirs)]
    assert keys[0] == keys[1]


def test_saving_a_model_imports_no_mlflow(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from search.training_imports import import_for_training
import_for_training()
from experiments.tracking.artifacts import save_model
from mnist_core.hyperparameters import Hyperparameters
save_model(Hyperparameters(hidden_size=4).build((28, 28)), Path(sys.argv[1]))
print({"mlflow", "matplotlib", "pandas", "scipy", "sklearn"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


ELSEWHERE = """
import sys
sys.modules |= dict.fromkeys(["mnist_core", "search", "experiments", "serving"])  # as if they were not installed
import mlflow.tensorflow, numpy
model = mlflow.tensorflow.load_model(sys.argv[1])
print(model.compiled, model.predict(numpy.zeros((2, 28, 28), "uint8"), verbose=0).shape)
"""


def test_mlflow_loads_a_model_where_this_project_is_not_installed(tmp_path: Path) -> None:
    model = build_model(Hyperparameters(hidden_size=4, label_smoothing=0.1, batch_normalization=True))
    saved = save_model(model, tmp_path / "model")
    assert list(saved.folder.rglob("*pickle*")) == []
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(saved.folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("True (2, 10)"), done.stderr


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: keras.Model, path: str, **settings: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", half)
    with pytest.raises(OSError, match="No space left on device"):
        save_model(build_model(Hyperparameters(hidden_size=4)), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
