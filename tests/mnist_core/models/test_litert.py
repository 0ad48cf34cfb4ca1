"""Tests of predictions by LiteRT, which load no TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from mnist_core.data.images import LabelledImages
from mnist_core.errors import ModelError
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.exporters import export_model
from mnist_core.models.factory import build_model
from mnist_core.models.litert import BATCH, LiteRtPredictor
from mnist_core.models.predictor import CompiledPredictor

pytest.importorskip("ai_edge_litert", reason="needs the extra export-litert")

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def keras_predictor() -> CompiledPredictor:
    return CompiledPredictor(build_model(Hyperparameters("cnn", filters=2, hidden_size=8)))


@pytest.fixture(scope="module")
def file(keras_predictor: CompiledPredictor, sample: LabelledImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a LiteRT file."""
    path = tmp_path_factory.mktemp("litert") / "model.tflite"
    export_model(keras_predictor._model, path, ExportFormat.LITERT, sample.images[::400])
    return path


def test_every_number_of_images_gets_the_probabilities_of_keras(
    keras_predictor: CompiledPredictor, file: Path, sample: LabelledImages
) -> None:
    predictor = LiteRtPredictor(file.read_bytes(), keras_predictor.explain)
    for count in (1, 3, BATCH, BATCH + 1, 3 * BATCH + 5, 1):
        images = sample.images[:count]
        np.testing.assert_allclose(predictor.probabilities(images), keras_predictor.probabilities(images), atol=1e-5)


def test_many_threads_get_their_own_answers(file: Path, sample: LabelledImages) -> None:
    predictor = LiteRtPredictor(file.read_bytes(), pytest.fail)
    expected = predictor.probabilities(sample.images[:200])
    wrong: list[int] = []

    def predict(first: int) -> None:
        for count in range(1, 40):
            if not np.allclose(
                predictor.probabilities(sample.images[first : first + count]),
                expected[first : first + count],
                atol=1e-6,
            ):
                wrong.append(first)

    threads = [threading.Thread(target=predict, args=(first,)) for first in range(0, 160, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_further_interpreter_leaves_stderr_alone(
    file: Path, sample: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = LiteRtPredictor(file.read_bytes(), pytest.fail)
    predictor._model._idle.clear()  # as where other threads predict
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup2", pytest.fail)
        assert predictor.probabilities(sample.images[:1]).shape == (1, 10)


def test_pixels_may_be_whole_numbers(sample: LabelledImages, tmp_path: Path) -> None:
    images = keras.Input((28, 28), dtype="uint8")
    model = keras.Model(images, keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(images / 255)))
    export_model(model, tmp_path / "model.tflite", ExportFormat.LITERT, sample.images[:9])
    received = LiteRtPredictor((tmp_path / "model.tflite").read_bytes(), pytest.fail).probabilities(sample.images[:9])
    np.testing.assert_allclose(received, model.predict(sample.images[:9], verbose=0), atol=1e-5)


def test_a_model_of_one_image_alone_is_refused(tmp_path: Path) -> None:
    images = keras.Input(batch_shape=(1, 28, 28))
    model = keras.Model(images, keras.layers.Dense(10, "softmax")(keras.ops.reshape(images, (1, 784))))
    model.export(str(tmp_path / "model.tflite"), format="litert", verbose=False)
    with pytest.raises(ModelError, match="LiteRT file: expected to predict two images: "):
        LiteRtPredictor((tmp_path / "model.tflite").read_bytes(), pytest.fail)


def test_an_explanation_is_that_of_keras_with_the_probabilities_of_litert(
    keras_predictor: CompiledPredictor, file: Path, sample: LabelledImages
) -> None:
    predictor = LiteRtPredictor(file.read_bytes(), keras_predictor.explain)
    explanation, expected = (each.explain(sample.images[0]) for each in (predictor, keras_predictor))
    np.testing.assert_array_equal(explanation.saliency, expected.saliency)
    np.testing.assert_array_equal(explanation.activations, expected.activations)
    np.testing.assert_array_equal(explanation.probabilities, predictor.probabilities(sample.images[:1])[0])


def test_what_is_no_classifier_of_digits_is_refused(sample: LabelledImages, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LiteRT file: expected a model"):
        LiteRtPredictor(b"no such model", pytest.fail)
    path = tmp_path / "small.tflite"
    small = build_model(Hyperparameters(hidden_layers=0), input_shape=(6, 5))
    export_model(small, path, ExportFormat.LITERT, sample.images[:9, :6, :5])
    with pytest.raises(ModelError, match=r"expected shapes \(28, 28\) to \(10,\), received \(6, 5\) to \(10,\)"):
        LiteRtPredictor(path.read_bytes(), pytest.fail)


def test_a_prediction_loads_neither_tensorflow_nor_keras(file: Path) -> None:
    code = f"""
import sys
from pathlib import Path
import numpy as np
from mnist_core.models.litert import LiteRtPredictor
LiteRtPredictor(Path({str(file)!r}).read_bytes(), None).probabilities(np.zeros((1, 28, 28), np.uint8))
print(*sorted({{"tensorflow", "keras", "pandas", "sklearn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("\n", "")
