from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from experiments.tracking.artifacts import save_model, sha256_of
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model


def test_a_saved_model_is_described_as_it_is_on_disk(tmp_path: Path) -> None:
    saved = save_model(build_model(Hyperparameters(hidden_size=4)), tmp_path / "model")
    file = saved.folder / saved.file
    assert saved.sha256 == sha256_of(file)
    assert saved.size == file.stat().st_size
    assert saved.weights == 784 * 4 + 4 + 4 * 10 + 10
    assert (saved.folder / "MLmodel").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


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
