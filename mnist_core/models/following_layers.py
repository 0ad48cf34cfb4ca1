"""The kinds of layers that normalise or activate the output of the layer before them."""

from __future__ import annotations

import keras

# Layers that belong to the trainable layer before them: its activations are their output.
FOLLOWING_LAYERS = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.ELU,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)
