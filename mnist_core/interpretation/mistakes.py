"""Wrongly predicted images, confused pairs of digits, and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnist_core.arrays import Floats
from mnist_core.classification import Evaluation, confident_mistakes, confused_pairs
from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.interpretation.image_grid import WIDTH, image_grid
from mnist_core.plotting import AMOUNTS, new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5
MAX_PAIRS = 12


def draw_mistakes(data: LabelledImages, probabilities: Floats, part: str = "validation") -> Figure:
    """Draw the 25 most confident mistakes with label, predicted digit and its probability.

    Args:
        data: the images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
        part: name of the part of the data set.

    Raises:
        ValueError: there are no mistakes.
    """
    chosen = confident_mistakes(probabilities, data.labels)
    if not len(chosen):
        raise ValueError(f"no mistakes on {len(data):,} images")
    captions = [
        f"{label} predicted as {row.argmax()}\nprobability {_percent(row.max())}"
        for label, row in zip(data.labels[chosen], probabilities[chosen], strict=True)
    ]
    wrong = int((probabilities.argmax(axis=1) != data.labels).sum())
    title = f"The {len(chosen)} most confident of {wrong:,} mistakes on {len(data):,} {part} images"
    return image_grid(data.images[chosen], captions, COLUMNS, title)


def _percent(probability: float) -> str:
    """A probability in percent, rounded down, so that only 1 is 100%."""
    return f"{int(probability * 1000) / 10:.1f}%"


def draw_confused_pairs(data: LabelledImages, probabilities: Floats) -> Figure:
    """Draw the most frequent confused pairs of digits.

    Raises:
        ValueError: there are no mistakes.
    """
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(data.labels, probabilities.argmax(axis=1), labels=range(CLASSES))
    pairs = confused_pairs(confusion.tolist())
    if not pairs:
        raise ValueError(f"no mistakes on {len(data):,} images")
    shown = pairs[:MAX_PAIRS]
    figure = new_figure(WIDTH, 0.32 * len(shown) + 1.3)
    axes = figure.subplots()
    bars = axes.barh([f"{pair.label} predicted as {pair.predicted}" for pair in shown], [pair.count for pair in shown])
    axes.bar_label(bars, [f"{pair.count}   {pair.share:.1%} of the {pair.label}s" for pair in shown], padding=4)
    axes.set(xlabel="validation images", xlim=(0, 1.3 * shown[0].count), title="The most confused pairs of digits")
    axes.invert_yaxis()
    whole_numbers(axes.xaxis)
    return figure


def draw_confusion(evaluation: Evaluation) -> Figure:
    """Draw the confusion matrix, and the mistakes alone, which the scale of the diagonal would hide."""
    counts = np.array(evaluation.confusion)
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    figure = new_figure(11, 5.4)
    left, right = figure.subplots(1, 2)
    _draw_matrix(left, counts, "all images", top=counts.max())
    _draw_matrix(right, mistakes, "mistakes alone", top=max(1, mistakes.max()))
    figure.suptitle(f"{evaluation.errors:,} mistakes on {evaluation.images:,} images", fontweight="bold")
    return figure


def _draw_matrix(axis: Axes, counts: np.ndarray, title: str, top: int) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay

    ConfusionMatrixDisplay(counts).plot(
        ax=axis, cmap=AMOUNTS, colorbar=False, values_format="d", im_kw={"vmin": 0, "vmax": top}
    )
    for (row, column), text in np.ndenumerate(axis.texts and np.array(axis.texts).reshape(counts.shape)):
        text.set_fontsize(8)
        text.set_visible(bool(counts[row, column]))
    axis.set_title(title)
    axis.set_xlabel("predicted digit")
    axis.set_ylabel("true digit")
    axis.spines[["top", "right"]].set_visible(True)
