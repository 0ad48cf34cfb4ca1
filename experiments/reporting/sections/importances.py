"""Section "Parameter importances": the share of each parameter in the differences between trials."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from experiments.reporting.optuna_plots import StudyPlots, draw_importances
from experiments.reporting.sections.section import Section, Table
from experiments.reporting.timeline import SweepTimeline
from mnist_core.plotting import PlotSpec

# Complete trials from which importances are stable.
ENOUGH_TRIALS = 20


def importances_section(timeline: SweepTimeline, plots: StudyPlots) -> Section:
    """The section, its plot not drawn yet."""
    plot = PlotSpec("importances", "Parameter importances", partial(plots.draw, draw_importances, min_trials=2))
    caption = importances_caption(plots.importances, len(timeline.complete)) + timeline.sample_note
    return Section(plot, caption, importances_table(plots.importances))


def importances_caption(importances: Mapping[str, float], trials: int) -> str:
    """The share of each parameter, with a warning where the complete trials are few."""
    if not importances:
        return "Importances need two complete trials of different value."
    text = f"Share of each parameter in the difference between good and other trials: {format_shares(importances)}."
    return text if trials >= ENOUGH_TRIALS else f"{text} From only {trials} complete trials, they are rough."


def importances_table(importances: Mapping[str, float]) -> Table:
    """The share of each parameter."""
    rows = [(name, f"{share:.3f}") for name, share in importances.items()]
    return Table("Importance of each parameter", ("parameter", "importance"), rows)


def format_shares(importances: Mapping[str, float]) -> str:
    """``dropout 44%, hidden_size 35%``."""
    return ", ".join(f"{name} {share:.0%}" for name, share in importances.items())
