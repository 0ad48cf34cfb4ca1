"""The explanation of a served model: activations of its last hidden layer, as the output layer receives them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mnist_core.data.images import LabelledImages
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.averaging import average_model
from mnist_core.models.factory import build_model
from mnist_core.models.predictor import CompiledPredictor


@pytest.mark.parametrize("values", [{}, {"batch_normalization": True}, {"dropout": 0.5, "hidden_layers": 2}])
def test_activations_are_the_input_of_the_output_layer(values: dict[str, object], sample: LabelledImages) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(Hyperparameters(hidden_size=16, **values))
    image = sample.images[0]
    expected = keras.Model(model.inputs, model.layers[-1].input)(image[None], training=False)
    activations = CompiledPredictor(model).explain(image).activations
    np.testing.assert_allclose(activations, np.asarray(expected)[0], atol=1e-5)
    assert activations.min() >= 0


def test_the_scores_before_a_softmax_layer_are_not_hidden(sample: LabelledImages) -> None:
    pixels = keras.Input((28, 28))
    hidden = keras.layers.Dense(7, activation="relu")(keras.layers.Flatten()(pixels))
    scores = keras.layers.Activation("softmax")(keras.layers.Dense(10)(hidden))
    explanation = CompiledPredictor(keras.Model(pixels, scores)).explain(sample.images[0])
    assert explanation.activations.shape == (7,)


def test_a_linear_classifier_and_an_ensemble_have_no_activations(sample: LabelledImages) -> None:
    linear = build_model(Hyperparameters(hidden_layers=0))
    ensemble = average_model([build_model(Hyperparameters(hidden_size=4)) for _ in range(2)])
    for model in (linear, ensemble):
        assert CompiledPredictor(model).explain(sample.images[0]).activations.shape == (0,)
