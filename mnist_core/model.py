"""The model factory."""

from __future__ import annotations

import keras

from mnist_core.data import CLASSES
from mnist_core.hyperparameters import Hyperparameters


def build_model(hyperparameters: Hyperparameters, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
    """A compiled classifier of digits.

    Normalisation is its first layer, so what is served is what was trained: the model takes raw pixels.

    Args:
        hyperparameters: checked values of one trial.
        input_shape: height and width of an image, in pixels.

    Returns:
        A ``keras.Model`` from pixels 0–255, shape ``(n, height, width)``, any numeric dtype, to class
        probabilities, shape ``(n, 10)``, float32; compiled with Adam and sparse categorical cross-entropy.
    """
    hidden = []
    for index in range(1, hyperparameters.hidden_layers + 1):
        hidden += [
            keras.layers.Dense(
                hyperparameters.hidden_size,
                activation="relu",
                kernel_regularizer=keras.regularizers.L2(hyperparameters.l2) if hyperparameters.l2 else None,
                name=f"hidden_{index}",
            ),
            keras.layers.Dropout(hyperparameters.dropout, name=f"dropout_{index}"),
        ]
    model = keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            keras.layers.Rescaling(1 / 255, name="normalisation"),
            keras.layers.Flatten(name="flatten"),
            *hidden,
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ],
        name=hyperparameters.architecture,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(hyperparameters.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    return model
