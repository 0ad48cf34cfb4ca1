"""A served model, compiled once: probabilities of images, and explanations of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats, Images
from mnist_core.data.images import CLASSES
from mnist_core.errors import ModelError
from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat
from mnist_core.models.following_layers import FOLLOWING_LAYERS
from mnist_core.models.probabilities import probability_fault, probe_images

SHAPE = (28, 28)


class CompiledPredictor:
    """A model that predicts in a fraction of a millisecond, from any thread.

    Args:
        model: from pixels ``(n, 28, 28)`` to probabilities ``(n, 10)``.

    Raises:
        ModelError: it has other shapes, or its outputs are no probabilities.
    """

    runtime = ExportFormat.KERAS
    explains_quickly = True

    def __init__(self, model: keras.Model) -> None:
        if model.input_shape != (None, *SHAPE) or model.output_shape != (None, CLASSES):
            raise ModelError(
                f"model {model.name}: expected shapes (None, 28, 28) to (None, {CLASSES}), received "
                f"{model.input_shape} to {model.output_shape}"
            )
        hidden = _last_hidden(model)
        with_hidden = keras.Model(model.inputs, [hidden, model.outputs[0]])

        @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.uint8)])
        def predict(images: tf.Tensor) -> tf.Tensor:
            return model(images, training=False)

        @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.uint8)])
        def explain(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            pixels = tf.cast(image, tf.float32)[None]
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                activations, probabilities = with_hidden(pixels, training=False)
                log_probability = tf.math.log(tf.reduce_max(probabilities[0]) + keras.config.epsilon())
            return probabilities[0], tf.reshape(activations, [-1]), (tape.gradient(log_probability, pixels) * pixels)[0]

        self._model = model  # the graphs have only weak references to its variables
        self._predict, self._explain = predict.get_concrete_function(), explain.get_concrete_function()
        self._has_hidden = hidden is not model.inputs[0]
        self._check()

    def probabilities(self, images: Images) -> Floats:
        """Class probabilities, shape ``(n, 10)``, of images of shape ``(n, 28, 28)``, uint8."""
        return _array(self._predict(tf.constant(images)))

    def explain(self, image: Images) -> PredictionExplanation:
        """Explain the probabilities of an image of shape ``(28, 28)``, uint8."""
        probabilities, activations, saliency = map(_array, self._explain(tf.constant(image)))
        return PredictionExplanation(probabilities, activations if self._has_hidden else activations[:0], saliency)

    def close(self) -> None:
        """Nothing to end."""

    def _check(self) -> None:
        """Call both functions once, so that the first request is not slower, and refuse invalid probabilities."""
        images = probe_images(SHAPE)
        outputs = self.probabilities(images), self.explain(images[1]).probabilities[None]
        if fault := probability_fault(np.concatenate(outputs)):
            raise ModelError(f"model {self._model.name}: {fault}")


def _last_hidden(model: keras.Model) -> Any:
    """Output of the last layer with weights before the output layer, after its normalisation and activation.

    The input if there is none, as in an ensemble, whose members are models.
    """
    weighted: list[keras.Layer] = []
    outputs: list[Any] = []
    for layer in model.layers:
        if isinstance(layer, FOLLOWING_LAYERS) and outputs:
            outputs[-1] = layer.output
        elif layer.weights:
            weighted.append(layer)
            outputs.append(layer.output)
    return model.inputs[0] if len(outputs) < 2 or isinstance(weighted[-1], keras.Model) else outputs[-2]


def _array(tensor: tf.Tensor) -> Floats:
    return np.asarray(tensor.numpy(), dtype=np.float32)
