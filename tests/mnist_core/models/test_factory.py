from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from mnist_core.data.images import LabelledImages
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model


def probabilities(model: keras.Model, images: npt.NDArray[np.generic], training: bool = False) -> npt.NDArray:
    return keras.ops.convert_to_numpy(model(images, training=training))


@pytest.fixture(scope="module")
def digits(sample: LabelledImages) -> npt.NDArray[np.uint8]:
    """Six raw digits."""
    return sample.images[::700]


@pytest.mark.parametrize(
    ("hyperparameters", "count"),
    [
        (Hyperparameters(), 784 * 128 + 128 + 128 * 10 + 10),
        (Hyperparameters(hidden_layers=0), 784 * 10 + 10),
        (Hyperparameters(hidden_layers=1, hidden_size=8), 784 * 8 + 8 + 8 * 10 + 10),
        (Hyperparameters(hidden_layers=2, hidden_size=8), 784 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10),
        (Hyperparameters(hidden_layers=3, hidden_size=16), 784 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 10 + 10),
    ],
)
def test_the_number_of_weights_follows_from_the_layers(hyperparameters: Hyperparameters, count: int) -> None:
    assert build_model(hyperparameters).count_params() == count


def test_the_default_network_has_101770_weights() -> None:
    assert build_model(Hyperparameters()).count_params() == 101_770


@pytest.mark.parametrize("hidden_layers", range(4))
def test_raw_pixels_become_probabilities(hidden_layers: int, digits: npt.NDArray[np.uint8]) -> None:
    scores = probabilities(build_model(Hyperparameters(hidden_layers=hidden_layers, hidden_size=8)), digits)
    assert scores.shape == (len(digits), 10)
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    # Rounding of ten float32 numbers.
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32", "float64"])
def test_pixels_of_any_numeric_type_give_the_same_probabilities(dtype: str, digits: npt.NDArray[np.uint8]) -> None:
    model = build_model(Hyperparameters(hidden_size=8))
    # Pixels up to 255 are exact in every one of these types.
    np.testing.assert_array_equal(probabilities(model, digits.astype(dtype)), probabilities(model, digits))


def test_the_first_layer_maps_pixels_to_the_unit_interval() -> None:
    first = build_model(Hyperparameters(hidden_size=8)).layers[0]
    scaled = keras.ops.convert_to_numpy(first(np.array([[[0, 51, 255]]], np.uint8)))
    # One rounding of 1/255 and one of the product.
    np.testing.assert_allclose(scaled, [[[0.0, 0.2, 1.0]]], rtol=1e-6)


def test_a_model_is_built_for_images_of_another_shape() -> None:
    model = build_model(Hyperparameters(hidden_layers=0), input_shape=(6, 5))
    assert model.input_shape == (None, 6, 5)
    assert model.count_params() == 30 * 10 + 10
    assert probabilities(model, np.zeros((2, 6, 5), np.uint8)).shape == (2, 10)


def test_the_penalty_is_on_the_hidden_kernels_only() -> None:
    model = build_model(Hyperparameters(hidden_layers=2, hidden_size=8, l2=0.01))
    kernels = [model.get_layer(name).get_weights()[0] for name in ("hidden_1", "hidden_2")]
    penalty = 0.01 * sum(float((kernel.astype(np.float64) ** 2).sum()) for kernel in kernels)
    assert len(model.losses) == 2
    # Sums of some 6,000 squares in float32.
    assert sum(float(loss) for loss in model.losses) == pytest.approx(penalty, rel=1e-5)


def test_without_l2_the_loss_is_the_cross_entropy() -> None:
    assert build_model(Hyperparameters(hidden_size=8)).losses == []


def test_dropout_acts_only_while_training(digits: npt.NDArray[np.uint8]) -> None:
    model = build_model(Hyperparameters(hidden_layers=2, hidden_size=16, dropout=0.5))
    at_rest = probabilities(model, digits)
    np.testing.assert_array_equal(probabilities(model, digits), at_rest)
    once, again = (probabilities(model, digits, training=True) for _ in range(2))
    assert not np.array_equal(once, at_rest)
    assert not np.array_equal(once, again)


def test_without_dropout_training_and_inference_compute_the_same(digits: npt.NDArray[np.uint8]) -> None:
    model = build_model(Hyperparameters(hidden_layers=2, hidden_size=16, dropout=0.0))
    np.testing.assert_array_equal(probabilities(model, digits, training=True), probabilities(model, digits))


def test_every_hidden_layer_is_followed_by_its_dropout() -> None:
    model = build_model(Hyperparameters(hidden_layers=2, hidden_size=8, dropout=0.25))
    names = [layer.name for layer in model.layers]
    assert names == [
        "normalisation",
        "flatten",
        "hidden_1",
        "dropout_1",
        "hidden_2",
        "dropout_2",
        "probabilities",
    ]
    assert [model.get_layer(f"dropout_{index}").rate for index in (1, 2)] == [0.25, 0.25]


def test_the_model_is_compiled_with_adam_at_the_given_rate() -> None:
    model = build_model(Hyperparameters(hidden_size=8, learning_rate=0.0125))
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    # The optimizer keeps it in float32.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0125, rel=1e-6)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)


# Keras 3.15 copies TensorFlow variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "hyperparameters",
    [
        Hyperparameters(hidden_layers=0),
        Hyperparameters(hidden_layers=2, hidden_size=8, dropout=0.3, l2=1e-4),
    ],
    ids=["no hidden layer", "all kinds of layers"],
)
def test_a_saved_model_is_loaded_in_safe_mode_and_takes_raw_pixels(
    hyperparameters: Hyperparameters, digits: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    model = build_model(hyperparameters)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert isinstance(loaded.layers[0], keras.layers.Rescaling)
    np.testing.assert_array_equal(probabilities(loaded, digits), probabilities(model, digits))


def test_an_integer_learning_rate_is_accepted() -> None:
    assert float(build_model(Hyperparameters(learning_rate=1)).optimizer.learning_rate) == 1.0
