"""Section "Optimization history": the objective by trial number, and the best value so far."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from experiments.reporting.optuna_plots import StudyPlots, draw_history
from experiments.reporting.plot_style import focus
from experiments.reporting.sections.section import NO_TRIAL, Section, Table
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import PlotSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def history_section(timeline: SweepTimeline, plots: StudyPlots) -> Section:
    """The section, its plot not drawn yet."""

    def draw() -> Figure:
        figure = plots.draw(draw_history)
        focus(figure.axes[0], timeline.values(), timeline.spec.metric.direction)
        return figure

    plot = PlotSpec("history", "Optimization history", draw)
    return Section(plot, history_caption(timeline), history_table(timeline))


def history_caption(timeline: SweepTimeline) -> str:
    """The best trial and the median."""
    configuration, values = timeline.best_configuration(), timeline.values()
    if configuration is None:
        return NO_TRIAL
    best, seeds = configuration.run, len(configuration.runs)
    mean = f", by the mean of its {seeds} seeds, {configuration.mean(timeline.spec.objective):.4f}" if seeds > 1 else ""
    return (
        f"Each dot is a complete trial, the line the best value so far. The best of {len(values)}, "
        f"{values[0]:.4f}, is {best.name}{mean}; half of them reached {median(values):.4f} or better."
        f"{timeline.sample_note}"
    )


def history_table(timeline: SweepTimeline) -> Table:
    """The objective of each complete trial, by trial number."""
    rows = [(str(trial), f"{value:.4f}", f"{best:.4f}") for trial, value, best in best_so_far(timeline)]
    if timeline.sample_note:  # too many to read: those that were the best when they ended
        rows = [row for row in rows if row[1] == row[2]]
        return Table(
            "Complete trials that were the best so far", ("trial", timeline.spec.objective, "best so far"), rows
        )
    return Table("Complete trials by number", ("trial", timeline.spec.objective, "best so far"), rows)


def best_so_far(timeline: SweepTimeline) -> list[tuple[int, float, float]]:
    """For each complete trial by number: the number, its value, and the best value up to it."""
    metric = timeline.spec.metric
    best, rows = metric.direction.worst, []
    for trial in timeline.complete:
        value = trial.run.value(metric.value) or 0.0
        best = value if metric.direction.better(value, best) else best
        rows.append((trial.run.number, value, best))
    return rows
