"""The parts of a section: a plot, its caption and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_core.plotting import PlotSpec

NO_TRIAL = "No trial completed."
"""Caption where there is nothing to describe."""


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Args:
        caption: its content, in a few words.
        columns: the headings; the first column names the rows.
        rows: as many texts each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """One plot of a report, with its caption and its numbers.

    Args:
        plot: still to be drawn.
        caption: a sentence or two that replace the plot for readers who cannot see it.
        table: the plotted numbers; None where they are those of the table of all trials.
    """

    plot: PlotSpec
    caption: str
    table: Table | None = None
