"""The options of the model factory: their effects on shapes, weights, gradients and the loss."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from mnist_core.data.images import LabelledImages
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.models.saved_model import load_model, predict
from mnist_core.runtime import reset

pytestmark = [
    # Keras 3.15 copies TensorFlow variables in a way that NumPy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # The model was never trained, so its optimizer has nothing to load.
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
]

SMALL_CNN = {"architecture": "cnn", "filters": 4, "hidden_size": 8}

SWITCHES = [
    {"hidden_size": 8, "batch_normalization": True},
    {"hidden_size": 8, "hidden_layers": 2, "max_norm": 0.5},
    {"hidden_size": 8, "weight_decay": 0.1},
    {"hidden_size": 8, "label_smoothing": 0.1},
    SMALL_CNN,
    {**SMALL_CNN, "hidden_layers": 0},
    {**SMALL_CNN, "kernel_size": 5},
    {**SMALL_CNN, "blocks": 4},
    {**SMALL_CNN, "convolutions": 2},
    {**SMALL_CNN, "pooling": "average"},
    {**SMALL_CNN, "block_dropout": 0.25, "dropout": 0.5},
    {**SMALL_CNN, "batch_normalization": True, "l2": 1e-3, "weight_decay": 1e-3, "max_norm": 2.0},
]


def named(switches: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in switches.items())


@pytest.fixture(scope="module")
def digits(sample: LabelledImages) -> LabelledImages:
    """Sixteen digits of all classes."""
    return sample.take(np.arange(0, 4000, 250))


def gradients(model: keras.Model, data: LabelledImages) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        scores = model(data.images, training=True)
        loss = model.compute_loss(x=data.images, y=data.labels, y_pred=scores, training=True)
    return tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize("switches", SWITCHES, ids=named)
def test_every_option_gives_probabilities_and_trains_every_weight(
    switches: dict[str, object], digits: LabelledImages
) -> None:
    reset(0)
    model = build_model(Hyperparameters(**switches))  # type: ignore[arg-type]
    scores = keras.ops.convert_to_numpy(model(digits.images))
    assert scores.shape == (16, 10)
    # Rounding of ten float32 numbers.
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    for variable, gradient in zip(model.trainable_variables, gradients(model, digits), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("switches", SWITCHES, ids=named)
def test_every_option_is_restored_from_a_file_in_safe_mode(
    switches: dict[str, object], digits: LabelledImages, tmp_path: Path
) -> None:
    model = build_model(Hyperparameters(**switches))  # type: ignore[arg-type]
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predict(loaded, digits.images), predict(model, digits.images))


# The convolutional network


@pytest.mark.parametrize(
    ("switches", "count"),
    [
        ({}, (9 * 4 + 4) + (9 * 4 * 8 + 8) + (7 * 7 * 8 * 8 + 8) + (8 * 10 + 10)),
        ({"hidden_layers": 0, "blocks": 1}, (9 * 4 + 4) + (14 * 14 * 4 * 10 + 10)),
        ({"hidden_layers": 0, "kernel_size": 5, "blocks": 1}, (25 * 4 + 4) + (14 * 14 * 4 * 10 + 10)),
        ({"hidden_layers": 0, "convolutions": 2, "blocks": 1}, 40 + (9 * 4 * 4 + 4) + (14 * 14 * 4 * 10 + 10)),
        # Four weights for each filter instead of its offset.
        ({"hidden_layers": 0, "blocks": 1, "batch_normalization": True}, 9 * 4 + 4 * 4 + (14 * 14 * 4 * 10 + 10)),
    ],
)
def test_the_number_of_weights_follows_from_the_blocks(switches: dict[str, object], count: int) -> None:
    assert build_model(Hyperparameters(**{**SMALL_CNN, **switches})).count_params() == count  # type: ignore[arg-type]


def test_blocks_halve_the_map_and_double_the_filters() -> None:
    model = build_model(Hyperparameters(**{**SMALL_CNN, "blocks": 3}))  # type: ignore[arg-type]
    shapes = [model.get_layer(f"pooling_{block}").output.shape[1:] for block in (1, 2, 3)]
    assert shapes == [(14, 14, 4), (7, 7, 8), (3, 3, 16)]


def test_images_that_are_too_small_for_the_blocks_are_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        build_model(Hyperparameters("cnn", blocks=3), input_shape=(6, 5))
    assert str(caught.value) == "blocks: images of 6 × 5 pixels can be halved 2 times, received 3"
    assert build_model(Hyperparameters("cnn", blocks=2), input_shape=(6, 5)).output_shape == (None, 10)


def test_a_parameter_that_the_architecture_does_not_have_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^kernel_size: architecture 'mlp' has no such parameter"):
        build_model(Hyperparameters(kernel_size=5))


# Regularisation


def test_weight_decay_is_decoupled_and_does_not_change_offsets() -> None:
    model = build_model(Hyperparameters(hidden_size=8, learning_rate=0.5, weight_decay=0.1))
    model.get_layer("hidden_1").bias.assign(np.ones(8))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.build(model.trainable_variables)
    model.optimizer.apply([tf.zeros_like(weights) for weights in before])
    # Without a gradient, Adam changes nothing but the decay: learning rate times its factor.
    for old, variable in zip(before, model.trainable_variables, strict=True):
        kept = 1.0 if variable.name == "bias" else 1 - 0.5 * 0.1
        np.testing.assert_allclose(variable.numpy(), old * kept, rtol=1e-6)


@pytest.mark.parametrize(("switches", "layer"), [({"hidden_size": 8}, "hidden_1"), (SMALL_CNN, "convolution_1_1")])
def test_max_norm_bounds_the_weights_into_each_unit(
    switches: dict[str, object], layer: str, digits: LabelledImages
) -> None:
    reset(0)
    model = build_model(Hyperparameters(**{**switches, "max_norm": 0.1}))  # type: ignore[arg-type]
    model.optimizer.build(model.trainable_variables)
    model.optimizer.apply(gradients(model, digits))

    def longest(name: str) -> float:
        kernel = model.get_layer(name).get_weights()[0]
        return float(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0).max())

    # Keras adds a small epsilon against a division by zero.
    assert longest(layer) == pytest.approx(0.1, rel=1e-4)
    assert longest("probabilities") > 0.1


def smoothed_by_hand(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], smoothing: float) -> float:
    spread = np.full((len(labels), 10), smoothing / 10)
    spread[np.arange(len(labels)), labels] += 1 - smoothing
    return float(-(spread * np.log(scores.astype(np.float64))).sum(axis=1).mean())


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing_is_cross_entropy_with_smoothed_labels(smoothing: float, digits: LabelledImages) -> None:
    model = build_model(Hyperparameters(hidden_size=8, label_smoothing=smoothing))
    scores = predict(model, digits.images)
    loss = float(model.loss(digits.labels, scores))
    # float32 logarithms.
    assert loss == pytest.approx(smoothed_by_hand(scores, digits.labels, smoothing), rel=1e-5)


def test_batch_normalisation_is_between_the_weights_and_the_relu() -> None:
    names = [layer.name for layer in build_model(Hyperparameters(hidden_size=8, batch_normalization=True)).layers]
    assert names[2:6] == ["hidden_1", "hidden_1_normalised", "hidden_1_relu", "dropout_1"]
