"""The model factory: pixels, normalisation, the hidden part of the architecture, probabilities; compiled."""

from __future__ import annotations

import keras

from mnist_core.data.images import CLASSES
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.layers import convolution_blocks, hidden_layers
from mnist_core.models.losses import SmoothedCrossentropy

# AdamW shrinks kernels; an offset or a scale near zero would be no simpler.
NOT_DECAYED = ["bias", "gamma", "beta"]


def build_model(hyperparameters: Hyperparameters, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """A compiled classifier of digits.

    Normalisation is its first layer, so what is served is what was trained: the model takes raw pixels.

    Args:
        hyperparameters: checked values of one trial.
        input_shape: height and width of an image, in pixels.

    Returns:
        A ``keras.Model`` from pixels 0–255, shape ``(n, height, width)``, any numeric dtype, to class
        probabilities, shape ``(n, 10)``, float32; compiled with Adam and sparse categorical cross-entropy.

    Raises:
        ParameterError: a parameter was set that the architecture does not have, or the images are too small.
    """
    if hyperparameters.inactive:
        raise ParameterError(
            f"{hyperparameters.inactive[0]}: architecture {hyperparameters.architecture!r} has no such parameter; "
            "expected its default, or another architecture"
        )
    hyperparameters.check_images(input_shape)
    model = keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            keras.layers.Rescaling(1 / 255, name="normalisation"),
            *_convolutions(hyperparameters, input_shape),
            keras.layers.Flatten(name="flatten"),
            *hidden_layers(hyperparameters),
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ],
        name=hyperparameters.architecture,
    )
    model.compile(optimizer=_optimizer(hyperparameters), loss=_loss(hyperparameters), metrics=["accuracy"])
    return model


def _convolutions(values: Hyperparameters, input_shape: tuple[int, int]) -> list[keras.layers.Layer]:
    if values.architecture == "mlp":
        return []
    return [keras.layers.Reshape((*input_shape, 1), name="channel"), *convolution_blocks(values)]


def _optimizer(values: Hyperparameters) -> keras.optimizers.Optimizer:
    if not values.weight_decay:
        return keras.optimizers.Adam(values.learning_rate)
    optimizer = keras.optimizers.AdamW(values.learning_rate, weight_decay=values.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer


def _loss(values: Hyperparameters) -> keras.losses.Loss:
    if values.label_smoothing:
        return SmoothedCrossentropy(values.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy()
