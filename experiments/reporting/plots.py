"""The pictures of a sweep that Optuna does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from experiments.reporting.statistics import accuracy_of, lanes, pareto_front, seconds_of, time_spent, weights_of
from experiments.reporting.timeline import SweepTimeline
from mnist_core.metrics import Direction, Metric
from mnist_core.plotting import BLACK, BLUE, GREEN, ORANGE, RED, new_figure, plain_logarithmic, whole_numbers
from search.trial import TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.2
# Bars of a timeline beyond which gaps between them would hide the narrow ones.
MAX_SEPARATED = 100
LABELS = {Metric.VAL_ACCURACY: "validation accuracy", Metric.VAL_LOSS: "validation loss (nats)"}
COLOURS = {
    TrialState.COMPLETE: BLUE,
    TrialState.PRUNED: ORANGE,
    TrialState.FAILED: RED,
    TrialState.KILLED: "#999999",
    TrialState.RUNNING: "#cccccc",
}


def draw_curves(timeline: SweepTimeline) -> Figure:
    """The objective by epoch: complete trials, the best one, and pruned ones to where they were stopped.

    Raises:
        ValueError: no trial has a curve.
    """
    told = [trial for trial in timeline.trials if trial.curve and trial.run.state.is_finished]
    if not told:
        raise ValueError("no trial ended an epoch")
    best = timeline.ranked[0].run_id if timeline.ranked else ""
    figure = new_figure(WIDTH, 4.6)
    axes = figure.subplots()
    alpha = max(0.1, min(0.5, 25 / len(told)))
    for trial in told:
        epochs = range(1, len(trial.curve) + 1)
        pruned = trial.run.state is TrialState.PRUNED
        if trial.run.run_id == best:
            axes.plot(epochs, trial.curve, ".-", color=GREEN, linewidth=2.2, zorder=4, label=f"best: {trial.run.name}")
        else:
            axes.plot(epochs, trial.curve, color=COLOURS[trial.run.state], alpha=alpha, linewidth=1)
        if pruned:
            axes.plot(len(trial.curve), trial.curve[-1], "x", color=ORANGE, alpha=min(1.0, 2 * alpha), zorder=3)
    for state, marker in ((TrialState.COMPLETE, ""), (TrialState.PRUNED, "x")):
        if count := sum(trial.run.state is state for trial in told):
            axes.plot([], [], color=COLOURS[state], marker=marker, label=f"{state.value}: {count}")
    focus(axes, (value for trial in told for value in trial.curve), timeline.spec.metric.direction)
    axes.set(title="Every trial by epoch", xlabel="epoch", ylabel=LABELS[timeline.spec.metric])
    whole_numbers(axes.xaxis)
    axes.legend(loc="best")
    return figure


def draw_timeline(timeline: SweepTimeline) -> Figure:
    """When each trial ran, one lane for each worker; where the sweep was left and resumed, a dashed line.

    Raises:
        ValueError: there are no trials.
    """
    if not timeline.trials:
        raise ValueError("there are no trials")
    rows = lanes(timeline.trials)
    unit, scale = ("minutes", 60.0) if timeline.seconds > 300 else ("seconds", 1.0)
    figure = new_figure(WIDTH, 1.7 + 0.45 * (max(rows) + 1))
    axes = figure.subplots()
    for state, colour in COLOURS.items():
        mine = [(trial, row) for trial, row in zip(timeline.trials, rows, strict=True) if trial.run.state is state]
        if mine:
            axes.barh(
                [row + 1 for _, row in mine],
                [trial.seconds / scale for trial, _ in mine],
                left=[trial.began / scale for trial, _ in mine],
                height=0.8,
                color=colour,
                edgecolor="white",
                linewidth=0.5 if len(timeline.trials) <= MAX_SEPARATED else 0.0,
                label=f"{state.value}: {len(mine)}",
            )
    for pause in timeline.pauses:
        axes.axvline(pause / scale, color=BLACK, linestyle="--", linewidth=1)
    axes.set(xlabel=f"{unit} of the sweep" + (" (dashed: left, and resumed later)" if timeline.pauses else ""))
    axes.set(ylabel="worker", xlim=(0, None))
    whole_numbers(axes.yaxis)
    axes.set_title("When each trial ran", loc="left")
    axes.legend(ncols=len(COLOURS), loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def draw_time_spent(timeline: SweepTimeline) -> Figure:
    """What the workers' time went into."""
    spent = time_spent(timeline)
    parts = {
        "training": (spent.training, BLUE),
        "saving models": (spent.saving, GREEN),
        "tracking (driver)": (spent.tracking or 0.0, ORANGE),
        "lost attempts": (spent.lost, RED),
        "starting, waiting": (spent.waiting, "#999999"),
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
    axes.set(xlabel="seconds of workers", xlim=(0, 1.25 * (max(values) or 1)), title="Where the time went")
    return figure


def draw_tradeoffs(timeline: SweepTimeline) -> Figure:
    """Validation accuracy against number of weights and against seconds, with the Pareto front of each.

    Raises:
        ValueError: no trial completed.
    """
    runs = timeline.ranked
    if not runs:
        raise ValueError("no trial completed")
    figure = new_figure(WIDTH, 4.0)
    panels = figure.subplots(1, 2, sharey=True)
    costs = (("weights of the model (log)", weights_of), ("seconds of training and saving", seconds_of))
    for axes, (label, cost) in zip(panels, costs, strict=True):
        known = [(spent, accuracy_of(run)) for run in runs if (spent := cost(run)) is not None]
        axes.scatter([spent for spent, _ in known], [accuracy for _, accuracy in known], s=22, alpha=0.6)
        front = [(cost(run) or 0.0, accuracy_of(run)) for run in pareto_front(runs, cost)]
        steps = np.array(front)
        axes.step(steps[:, 0], steps[:, 1], "o-", where="post", color=ORANGE, markersize=5, label="Pareto front")
        axes.set_xlabel(label)
    panels[0].set(xscale="log", ylabel="validation accuracy")
    plain_logarithmic(panels[0].xaxis)
    panels[0].legend(loc="lower right")
    focus(panels[0], map(accuracy_of, runs), Direction.MAXIMIZE)
    figure.suptitle("What accuracy costs, by complete trial", fontweight="bold", fontsize=11)
    return figure


def focus(axes: Axes, values: Iterable[float], direction: Direction) -> None:
    """Look closely at the good end: a few hopeless values would press all others into one line."""
    known = np.array([value for value in values if np.isfinite(value)])
    low, high = focus_limits(known, direction)
    axes.set_ylim(low, high)
    outside = int(((known < low) | (known > high)).sum())
    if outside:
        side = "below" if direction is Direction.MAXIMIZE else "above"
        place = 0.01 if direction is Direction.MAXIMIZE else 0.97
        axes.text(0.01, place, f"{outside} of {len(known)} points lie {side}", transform=axes.transAxes, fontsize=8)


def focus_limits(values: np.ndarray, direction: Direction) -> tuple[float, float]:
    """The range of an axis that shows the better three quarters well, and of the rest what lies near them."""
    signed = values if direction is Direction.MAXIMIZE else -values
    best, worst, quarter = signed.max(), signed.min(), np.quantile(signed, 0.25)
    shown = max(worst, best - 3 * (best - quarter))
    margin = 0.05 * (best - shown) or 0.01
    low, high = shown - margin, best + margin
    return (float(low), float(high)) if direction is Direction.MAXIMIZE else (float(-high), float(-low))
