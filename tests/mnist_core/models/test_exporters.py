"""Exported files predict like the model, in the runtime of their format; other files are deleted."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from mnist_core.data.images import LabelledImages, split
from mnist_core.errors import MissingLibraryError, ModelError, ParameterError
from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
from mnist_core.models import exporters
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.exporters import export_model
from mnist_core.models.factory import build_model
from mnist_core.training.trainer import train

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def trained(sample: LabelledImages) -> keras.Model:
    """A trained network of 16 units."""
    keras.utils.set_random_seed(0)
    model = build_model(Hyperparameters(hidden_size=16))
    train(model, split(sample, 400, seed=0), TrainingConfig(epochs=3, batch_size=32), seed=0)
    return model


@pytest.fixture(scope="module")
def images(sample: LabelledImages) -> Bytes:
    return sample.images[::40]


def needs(wanted: ExportFormat) -> None:
    for library in wanted.libraries:
        pytest.importorskip(library, reason=f"needs the extra export-{wanted.value}")


@pytest.mark.parametrize("wanted", ExportFormat, ids=lambda wanted: wanted.value)
def test_every_format_predicts_like_the_model(
    wanted: ExportFormat, trained: keras.Model, images: Bytes, tmp_path: Path
) -> None:
    needs(wanted)
    target = tmp_path / f"digits{wanted.suffix}"
    found = export_model(trained, target, wanted, images)
    assert (found.images, found.share) == (100, 1.0)
    assert found.largest_difference < 1e-5  # float32, summed in another order
    assert list(tmp_path.glob("partial-*")) == []


def test_int8_takes_a_quarter_of_the_size(trained: keras.Model, images: Bytes, tmp_path: Path) -> None:
    needs(ExportFormat.LITERT)
    export_model(trained, tmp_path / "whole.tflite", ExportFormat.LITERT, images)
    found = export_model(trained, tmp_path / "int8.tflite", ExportFormat.LITERT, images, calibration=images)
    assert found.share >= 0.98
    assert 0 < found.largest_difference < 0.3
    sizes = [(tmp_path / name).stat().st_size for name in ("int8.tflite", "whole.tflite")]
    assert sizes[0] < sizes[1] / 3


def test_int8_is_for_litert_only(trained: keras.Model, images: Bytes, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="int8: expected the format litert, received keras"):
        export_model(trained, tmp_path / "digits.keras", ExportFormat.KERAS, images, calibration=images)


def test_a_file_that_predicts_otherwise_is_deleted(
    trained: keras.Model, images: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(model: keras.Model, path: Path, *rest: object) -> None:
        build_model(Hyperparameters(hidden_size=16)).save(path)

    monkeypatch.setattr(exporters, "_write", another)
    (tmp_path / "digits.keras").write_text("the last one")
    with pytest.raises(ModelError, match=r"digits\.keras: expected the model's prediction for 99.9% of 100 images"):
        export_model(trained, tmp_path / "digits.keras", ExportFormat.KERAS, images)
    assert (tmp_path / "digits.keras").read_text() == "the last one"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_library_is_named_with_its_extra(
    trained: keras.Model, images: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporters, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"requires tf2onnx, onnx, onnxruntime.*mnist-search\[export-onnx\]"):
        export_model(trained, tmp_path / "digits.onnx", ExportFormat.ONNX, images)
    assert list(tmp_path.iterdir()) == []
