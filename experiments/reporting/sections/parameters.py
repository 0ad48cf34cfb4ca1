"""Sections of the searched parameters: all at once, each alone, and in pairs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from experiments.formatting import format_params
from experiments.reporting.optuna_plots import StudyPlots, draw_contours, draw_parallel_coordinates, draw_slices
from experiments.reporting.sections.section import NO_TRIAL, Section
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import PlotSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Parameters whose pairs are drawn: three pairs, as more are too small to read.
MAX_CONTOURS = 3


def parameter_sections(timeline: SweepTimeline, plots: StudyPlots) -> list[Section]:
    """The three sections, their plots not drawn yet. They share a caption; their table is that of all trials."""
    specs = [
        PlotSpec("parallel_coordinates", "All parameters at once", partial(plots.draw, draw_parallel_coordinates)),
        PlotSpec("slices", "Each parameter alone", partial(plots.draw, draw_slices)),
        PlotSpec("contours", "Pairs of parameters", partial(draw_pairs, timeline, plots)),
    ]
    return [Section(spec, parameters_caption(timeline)) for spec in specs]


def parameters_caption(timeline: SweepTimeline) -> str:
    """The point of the best trial."""
    if not timeline.ranked:
        return NO_TRIAL
    return (
        f"The best trial, {timeline.ranked[0].name}, has {format_params(timeline.best_point())}.{timeline.sample_note}"
    )


def draw_pairs(timeline: SweepTimeline, plots: StudyPlots) -> Figure:
    """Contours over the pairs of the most important parameters.

    Raises:
        ValueError: fewer than two parameters were searched, or two trials completed.
    """
    names = list(plots.importances or timeline.spec.space.domains)[:MAX_CONTOURS]
    if len(names) < 2:
        raise ValueError("only one parameter was searched")
    return plots.draw(draw_contours, names, min_trials=2)
