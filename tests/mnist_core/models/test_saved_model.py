"""Model files: loaded if they are complete and without code, else refused by name; saving and prediction."""

from __future__ import annotations

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest

from mnist_core.data.images import LabelledImages
from mnist_core.errors import ModelError
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models import saved_model
from mnist_core.models.factory import build_model
from mnist_core.models.saved_model import latency, load_model, portable, predict


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model(Hyperparameters(hidden_size=8, dropout=0.5))


@pytest.fixture(scope="module")
def model_file(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


def test_a_model_comes_back_with_its_weights(model: keras.Model, model_file: Path, sample: LabelledImages) -> None:
    again = load_model(model_file)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(predict(again, sample.images[:20]), predict(model, sample.images[:20]))


def test_a_file_with_code_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "lambda.keras"
    pixels = keras.Input((28, 28))
    keras.Model(pixels, keras.layers.Lambda(lambda x: x, output_shape=(28, 28))(pixels)).save(path)
    assert keras.saving.load_model(path, safe_mode=False).count_params() == 0
    with pytest.raises(ModelError, match=r"lambda\.keras: expected a Keras model that holds no code") as refusal:
        load_model(path)
    assert "\n" not in str(refusal.value)


def test_logits_are_refused_with_a_remedy_and_nan_outputs_are_returned(
    sample: LabelledImages,
) -> None:
    last = keras.layers.Dense(10)
    network = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), last])
    with pytest.raises(ModelError, match=r"expected probabilities that add up to 1.*make a softmax the last layer"):
        predict(network, sample.images[:20])
    last.bias.assign(np.full(10, np.nan))
    assert np.isnan(predict(network, sample.images[:20])).all()


@pytest.mark.parametrize("name", ["junk.keras", "model.pkl"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no model at all" * 100)
    with pytest.raises(ModelError, match=rf"{name}: expected a Keras model"):
        load_model(tmp_path / name)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_model_file_is_refused(model_file: Path, tmp_path: Path, share: float) -> None:
    content = model_file.read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"half\.keras: expected a Keras model"):
        load_model(tmp_path / "half.keras")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.keras"):
        load_model(tmp_path / "gone.keras")


def test_probabilities_are_those_of_keras_in_the_order_of_the_images(
    model: keras.Model, sample: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "PREDICTION_BATCH", 64)
    probabilities = predict(model, sample.images[:150])
    assert (probabilities.shape, probabilities.dtype) == ((150, 10), np.float32)
    # Batches of other sizes are summed in another order.
    assert np.allclose(probabilities, model.predict(sample.images[:150], verbose=0), atol=1e-6)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128])
def test_no_image_is_lost_between_two_batches(
    model: keras.Model, sample: LabelledImages, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(saved_model, "PREDICTION_BATCH", 64)
    assert len(predict(model, sample.images[:count])) == count


def test_the_99th_percentile_of_latency_is_above_the_median(model: keras.Model, sample: LabelledImages) -> None:
    timed = latency(model, sample.images[0], calls=20)
    assert 0 < timed.median <= timed.p99


# Saving


def test_a_model_with_smoothed_crossentropy_is_loaded_with_the_loss_of_keras(tmp_path: Path) -> None:
    model = build_model(Hyperparameters(hidden_size=8, label_smoothing=0.2, weight_decay=0.01))
    with portable(model):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.loss) is keras.losses.SparseCategoricalCrossentropy
    assert float(loaded.optimizer.weight_decay) == pytest.approx(0.01)


def test_another_loss_is_unchanged() -> None:
    model = build_model(Hyperparameters(hidden_size=8))
    before = model.loss
    with portable(model):
        assert model.loss is before


def test_a_model_that_is_not_compiled_is_unchanged() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with portable(model):
        assert not model.compiled


def test_custom_objects_are_hidden_in_the_block_and_restored_after_an_error() -> None:
    registered = keras.saving.get_custom_objects()
    registered["theirs>Layer"] = keras.layers.Layer
    try:
        with contextlib.suppress(ZeroDivisionError), portable(build_model(Hyperparameters(hidden_size=2))):
            assert keras.saving.get_custom_objects() == {}
            raise ZeroDivisionError
        assert registered["theirs>Layer"] is keras.layers.Layer
    finally:
        del registered["theirs>Layer"]
