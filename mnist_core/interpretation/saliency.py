"""Which pixels made the network say what it says: integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mnist_core.interpretation.network import Array, Images

STEPS = 64
# Images on their way from black that are computed at once.
BATCH = 1024
# The logarithm of a probability below this is taken to be that of this.
LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each pixel adds to the log-probability of a digit, as against a black image.

    Args:
        pixels: shape ``(n, height, width)``, float32, in nats; positive speaks for the digit.
        total: shape ``(n,)``, float32, in nats: log-probability of the digit for the image less that for a black
            one, which the pixels of an image sum up to (completeness) as far as the number of steps allows.
    """

    pixels: Array
    total: Array


def integrated_gradients(
    model: keras.Model, images: Images, digits: npt.NDArray[np.integer], steps: int = STEPS
) -> Attribution:
    """Attribute the log-probability of a digit to pixels, after Sundararajan, Taly and Yan (2017), arXiv:1703.01365.

    The logarithm, and not the probability, because a sure network's probability hardly moves along the way.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        images: shape ``(n, height, width)``, uint8.
        digits: shape ``(n,)``, the digit to be explained for each image.
        steps: points of the midpoint rule between black and the image.
    """
    pixels = images.astype(np.float32)
    gradients = np.zeros_like(pixels)
    share = max(1, BATCH // steps)
    for start in range(0, len(pixels), share):
        part = slice(start, start + share)
        gradients[part] = _mean_gradient(model, pixels[part], digits[part], steps)
    black = np.zeros_like(pixels)
    total = _log_probability(model, pixels, digits) - _log_probability(model, black, digits)
    return Attribution(pixels * gradients, np.asarray(total))


def _mean_gradient(model: keras.Model, pixels: Array, digits: npt.NDArray[np.integer], steps: int) -> Array:
    way = ((np.arange(steps, dtype=np.float32) + 0.5) / steps)[:, None, None, None]
    points = tf.constant((way * pixels).reshape(-1, *pixels.shape[1:]))
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = _log_probability(model, points, np.tile(digits, steps))
    gradients = np.asarray(tape.gradient(values, points)).reshape(steps, *pixels.shape)
    mean: Array = gradients.mean(axis=0)
    return mean


def _log_probability(model: keras.Model, pixels: object, digits: npt.NDArray[np.integer]) -> tf.Tensor:
    probabilities = model(pixels, training=False)
    return tf.math.log(tf.maximum(tf.gather(probabilities, digits.astype(np.int64), batch_dims=1), LEAST))
