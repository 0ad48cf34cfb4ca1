"""Section "Learning curves": the objective of every finished trial by epoch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.reporting.plot_style import LABELS, STATE_COLOURS, WIDTH, focus
from experiments.reporting.sections.section import Section, Table
from experiments.reporting.timeline import SweepTimeline, TrialTimeline
from mnist_core.plotting import GREEN, ORANGE, PlotSpec, new_figure, whole_numbers
from search.trial import TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CURVES = 300
"""Curves of a report; of more trials, a sample is shown."""
BEST_CURVES = 200


def curves_section(timeline: SweepTimeline) -> Section:
    """The section, its plot not drawn yet."""
    plot = PlotSpec("curves", "Learning curves", partial(draw_curves, timeline))
    return Section(plot, curves_caption(timeline), curves_table(timeline))


def curves_caption(timeline: SweepTimeline) -> str:
    """The number of complete and of pruned trials."""
    complete, pruned = (len(timeline.of_state(state)) for state in (TrialState.COMPLETE, TrialState.PRUNED))
    drawn, finished = len(sampled_curves(timeline)), len(_all_finished(timeline))
    sample = (
        f" Curves of {drawn:,} of {finished:,} trials: the {min(BEST_CURVES, len(timeline.ranked))} best, the others "
        "drawn at random."
        if drawn < finished
        else ""
    )
    return f"Complete trials: {complete}. Pruned trials: {pruned}; a cross ends the line of each.{sample}"


def curves_table(timeline: SweepTimeline) -> Table:
    """The objective by epoch of each finished trial, of a sample where they are many."""
    trials = sampled_curves(timeline)
    longest = max((len(trial.curve) for trial in trials), default=0)
    rows = [
        (trial.run.name, trial.run.state.value, *(f"{value:.4f}" for value in trial.curve))
        + ("",) * (longest - len(trial.curve))
        for trial in trials
    ]
    columns = ("run", "state", *(str(epoch) for epoch in range(1, longest + 1)))
    return Table(f"{timeline.spec.objective} by epoch", columns, rows)


def finished_curves(timeline: SweepTimeline) -> list[TrialTimeline]:
    """Finished trials that ended an epoch or more, of those whose curves were read."""
    return [trial for trial in timeline.trials if trial.curve and trial.run.state.is_finished]


def _all_finished(timeline: SweepTimeline) -> list[TrialTimeline]:
    """Finished trials, of whose curves a sample may have been read."""
    if not timeline.sample_note:
        return finished_curves(timeline)
    return [trial for trial in timeline.trials if trial.run.state.is_finished]


def sampled_curves(timeline: SweepTimeline) -> list[TrialTimeline]:
    """At most ``MAX_CURVES`` of the finished curves, by trial number: the best, and others by a fixed seed."""
    trials = finished_curves(timeline)
    if len(trials) <= MAX_CURVES:
        return trials
    best = {run.run_id for run in timeline.ranked[:BEST_CURVES]}
    rest = [trial.run.run_id for trial in trials if trial.run.run_id not in best]
    shown = best | set(random.Random(0).sample(rest, min(len(rest), MAX_CURVES - len(best))))
    return [trial for trial in trials if trial.run.run_id in shown]


def draw_curves(timeline: SweepTimeline) -> Figure:
    """The objective by epoch: complete trials, the best one, and pruned ones to the epoch that was their last.

    Raises:
        ValueError: no trial has a curve, or none with a finite value.
    """
    trials = sampled_curves(timeline)
    if not trials:
        raise ValueError("no trial ended an epoch")
    figure = new_figure(WIDTH, 4.6)
    axes = figure.subplots()
    best = timeline.ranked[0].run_id if timeline.ranked else ""
    alpha = max(0.1, min(0.5, 25 / len(trials)))
    for trial in trials:
        _draw_curve(axes, trial, alpha, trial.run.run_id == best)
    focus(axes, (value for trial in trials for value in trial.curve), timeline.spec.metric.direction)
    _add_legend(axes, _all_finished(timeline))
    axes.set(
        title="Every trial by epoch" if len(trials) == len(_all_finished(timeline)) else "Trials by epoch",
        xlabel="epoch",
        ylabel=LABELS[timeline.spec.metric],
    )
    whole_numbers(axes.xaxis)
    return figure


def _draw_curve(axes: Axes, trial: TrialTimeline, alpha: float, is_best: bool) -> None:
    epochs, state = range(1, len(trial.curve) + 1), trial.run.state
    if is_best:
        axes.plot(epochs, trial.curve, ".-", color=GREEN, linewidth=2.2, zorder=4, label=f"best: {trial.run.name}")
    else:
        axes.plot(epochs, trial.curve, color=STATE_COLOURS[state], alpha=alpha, linewidth=1)
    if state is TrialState.PRUNED:
        axes.plot(len(trial.curve), trial.curve[-1], "x", color=ORANGE, alpha=min(1.0, 2 * alpha), zorder=3)


def _add_legend(axes: Axes, trials: Sequence[TrialTimeline]) -> None:
    for state, marker in ((TrialState.COMPLETE, ""), (TrialState.PRUNED, "x")):
        if count := sum(trial.run.state is state for trial in trials):
            axes.plot([], [], color=STATE_COLOURS[state], marker=marker, label=f"{state.value}: {count}")
    axes.legend(loc="best")
