"""Section "Accuracy against cost": the Pareto fronts of accuracy and model size, and of accuracy and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from experiments.formatting import format_number
from experiments.reporting.plot_style import WIDTH, focus
from experiments.reporting.sections.section import NO_TRIAL, Section, Table
from experiments.reporting.timeline import SweepTimeline, accuracy_of
from experiments.tracking.records import RunRecord
from mnist_core.metrics import Direction
from mnist_core.plotting import ORANGE, PlotSpec, new_figure, plain_logarithmic
from search.objectives import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cost = Callable[[RunRecord], float | None]


@dataclass(frozen=True)
class Fronts:
    """The Pareto fronts of a sweep, each with the cheapest run first.

    Args:
        weights: of accuracy and number of weights.
        seconds: of accuracy and time.
    """

    weights: Sequence[RunRecord]
    seconds: Sequence[RunRecord]


def weights_of(run: RunRecord) -> float | None:
    """Number of weights of the run's model; None where it was not recorded."""
    return run.metrics.get("weights")


def seconds_of(run: RunRecord) -> float | None:
    """Wall time of training and saving; None where it was not recorded."""
    return run.seconds


def tradeoffs_section(timeline: SweepTimeline) -> Section:
    """The section, its plot not drawn yet."""
    fronts = Fronts(accuracy_front(timeline.ranked, weights_of), accuracy_front(timeline.ranked, seconds_of))
    plot = PlotSpec("tradeoffs", "Accuracy against cost", partial(draw_tradeoffs, timeline, fronts))
    return Section(plot, tradeoffs_caption(fronts), tradeoffs_table(fronts))


def tradeoffs_caption(fronts: Fronts) -> str:
    """The two ends of the Pareto front of accuracy and weights."""
    front = fronts.weights
    if not front:
        return NO_TRIAL
    smallest, best = (f"{weights_of(run):,.0f} weights and {accuracy_of(run):.4f}" for run in (front[0], front[-1]))
    return (
        "A trial is on a Pareto front if no trial of at most its cost is more accurate. "
        f"The smallest model has {smallest}, the most accurate {best}."
    )


def tradeoffs_table(fronts: Fronts) -> Table:
    """The runs on one or both of the Pareto fronts."""
    by_name = {"weights": fronts.weights, "seconds": fronts.seconds}
    runs = {run.run_id: run for run in (*fronts.weights, *fronts.seconds)}
    rows = [
        (
            run.name,
            f"{accuracy_of(run):.4f}",
            format_number(weights_of(run), ",.0f"),
            format_number(run.seconds, ".1f"),
            " and ".join(name for name, front in by_name.items() if run in front),
        )
        for run in sorted(runs.values(), key=accuracy_of)
    ]
    return Table("Runs on a Pareto front", ("run", "val accuracy", "weights", "seconds", "front of"), rows)


def accuracy_front(runs: Iterable[RunRecord], cost: Cost) -> list[RunRecord]:
    """The Pareto front of validation accuracy and a cost, the cheapest run first.

    Args:
        runs: that may be selected.
        cost: of a run, the less the better; runs without one are left out.
    """
    points = [(spent, run) for run in runs if (spent := cost(run)) is not None]
    front = pareto_front(
        points, (Direction.MINIMIZE, Direction.MAXIMIZE), lambda point: (point[0], accuracy_of(point[1]))
    )
    return [run for _, run in sorted(front, key=lambda point: point[0])]


def draw_tradeoffs(timeline: SweepTimeline, fronts: Fronts) -> Figure:
    """Validation accuracy against the number of weights and against seconds, with the Pareto front of each.

    Raises:
        ValueError: no trial completed.
    """
    runs = timeline.ranked
    if not runs:
        raise ValueError("no trial completed")
    figure = new_figure(WIDTH, 4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_front(left, runs, fronts.weights, weights_of, "weights of the model (log)")
    _draw_front(right, runs, fronts.seconds, seconds_of, "seconds of training and saving")
    left.set(xscale="log", ylabel="validation accuracy")
    plain_logarithmic(left.xaxis)
    left.legend(loc="lower right")
    focus(left, map(accuracy_of, runs), Direction.MAXIMIZE)
    figure.suptitle("Accuracy against cost, by complete trial", fontweight="bold", fontsize=11)
    return figure


def _draw_front(axes: Axes, runs: Iterable[RunRecord], front: Iterable[RunRecord], cost: Cost, label: str) -> None:
    points = [(spent, accuracy_of(run)) for run in runs if (spent := cost(run)) is not None]
    axes.scatter([spent for spent, _ in points], [accuracy for _, accuracy in points], s=22, alpha=0.6)
    steps = [cost(run) or 0.0 for run in front], [accuracy_of(run) for run in front]
    axes.step(*steps, "o-", where="post", color=ORANGE, markersize=5, label="Pareto front")
    axes.set_xlabel(label)
