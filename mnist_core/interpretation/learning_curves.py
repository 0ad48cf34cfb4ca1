"""Learning curves of one training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_core.interpretation.image_grid import WIDTH
from mnist_core.metrics import EpochMetrics, Metric
from mnist_core.plotting import BLUE, GREEN, ORANGE, new_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PANELS = (
    ("accuracy", "accuracy", Metric.ACCURACY, Metric.VAL_ACCURACY),
    ("loss", "loss (nats)", Metric.LOSS, Metric.VAL_LOSS),
)


def draw_learning_curves(history: Sequence[EpochMetrics], best_epoch: int | None) -> Figure:
    """Draw accuracy and loss by epoch, on training and validation images, and mark the saved epoch.

    Args:
        history: metrics of all epochs, in order.
        best_epoch: 1-based epoch whose weights were saved.

    Raises:
        ValueError: no epoch was recorded.
    """
    if not history:
        raise ValueError("no epoch was recorded")
    figure = new_figure(WIDTH, 3.6)
    epochs = range(1, len(history) + 1)
    for axes, (title, unit, training, validation) in zip(figure.subplots(1, 2), PANELS, strict=True):
        axes.plot(
            epochs, [each.value(training) for each in history], ".-", color=ORANGE, label="training (during the epoch)"
        )
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
