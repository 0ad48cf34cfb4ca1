"""Small networks of both architectures, and their training."""

from __future__ import annotations

import keras

from mnist_core import runtime
from mnist_core.data.images import Split
from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
from mnist_core.models.factory import build_model
from mnist_core.training.trainer import train


def trained(model: keras.Model, data: Split, epochs: int = 2) -> keras.Model:
    """Train the model for a few epochs."""
    train(model, data, TrainingConfig(epochs=epochs, batch_size=32), seed=0)
    return model


def small_mlp(hidden_layers: int = 2) -> keras.Model:
    """A multilayer perceptron of 12 units in each layer."""
    runtime.reset(0)
    return build_model(Hyperparameters(hidden_size=12, hidden_layers=hidden_layers, learning_rate=3e-3))


def small_cnn() -> keras.Model:
    """Two convolutions, the first with normalisation and activation in separate layers, and a Dense layer."""
    runtime.reset(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(6, 5, strides=2, use_bias=False, name="first"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(4, 3, activation="relu", name="second"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="third"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3), loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"]
    )
    return model
