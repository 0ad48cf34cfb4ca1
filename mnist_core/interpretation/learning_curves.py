"""How the training went, and how far its result can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_core.interpretation.image_grid import WIDTH
from mnist_core.metrics import EpochMetrics, Metric
from mnist_core.plotting import BLUE, GREEN, ORANGE, new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


HALVES = (
    ("accuracy", "accuracy", Metric.ACCURACY, Metric.VAL_ACCURACY),
    ("loss", "loss (nats)", Metric.LOSS, Metric.VAL_LOSS),
)


def draw_learning_curves(history: Sequence[EpochMetrics], best_epoch: int | None) -> Figure:
    """Accuracy and loss by epoch, on training and validation images, the saved epoch marked.

    Args:
        history: metrics of every epoch, in order.
        best_epoch: 1-based epoch whose weights were saved.

    Raises:
        ValueError: no epoch was recorded.
    """
    if not history:
        raise ValueError("no epoch was recorded")
    figure = new_figure(WIDTH, 3.6)
    epochs = range(1, len(history) + 1)
    for axes, (title, unit, training, validation) in zip(figure.subplots(1, 2), HALVES, strict=True):
        axes.plot(epochs, [each.value(training) for each in history], ".-", color=ORANGE, label="training, as it went")
        axes.plot(epochs, [each.value(validation) for each in history], ".-", color=BLUE, label="validation")
        if best_epoch:
            value = history[best_epoch - 1].value(validation)
            axes.axvline(best_epoch, color=GREEN, linestyle=":")
            axes.plot(
                best_epoch, value, "o", color=GREEN, markersize=8, label=f"saved: epoch {best_epoch}, {value:.4f}"
            )
        axes.set(title=title.capitalize(), xlabel="epoch", ylabel=unit)
        whole_numbers(axes.xaxis)
        axes.legend()
    return figure
