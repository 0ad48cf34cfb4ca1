"""The model factory: compiled Keras models of the two architectures, from pixels to probabilities."""

from __future__ import annotations

import keras

from mnist_core.data.images import CLASSES
from mnist_core.errors import ParameterError
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.losses import SmoothedCrossentropy

# AdamW decays kernels only: an offset or a scale near zero would make no model simpler.
NOT_DECAYED = ["bias", "gamma", "beta"]
# With Keras's 0.99, the initial variance of 1 still has weight when the first epoch is evaluated.
MOMENTS_MOMENTUM = 0.9


def build_model(hyperparameters: Hyperparameters, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """Build a compiled classifier of digits.

    Normalisation is its first layer, so the model takes raw pixels in training and in serving.

    Args:
        hyperparameters: values of one trial.
        input_shape: height and width of an image, in pixels.

    Returns:
        A ``keras.Model`` from pixels 0–255, shape ``(n, height, width)``, any numeric dtype, to class
        probabilities, shape ``(n, 10)``, float32; compiled with Adam and sparse categorical cross-entropy.

    Raises:
        ParameterError: a parameter is set that the architecture does not have, or the images are too small.
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
            *_hidden_layers(hyperparameters),
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ],
        name=hyperparameters.architecture,
    )
    model.compile(optimizer=_optimizer(hyperparameters), loss=_loss(hyperparameters), metrics=["accuracy"])
    return model


def _convolutions(values: Hyperparameters, input_shape: tuple[int, int]) -> list[keras.layers.Layer]:
    if values.architecture == "mlp":
        return []
    return [keras.layers.Reshape((*input_shape, 1), name="channel"), *_convolution_blocks(values)]


def _hidden_layers(values: Hyperparameters) -> list[keras.layers.Layer]:
    """Dense layers with ReLU, each followed by dropout; from ``(n, features)`` to ``(n, hidden_size)``."""
    layers: list[keras.layers.Layer] = []
    for index in range(1, values.hidden_layers + 1):
        weighted = keras.layers.Dense(values.hidden_size, name=f"hidden_{index}", **_weights(values, inputs=1))
        layers += [*_activated(weighted, values), keras.layers.Dropout(values.dropout, name=f"dropout_{index}")]
    return layers


def _convolution_blocks(values: Hyperparameters) -> list[keras.layers.Layer]:
    """Blocks of convolutions with ReLU, each ending in pooling; from ``(n, height, width, 1)`` to smaller maps.

    A convolution keeps height and width; a block halves them and has twice the filters of the one before.
    """
    pool = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[values.pooling]
    layers: list[keras.layers.Layer] = []
    for block in range(1, values.blocks + 1):
        for index in range(1, values.convolutions + 1):
            weighted = keras.layers.Conv2D(
                values.filters * 2 ** (block - 1),
                values.kernel_size,
                padding="same",
                name=f"convolution_{block}_{index}",
                **_weights(values, inputs=3),
            )
            layers += _activated(weighted, values)
        layers += [
            pool(2, name=f"pooling_{block}"),
            keras.layers.Dropout(values.block_dropout, name=f"dropout_b{block}"),
        ]
    return layers


def _weights(values: Hyperparameters, inputs: int) -> dict[str, object]:
    """The arguments that Dense and Conv2D share; the first ``inputs`` axes of a kernel lead into one unit."""
    return {
        "activation": None if values.batch_normalization else "relu",
        "use_bias": not values.batch_normalization,  # batch normalisation has an offset
        "kernel_regularizer": keras.regularizers.L2(values.l2) if values.l2 else None,
        "kernel_constraint": (
            keras.constraints.MaxNorm(values.max_norm, axis=list(range(inputs))) if values.max_norm else None
        ),
    }


def _activated(weighted: keras.layers.Layer, values: Hyperparameters) -> list[keras.layers.Layer]:
    if not values.batch_normalization:
        return [weighted]
    return [
        weighted,
        keras.layers.BatchNormalization(momentum=MOMENTS_MOMENTUM, name=f"{weighted.name}_normalised"),
        keras.layers.ReLU(name=f"{weighted.name}_relu"),
    ]


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
