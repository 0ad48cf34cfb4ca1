"""Which units answer to which digit."""

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


def class_means(answers: Floats, labels: Labels) -> Floats:
    """The mean answer of each unit to each digit.

    Args:
        answers: shape ``(n, units)``, float32.
        labels: shape ``(n,)``, 0–9.

    Returns:
        Shape ``(10, units)``, float32; NaN for a digit that is not among the labels.
    """
    means = np.full((CLASSES, answers.shape[1]), np.nan, dtype=np.float32)
    for digit in np.unique(labels):
        means[digit] = answers[labels == digit].mean(axis=0)
    return means


def order_by_class(means: Floats) -> Indices:
    """Units in the order of the digit that each answers to most, those that tell it apart best first.

    A unit tells its digit apart by as much as its mean answer to it lies above its mean answer to the second best,
    in standard deviations of all its means. Units that never answer come last.

    Args:
        means: shape ``(10, units)``; NaN for digits that are missing.

    Returns:
        Shape ``(units,)``: indices of units.
    """
    known = means[~np.isnan(means).any(axis=1)]
    digits = np.flatnonzero(~np.isnan(means).any(axis=1))
    ranked = np.sort(known, axis=0)
    spread = known.std(axis=0)
    lead = (ranked[-1] - ranked[-2]) if len(known) > 1 else ranked[-1]
    apart = np.divide(lead, spread, out=np.zeros_like(spread), where=spread > 0)
    favourite = digits[known.argmax(axis=0)]
    return np.lexsort((-apart, favourite, spread == 0))


def one_image_per_class(labels: Labels, probabilities: Floats) -> Indices:
    """For each digit that is there, the first image that was recognised, else the first image.

    Args:
        labels: shape ``(n,)``, 0–9.
        probabilities: shape ``(n, 10)``.
    """
    recognised = probabilities.argmax(axis=1) == labels
    chosen = []
    for digit in np.unique(labels):
        images = np.flatnonzero(labels == digit)
        chosen.append(images[recognised[images].argmax()])
    return np.array(chosen, dtype=np.intp)


MAX_MAPS = 8
MAX_LAYERS = 5


def draw_one_image_per_class(network: Network, data: LabelledImages, probabilities: Floats) -> Figure:
    """For one image of each digit: the image, what each hidden layer makes of it, the output.

    A Dense layer's units lie in a block, row by row in the order of the digit that they answer to most; of a
    convolution, the filters that answer most to these images are shown.

    Args:
        network: that was trained.
        data: images that it has not seen.
        probabilities: its output for them, shape ``(n, 10)``.
    """
    chosen = one_image_per_class(data.labels, probabilities)
    blocks = network.hidden[:MAX_LAYERS]
    answers = network.answers(data.images[chosen])[: len(blocks)]
    means = [class_means(each, data.labels) for each in network.unit_activations(data.images)]
    orders = [_order(answer, mean) for answer, mean in zip(answers, means, strict=False)]
    figure = new_figure(WIDTH, 0.78 * len(chosen) + ROOM_FOR_TITLE + 0.5)
    figure.suptitle("One image of each digit on its way through the network", fontweight="bold", fontsize=11)
    widths = [0.8, *(1.6 for _ in blocks), 2.0]
    grid = figure.subplots(len(chosen), len(widths), squeeze=False, width_ratios=widths)
    for row, (axes, image) in enumerate(zip(grid, chosen, strict=True)):
        axes[0].imshow(data.images[image], cmap=INK, vmin=0, vmax=255)
        for column, (answer, order) in enumerate(zip(answers, orders, strict=True), start=1):
            _draw_answer(axes[column], answer[row], order, float(np.abs(answer).max()))
        _draw_probabilities(axes[-1], probabilities[image], int(data.labels[image]), last=row == len(chosen) - 1)
        for each in axes[:-1]:
            each.set(xticks=[], yticks=[])
            each.spines[:].set_visible(False)
    for axes, title in zip(grid[0], ["input", *(block.name for block in blocks), "output probabilities"], strict=True):
        axes.set_title(title, fontsize=9)
    return figure


def _order(answer: Floats, means: Floats) -> Indices:
    """Which units are shown of a layer's answers to some images, and in which order."""
    if answer.ndim == 4:
        return np.argsort(-answer.mean(axis=(0, 1, 2)), kind="stable")[:MAX_MAPS]
    return order_by_class(means)


def _draw_answer(axes: Axes, answer: Floats, order: Indices, limit: float) -> None:
    if answer.ndim == 3:
        shown = mosaic(answer[:, :, order].transpose(2, 0, 1), columns=MAX_MAPS // 2)
    else:
        shown = _as_block(answer[order])
    signed = float(answer.min()) < 0
    axes.imshow(shown, cmap=SIGNED if signed else AMOUNTS, vmin=-limit if signed else 0, vmax=limit or 1)


def _as_block(values: Floats) -> Floats:
    """A vector in rows, about twice as wide as high."""
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
    """Mean answer of each unit of each hidden layer to each digit, as a heat map.

    Raises:
        ValueError: the network has no hidden layer.
    """
    if not network.hidden:
        raise ValueError("the network has no hidden layer")
    blocks = network.hidden[:MAX_LAYERS]
    figure = new_figure(WIDTH, 2.6 * len(blocks) + ROOM_FOR_TITLE)
    figure.suptitle("Which units answer to which digit", fontweight="bold", fontsize=11)
    rows = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
    for axes, block, answers in zip(rows, blocks, network.unit_activations(data.images), strict=False):
        means = class_means(answers, data.labels)
        order = order_by_class(means)
        limit = float(np.nanquantile(np.abs(means), 0.995)) or 1.0
        signed = float(np.nanmin(means)) < 0
        drawn = axes.imshow(
            means[:, order], aspect="auto", cmap=SIGNED if signed else AMOUNTS, vmin=-limit if signed else 0, vmax=limit
        )
        silent = int(np.sum(np.nanstd(means, axis=0) == 0))
        note = f", of which {silent} never answer" if silent else ""
        axes.set(title=f"{block.name}: {len(order)} units{note}", ylabel="digit", yticks=range(CLASSES))
        axes.set_xlabel("unit, by the digit that it answers to most")
        figure.colorbar(drawn, ax=axes, label="mean activation", extend="max" if not signed else "both")
    return figure
