"""Which pixels made the network say what it says: integrated gradients."""

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

    pixels: Floats
    total: Floats


def integrated_gradients(model: keras.Model, images: Images, digits: Labels, steps: int = STEPS) -> Attribution:
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


def _mean_gradient(model: keras.Model, pixels: Floats, digits: Labels, steps: int) -> Floats:
    way = ((np.arange(steps, dtype=np.float32) + 0.5) / steps)[:, None, None, None]
    points = tf.constant((way * pixels).reshape(-1, *pixels.shape[1:]))
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = _log_probability(model, points, np.tile(digits, steps))
    gradients = np.asarray(tape.gradient(values, points)).reshape(steps, *pixels.shape)
    mean: Floats = gradients.mean(axis=0)
    return mean


def _log_probability(model: keras.Model, pixels: object, digits: Labels) -> tf.Tensor:
    probabilities = model(pixels, training=False)
    return tf.math.log(tf.maximum(tf.gather(probabilities, digits.astype(np.int64), batch_dims=1), LEAST))


COLUMNS = 10
QUANTILE = 0.995


def draw_right(model: keras.Model, data: LabelledImages, probabilities: Floats) -> Figure:
    """One image of each digit, and what each pixel adds to the log-probability of the predicted digit."""
    chosen = one_image_per_class(data.labels, probabilities)
    predicted = probabilities[chosen].argmax(axis=1)
    for_it = integrated_gradients(model, data.images[chosen], predicted)
    captions = [f"{label} as {digit}" for label, digit in zip(data.labels[chosen], predicted, strict=True)]
    return _draw(
        "Pixels that speak for the prediction, one image of each digit (label as prediction)",
        data.images[chosen],
        captions,
        {"for the prediction": for_it},
    )


def draw_wrong(model: keras.Model, data: LabelledImages, probabilities: Floats) -> Figure:
    """The most confident mistakes, and what each pixel adds to the prediction and to the truth.

    Raises:
        ValueError: there are no mistakes.
    """
    chosen = confident_mistakes(probabilities, data.labels, COLUMNS)
    if not len(chosen):
        raise ValueError(f"none of {len(data):,} images was mistaken")
    predicted, labels = probabilities[chosen].argmax(axis=1), data.labels[chosen]
    captions = [f"{label} as {digit}" for label, digit in zip(labels, predicted, strict=True)]
    return _draw(
        "Pixels that misled: the most confident mistakes (label as prediction)",
        data.images[chosen],
        captions,
        {
            "for the prediction": integrated_gradients(model, data.images[chosen], predicted),
            "for the label": integrated_gradients(model, data.images[chosen], labels),
        },
    )


def _draw(title: str, images: Images, captions: list[str], attributions: dict[str, Attribution]) -> Figure:
    rows = 1 + len(attributions)
    figure = new_figure(WIDTH, 0.9 * rows + ROOM_FOR_TITLE + 0.8)
    figure.suptitle(title, fontweight="bold", fontsize=11)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    everything = np.concatenate([each.pixels for each in attributions.values()])
    limit = float(np.quantile(np.abs(everything), QUANTILE)) or 1.0
    for axes, image, caption in zip(grid[0], images, captions, strict=False):
        axes.imshow(image, cmap=INK, vmin=0, vmax=255)
        axes.set_title(caption, fontsize=9, fontweight="normal", pad=3)
    for row, (name, attribution) in zip(grid[1:], attributions.items(), strict=True):
        row[0].set_ylabel(name, fontsize=8)
        for axes, pixels, total in zip(row, attribution.pixels, attribution.total, strict=False):
            drawn = axes.imshow(pixels, cmap=SIGNED, vmin=-limit, vmax=limit)
            axes.set_xlabel(f"{total:+.1f}".replace("-", "−"), fontsize=8, labelpad=2)
    _clear(list(grid.flat), len(images))
    label = "nats added to the log-probability, against a black image; below each: their sum"
    figure.colorbar(drawn, ax=grid, label=label, orientation="horizontal", fraction=0.05, shrink=0.7, extend="both")
    return figure


def _clear(axes: Sequence[Axes], used: int) -> None:
    for index, each in enumerate(axes):
        each.set(xticks=[], yticks=[])
        each.spines[:].set_visible(False)
        if index % COLUMNS >= used:
            each.set_axis_off()
