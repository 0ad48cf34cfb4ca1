"""Which pixels spoke for a prediction, right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt

from mnist_core.classification import confident_mistakes
from mnist_core.data.images import LabelledImages
from mnist_core.interpretation.activations import one_image_per_class
from mnist_core.interpretation.image_grid import INK, ROOM_FOR_TITLE, WIDTH
from mnist_core.interpretation.network import Array
from mnist_core.interpretation.saliency import Attribution, integrated_gradients
from mnist_core.plotting import SIGNED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 10
QUANTILE = 0.995


def draw_right(model: keras.Model, data: LabelledImages, probabilities: Array) -> Figure:
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


def draw_wrong(model: keras.Model, data: LabelledImages, probabilities: Array) -> Figure:
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


def _draw(
    title: str, images: npt.NDArray[np.uint8], captions: list[str], attributions: dict[str, Attribution]
) -> Figure:
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
