"""An evaluation to look at: who is taken for whom, and the mistakes that were made with most confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnist_core.data import LabelledImages
from mnist_core.evaluation import Evaluation, Probabilities, confident_mistakes
from mnist_core.pictures import AMOUNTS, digit_grid, new_figure, png, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_picture(evaluation: Evaluation) -> bytes:
    """The confusion matrix, and beside it the mistakes alone, which the diagonal would drown; PNG."""
    counts = np.array(evaluation.confusion)
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    with style():
        figure = new_figure(11, 5.4)
        left, right = figure.subplots(1, 2)
        _matrix(left, counts, "all images", top=counts.max())
        _matrix(right, mistakes, "mistakes alone", top=max(1, mistakes.max()))
        figure.suptitle(f"{evaluation.errors:,} of {evaluation.images:,} images not recognised", fontweight="bold")
        return png(figure)


def _matrix(axis: Axes, counts: np.ndarray, title: str, top: int) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay

    ConfusionMatrixDisplay(counts).plot(
        ax=axis, cmap=AMOUNTS, colorbar=False, values_format="d", im_kw={"vmin": 0, "vmax": top}
    )
    for (row, column), text in np.ndenumerate(axis.texts and np.array(axis.texts).reshape(counts.shape)):
        text.set_fontsize(8)
        text.set_visible(bool(counts[row, column]))
    axis.set_title(title)
    axis.set_xlabel("recognised as")
    axis.set_ylabel("true digit")
    axis.spines[["top", "right"]].set_visible(True)


def mistakes_picture(data: LabelledImages, probabilities: Probabilities, count: int = 25) -> bytes:
    """The most confident mistakes, each with truth, answer and the answer's probability; PNG.

    Args:
        data: the images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
        count: how many to show at most.
    """
    chosen = confident_mistakes(probabilities, data.labels, count)
    captions = [
        f"{data.labels[index]} taken for {probabilities[index].argmax()}\n{probabilities[index].max():.1%}"
        for index in chosen
    ]
    title = f"The {len(chosen)} most confident mistakes" if len(chosen) else "No mistakes"
    with style():
        return png(digit_grid(data.images[chosen], captions, title=title))
