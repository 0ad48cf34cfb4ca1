from __future__ import annotations

import errno
from pathlib import Path

import keras
import pytest

from experiments.model_files import save_model, sha256_of
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.model import build_model


def test_a_saved_model_is_described_as_it_lies_on_disk(tmp_path: Path) -> None:
    saved = save_model(build_model(Hyperparameters(hidden_size=4)), tmp_path / "model")
    file = saved.folder / saved.file
    assert saved.sha256 == sha256_of(file)
    assert saved.size == file.stat().st_size
    assert saved.weights == 784 * 4 + 4 + 4 * 10 + 10
    assert (saved.folder / "MLmodel").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: keras.Model, path: str, **settings: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", half)
    with pytest.raises(OSError, match="No space left on device"):
        save_model(build_model(Hyperparameters(hidden_size=4)), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
