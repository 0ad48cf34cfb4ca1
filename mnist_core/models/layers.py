"""The hidden parts of the two architectures, each as a list of Keras layers."""

from __future__ import annotations

import keras

from mnist_core.hyperparameters import Hyperparameters

# Keras's 0.99 has not forgotten the variance of 1 that it begins with when the first epoch is judged.
MOMENTS_MOMENTUM = 0.9


def hidden_layers(values: Hyperparameters) -> list[keras.layers.Layer]:
    """Dense layers with ReLU, each followed by its dropout; from ``(n, features)`` to ``(n, hidden_size)``."""
    layers: list[keras.layers.Layer] = []
    for index in range(1, values.hidden_layers + 1):
        weighted = keras.layers.Dense(values.hidden_size, name=f"hidden_{index}", **_weights(values, inputs=1))
        layers += [*_activated(weighted, values), keras.layers.Dropout(values.dropout, name=f"dropout_{index}")]
    return layers


def convolution_blocks(values: Hyperparameters) -> list[keras.layers.Layer]:
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
    """What Dense and convolution have in common; the first ``inputs`` axes of a kernel lead into one unit."""
    return {
        "activation": None if values.batch_normalization else "relu",
        "use_bias": not values.batch_normalization,  # normalisation has an offset of its own
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
