"""What a served model says of images, compiled once: probabilities, and how one image led to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats, Images
from mnist_core.data.images import CLASSES
from mnist_core.errors import ModelError
from mnist_core.models.probabilities import probability_fault, probe_images

SHAPE = (28, 28)


@dataclass(frozen=True, eq=False)
class PredictionExplanation:
    """How one image led to its probabilities.

    Args:
        probabilities: shape ``(10,)``.
        activations: of the last hidden layer, shape ``(units,)``, 0 or more; empty where there is none.
        saliency: shape ``(28, 28)``: gradient of the likeliest class's log-probability, times the pixel; above 0
            where ink speaks for that class.
    """

    probabilities: Floats
    activations: Floats
    saliency: Floats


class CompiledPredictor:
    """A model that answers in a fraction of a millisecond, from any thread.

    Args:
        model: from pixels ``(n, 28, 28)`` to probabilities ``(n, 10)``.

    Raises:
        ModelError: it has other shapes, or does not answer with probabilities.
    """

    def __init__(self, model: keras.Model) -> None:
        if model.input_shape != (None, *SHAPE) or model.output_shape != (None, CLASSES):
            raise ModelError(
                f"model {model.name}: expected shapes (None, 28, 28) to (None, {CLASSES}), received "
                f"{model.input_shape} to {model.output_shape}"
            )
        hidden = _last_hidden(model)
        inside = keras.Model(model.inputs, [hidden, model.outputs[0]])

        @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.uint8)])
        def predict(images: tf.Tensor) -> tf.Tensor:
            return model(images, training=False)

        @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.uint8)])
        def explain(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            pixels = tf.cast(image, tf.float32)[None]
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                activations, probabilities = inside(pixels, training=False)
                certainty = tf.math.log(tf.reduce_max(probabilities[0]) + keras.config.epsilon())
            return probabilities[0], tf.reshape(activations, [-1]), (tape.gradient(certainty, pixels) * pixels)[0]

        self._model = model  # the graphs hold its variables weakly
        self._predict, self._explain = predict.get_concrete_function(), explain.get_concrete_function()
        self._has_hidden = hidden is not model.inputs[0]
        self._check()

    def probabilities(self, images: Images) -> Floats:
        """Class probabilities, shape ``(n, 10)``, of images of shape ``(n, 28, 28)``, uint8."""
        return _array(self._predict(tf.constant(images)))

    def explain(self, image: Images) -> PredictionExplanation:
        """How an image of shape ``(28, 28)``, uint8, led to its probabilities."""
        probabilities, activations, saliency = map(_array, self._explain(tf.constant(image)))
        return PredictionExplanation(probabilities, activations if self._has_hidden else activations[:0], saliency)

    def _check(self) -> None:
        """Ask once of everything, so that no user waits for first touches; a model of NaNs ends here."""
        images = probe_images(SHAPE)
        answers = self.probabilities(images), self.explain(images[1]).probabilities[None]
        if fault := probability_fault(np.concatenate(answers)):
            raise ModelError(f"model {self._model.name}: {fault}")


def _last_hidden(model: keras.Model) -> Any:
    """Output of the last layer with weights before the output layer; the input where there is none."""
    hidden = [layer for layer in model.layers[:-1] if layer.weights]
    return hidden[-1].output if hidden else model.inputs[0]


def _array(tensor: tf.Tensor) -> Floats:
    return np.asarray(tensor.numpy(), dtype=np.float32)
