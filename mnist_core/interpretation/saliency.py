"""Contributions of pixels to a prediction, by integrated gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from mnist_core.arrays import Floats, Images, Labels
from mnist_core.classification import confident_mistakes
from mnist_core.data.images import LabelledImages
from mnist_core.interpretation.activations import one_image_per_class
from mnist_core.interpretation.image_grid import INK, ROOM_FOR_TITLE, WIDTH
from mnist_core.plotting import SIGNED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = 64
# Number of interpolated images in one batch.
BATCH = 1024
# Smaller probabilities are replaced by this before the logarithm.
MIN_PROBABILITY = 1e-30


@dataclass(frozen=True, eq=False)
class Attribution:
    """The contribution of each pixel to the log-probability of a digit, compared with a black image.

    Args:
        pixels: shape ``(n, height, width)``, float32, in nats; positive increases the probability.
        total: shape ``(n,)``, float32, in nats: log-probability of the digit for the image less that for a black
            image. The pixels of an image add up to it (completeness) within the error of the finite steps.
    """

    pixels: Floats
    total: Floats


def integrated_gradients(model: keras.Model, images: Images, digits: Labels, steps: int = STEPS) -> Attribution:
    """Attribute the log-probability of a digit to pixels, after Sundararajan, Taly and Yan (2017), arXiv:1703.01365.

    The logarithm is used because the probability of a confident network hardly changes along the path.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        images: shape ``(n, height, width)``, uint8.
        digits: shape ``(n,)``, the digit to explain for each image.
        steps: number of points of the midpoint rule between a black image and the image.
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


def _mean_gradient(model: keras.Model, pixels: Floats, digits: Labels, steps: int) -> Floats:
    path = ((np.arange(steps, dtype=np.float32) + 0.5) / steps)[:, None, None, None]
    points = tf.constant((path * pixels).reshape(-1, *pixels.shape[1:]))
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = _log_probability(model, points, np.tile(digits, steps))
    gradients = np.asarray(tape.gradient(values, points)).reshape(steps, *pixels.shape)
    mean: Floats = gradients.mean(axis=0)
    return mean


def _log_probability(model: keras.Model, pixels: object, digits: Labels) -> tf.Tensor:
    probabilities = model(pixels, training=False)
    return tf.math.log(tf.maximum(tf.gather(probabilities, digits.astype(np.int64), batch_dims=1), MIN_PROBABILITY))


COLUMNS = 10
QUANTILE = 0.995


def draw_saliency(model: keras.Model, data: LabelledImages, probabilities: Floats) -> Figure:
    """Draw one image of each digit, and the contribution of each pixel to the predicted digit."""
    chosen = one_image_per_class(data.labels, probabilities)
    predicted = probabilities[chosen].argmax(axis=1)
    attribution = integrated_gradients(model, data.images[chosen], predicted)
    captions = [f"{label} as {digit}" for label, digit in zip(data.labels[chosen], predicted, strict=True)]
    return _draw(
        "Contribution of pixels to the predicted digit, one image of each digit (label as predicted)",
        data.images[chosen],
        captions,
        {"predicted digit": attribution},
    )


def draw_mistake_saliency(model: keras.Model, data: LabelledImages, probabilities: Floats) -> Figure:
    """Draw the most confident mistakes, and the contribution of each pixel to the predicted and to the true digit.

    Raises:
        ValueError: there are no mistakes.
    """
    chosen = confident_mistakes(probabilities, data.labels, COLUMNS)
    if not len(chosen):
        raise ValueError(f"no mistakes on {len(data):,} images")
    predicted, labels = probabilities[chosen].argmax(axis=1), data.labels[chosen]
    captions = [f"{label} as {digit}" for label, digit in zip(labels, predicted, strict=True)]
    return _draw(
        "Contribution of pixels to the most confident mistakes (label as predicted)",
        data.images[chosen],
        captions,
        {
            "predicted digit": integrated_gradients(model, data.images[chosen], predicted),
            "true digit": integrated_gradients(model, data.images[chosen], labels),
        },
    )


def _draw(title: str, images: Images, captions: list[str], attributions: dict[str, Attribution]) -> Figure:
    rows = 1 + len(attributions)
    figure = new_figure(WIDTH, 0.9 * rows + ROOM_FOR_TITLE + 0.8)
    figure.suptitle(title, fontweight="bold", fontsize=11)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    all_pixels = np.concatenate([each.pixels for each in attributions.values()])
    limit = float(np.quantile(np.abs(all_pixels), QUANTILE)) or 1.0
    for axes, image, caption in zip(grid[0], images, captions, strict=False):
        axes.imshow(image, cmap=INK, vmin=0, vmax=255)
        axes.set_title(caption, fontsize=9, fontweight="normal", pad=3)
    for row, (name, attribution) in zip(grid[1:], attributions.items(), strict=True):
        row[0].set_ylabel(name, fontsize=8)
        for axes, pixels, total in zip(row, attribution.pixels, attribution.total, strict=False):
            drawn = axes.imshow(pixels, cmap=SIGNED, vmin=-limit, vmax=limit)
            axes.set_xlabel(f"{total:+.1f}".replace("-", "−"), fontsize=8, labelpad=2)
    _remove_ticks(list(grid.flat), len(images))
    label = "contribution to the log-probability in nats, compared with a black image; below: sum"
    figure.colorbar(drawn, ax=grid, label=label, orientation="horizontal", fraction=0.05, shrink=0.7, extend="both")
    return figure


def _remove_ticks(axes: Sequence[Axes], used: int) -> None:
    for index, each in enumerate(axes):
        each.set(xticks=[], yticks=[])
        each.spines[:].set_visible(False)
        if index % COLUMNS >= used:
            each.set_axis_off()
