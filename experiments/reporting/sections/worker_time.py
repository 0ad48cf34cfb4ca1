"""Section "Worker time": the seconds of the workers by activity."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from experiments.formatting import format_number
from experiments.reporting.plot_style import GREY, WIDTH
from experiments.reporting.sections.section import Section, Table
from experiments.reporting.timeline import SweepTimeline, time_spent
from mnist_core.plotting import BLUE, GREEN, ORANGE, RED, PlotSpec, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def worker_time_section(timeline: SweepTimeline) -> Section:
    """The section, its plot not drawn yet."""
    plot = PlotSpec("time", "Worker time", partial(draw_time_spent, timeline))
    return Section(plot, time_caption(timeline), time_table(timeline))


def time_caption(timeline: SweepTimeline) -> str:
    """The share of training."""
    spent = time_spent(timeline)
    share = spent.training / spent.total if spent.total else 0.0
    return (
        f"Of {spent.total:,.0f} seconds of the workers, {share:.0%} went into training. Tracking is the driver's time, "
        "during which workers may train or wait."
    )


def time_table(timeline: SweepTimeline) -> Table:
    """Seconds of the workers by activity."""
    spent = time_spent(timeline)
    seconds = {
        "training": spent.training,
        "saving models": spent.saving,
        "tracking": spent.tracking,
        "lost attempts": spent.lost,
        "starting, waiting": spent.waiting,
    }
    rows = [
        (
            name,
            format_number(value, ",.1f") or "not recorded",
            format_number(value and value / (spent.total or 1), ".1%"),
        )
        for name, value in seconds.items()
    ]
    return Table("Seconds of the workers", ("activity", "seconds", "share"), rows)


def draw_time_spent(timeline: SweepTimeline) -> Figure:
    """A bar of seconds for each activity."""
    spent = time_spent(timeline)
    parts = {
        "training": (spent.training, BLUE),
        "saving models": (spent.saving, GREEN),
        "tracking (driver)": (spent.tracking or 0.0, ORANGE),
        "lost attempts": (spent.lost, RED),
        "starting, waiting": (spent.waiting, GREY),
    }
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots()
    values = [seconds for seconds, _ in parts.values()]
    bars = axes.barh(list(parts), values, color=[colour for _, colour in parts.values()])
    labels = [f"{seconds:,.1f} s  ({seconds / (spent.total or 1):.1%})" for seconds in values]
    if spent.tracking is None:
        labels[2] = "not recorded"
    axes.bar_label(bars, labels, padding=4)
    axes.invert_yaxis()
    axes.set(xlabel="seconds of the workers", xlim=(0, 1.25 * (max(values) or 1)), title="Worker time by activity")
    return figure
