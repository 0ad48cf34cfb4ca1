"""The pictures of an evaluation: who is taken for whom, and the mistakes that were made with most confidence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.classification import Evaluation, Probabilities
from mnist_core.data.images import LabelledImages
from mnist_core.interpretation.mistakes import draw_mistakes
from mnist_core.interpretation.rendering import PlotSpec, RenderedPlot, render_plot
from mnist_core.plotting import AMOUNTS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def render_evaluation_plots(
    evaluation: Evaluation, data: LabelledImages, probabilities: Probabilities
) -> Iterator[RenderedPlot]:
    """Draw an evaluation on the test set.

    Args:
        evaluation: its figures.
        data: the test images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
    """
    mistakes = partial(draw_mistakes, data, probabilities, "test")
    yield render_plot(PlotSpec("confusion", "Who is taken for whom", partial(draw_confusion, evaluation)))
    yield render_plot(PlotSpec("mistakes", "The most confident mistakes", mistakes))


def draw_confusion(evaluation: Evaluation) -> Figure:
    """The confusion matrix, and beside it the mistakes alone, which the diagonal would drown."""
    counts = np.array(evaluation.confusion)
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    figure = new_figure(11, 5.4)
    left, right = figure.subplots(1, 2)
    _matrix(left, counts, "all images", top=counts.max())
    _matrix(right, mistakes, "mistakes alone", top=max(1, mistakes.max()))
    figure.suptitle(f"{evaluation.errors:,} of {evaluation.images:,} images not recognised", fontweight="bold")
    return figure


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
