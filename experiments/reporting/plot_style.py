"""Size, colours, labels and limits that several plots of a report share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.metrics import Direction, Metric
from mnist_core.plotting import BLUE, ORANGE, RED
from search.trial import TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 8.2
"""Of every plot, in inches."""
LABELS = {Metric.VAL_ACCURACY: "validation accuracy", Metric.VAL_LOSS: "validation loss (nats)"}
GREY, LIGHT_GREY = "#999999", "#cccccc"
STATE_COLOURS = {
    TrialState.COMPLETE: BLUE,
    TrialState.PRUNED: ORANGE,
    TrialState.FAILED: RED,
    TrialState.KILLED: GREY,
    TrialState.RUNNING: LIGHT_GREY,
}


def focus(axes: Axes, values: Iterable[float], direction: Direction) -> None:
    """Limit the y axis to the good values: a few bad ones would press all others into one line.

    The axes note how many points lie outside.

    Raises:
        ValueError: none of the values is finite.
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    if not finite.size:
        raise ValueError("no value is finite")
    low, high = focus_limits(finite, direction)
    axes.set_ylim(low, high)
    outside = int(((finite < low) | (finite > high)).sum())
    if outside:
        side, y = ("below", 0.01) if direction is Direction.MAXIMIZE else ("above", 0.97)
        axes.text(0.01, y, f"{outside} of {len(finite)} points lie {side}", transform=axes.transAxes, fontsize=8)


def focus_limits(values: np.ndarray, direction: Direction) -> tuple[float, float]:
    """Limits of an axis that hold the better three quarters of the values, and of the others those near them.

    Args:
        values: shape ``(n,)``, finite, one or more.
        direction: of the better values.
    """
    signed = values if direction is Direction.MAXIMIZE else -values
    best, worst, quarter = signed.max(), signed.min(), np.quantile(signed, 0.25)
    shown = max(worst, best - 3 * (best - quarter))
    margin = 0.05 * (best - shown) or 0.01
    low, high = shown - margin, best + margin
    return (float(low), float(high)) if direction is Direction.MAXIMIZE else (float(-high), float(-low))
