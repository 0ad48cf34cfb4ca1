"""Activations of the hidden units: for one image of each class, and their means by class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.arrays import Floats, Indices, Labels
from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.interpretation.image_grid import INK, ROOM_FOR_TITLE, WIDTH, mosaic
from mnist_core.interpretation.network import Network
from mnist_core.plotting import AMOUNTS, BLUE, ORANGE, SIGNED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_means(activations: Floats, labels: Labels) -> Floats:
    """The mean activation of each unit for each class.

    Args:
        activations: shape ``(n, units)``, float32.
        labels: shape ``(n,)``, 0–9.

    Returns:
        Shape ``(10, units)``, float32; NaN for a digit without images.
    """
    means = np.full((CLASSES, activations.shape[1]), np.nan, dtype=np.float32)
    for digit in np.unique(labels):
        means[digit] = activations[labels == digit].mean(axis=0)
    return means


def order_by_class(means: Floats) -> Indices:
    """Order units by the digit with their highest mean activation, the most selective units of a digit first.

    The selectivity of a unit is its highest mean activation less the second highest, in standard deviations of its ten
    means. Units with the same mean for all digits are last.

    Args:
        means: shape ``(10, units)``; NaN for digits without images.

    Returns:
        Indices of units, shape ``(units,)``.
    """
    known = means[~np.isnan(means).any(axis=1)]
    digits = np.flatnonzero(~np.isnan(means).any(axis=1))
    ranked = np.sort(known, axis=0)
    spread = known.std(axis=0)
    margin = (ranked[-1] - ranked[-2]) if len(known) > 1 else ranked[-1]
    selectivity = np.divide(margin, spread, out=np.zeros_like(spread), where=spread > 0)
    preferred = digits[known.argmax(axis=0)]
    return np.lexsort((-selectivity, preferred, spread == 0))


def one_image_per_class(labels: Labels, probabilities: Floats) -> Indices:
    """The index of one image of each digit among the labels: the first one that was predicted correctly, if any.

    Args:
        labels: shape ``(n,)``, 0–9.
        probabilities: shape ``(n, 10)``.
    """
    correct = probabilities.argmax(axis=1) == labels
    chosen = []
    for digit in np.unique(labels):
        images = np.flatnonzero(labels == digit)
        chosen.append(images[correct[images].argmax()])
    return np.array(chosen, dtype=np.intp)


MAX_MAPS = 8
MAX_LAYERS = 5


def draw_one_image_per_class(network: Network, data: LabelledImages, probabilities: Floats) -> Figure:
    """Draw one image of each digit, its activations in each hidden layer, and the output.

    The units of a Dense layer form a block, row by row, ordered by the digit with their highest mean activation. Of a
    convolution, the filters with the highest mean activation for these images are shown.

    Args:
        network: trained.
        data: images that it was not trained on.
        probabilities: its output for them, shape ``(n, 10)``.
    """
    chosen = one_image_per_class(data.labels, probabilities)
    blocks = network.hidden[:MAX_LAYERS]
    activations = network.activations(data.images[chosen])[: len(blocks)]
    means = [class_means(each, data.labels) for each in network.unit_activations(data.images)]
    orders = [_order(values, mean) for values, mean in zip(activations, means, strict=False)]
    figure = new_figure(WIDTH, 0.78 * len(chosen) + ROOM_FOR_TITLE + 0.5)
    figure.suptitle("Activations for one image of each digit", fontweight="bold", fontsize=11)
    widths = [0.8, *(1.6 for _ in blocks), 2.0]
    grid = figure.subplots(len(chosen), len(widths), squeeze=False, width_ratios=widths)
    for row, (axes, image) in enumerate(zip(grid, chosen, strict=True)):
        axes[0].imshow(data.images[image], cmap=INK, vmin=0, vmax=255)
        for column, (values, order) in enumerate(zip(activations, orders, strict=True), start=1):
            _draw_activations(axes[column], values[row], order, float(np.abs(values).max()))
        _draw_probabilities(axes[-1], probabilities[image], int(data.labels[image]), last=row == len(chosen) - 1)
        for each in axes[:-1]:
            each.set(xticks=[], yticks=[])
            each.spines[:].set_visible(False)
    for axes, title in zip(grid[0], ["input", *(block.name for block in blocks), "output probabilities"], strict=True):
        axes.set_title(title, fontsize=9)
    return figure


def _order(activations: Floats, means: Floats) -> Indices:
    """The units of a layer that are shown for some images, in order."""
    if activations.ndim == 4:
        return np.argsort(-activations.mean(axis=(0, 1, 2)), kind="stable")[:MAX_MAPS]
    return order_by_class(means)


def _draw_activations(axes: Axes, activations: Floats, order: Indices, limit: float) -> None:
    if activations.ndim == 3:
        shown = mosaic(activations[:, :, order].transpose(2, 0, 1), columns=MAX_MAPS // 2)
    else:
        shown = _as_block(activations[order])
    signed = float(activations.min()) < 0
    axes.imshow(shown, cmap=SIGNED if signed else AMOUNTS, vmin=-limit if signed else 0, vmax=limit or 1)


def _as_block(values: Floats) -> Floats:
    """Arrange a vector in rows, about twice as wide as high."""
    columns = math.ceil(math.sqrt(2 * len(values)))
    return mosaic(values[:, None, None], columns, gap=0)


def _draw_probabilities(axes: Axes, probabilities: Floats, label: int, last: bool) -> None:
    colours = [ORANGE if digit == label else BLUE for digit in range(CLASSES)]
    axes.bar(range(CLASSES), probabilities, color=colours)
    axes.set(ylim=(0, 1.05), yticks=[0, 1], xticks=range(CLASSES), xticklabels=range(CLASSES) if last else [])
    axes.tick_params(labelsize=8)
    if last:
        axes.set_xlabel("digit (orange: label)", fontsize=9)


def draw_unit_heatmap(network: Network, data: LabelledImages) -> Figure:
    """Draw the mean activation of each hidden unit for each digit, as a heat map.

    Raises:
        ValueError: the network has no hidden layer.
    """
    if not network.hidden:
        raise ValueError("the network has no hidden layer")
    blocks = network.hidden[:MAX_LAYERS]
    figure = new_figure(WIDTH, 2.6 * len(blocks) + ROOM_FOR_TITLE)
    figure.suptitle("Mean activation of hidden units by digit", fontweight="bold", fontsize=11)
    rows = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
    for axes, block, activations in zip(rows, blocks, network.unit_activations(data.images), strict=False):
        means = class_means(activations, data.labels)
        order = order_by_class(means)
        limit = float(np.nanquantile(np.abs(means), 0.995)) or 1.0
        signed = float(np.nanmin(means)) < 0
        drawn = axes.imshow(
            means[:, order], aspect="auto", cmap=SIGNED if signed else AMOUNTS, vmin=-limit if signed else 0, vmax=limit
        )
        constant = int(np.sum(np.nanstd(means, axis=0) == 0))
        note = f", of which {constant} inactive" if constant else ""
        axes.set(title=f"{block.name}: {len(order)} units{note}", ylabel="digit", yticks=range(CLASSES))
        axes.set_xlabel("unit, ordered by the digit with the highest mean activation")
        figure.colorbar(drawn, ax=axes, label="mean activation", extend="max" if not signed else "both")
    return figure
