"""What is said of each picture of a report: sentences that stand for it where it cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from experiments.formatting import format_params
from experiments.reporting.statistics import accuracy_of, pareto_front, time_spent, weights_of
from experiments.reporting.timeline import SweepTimeline, workers_of
from search.trial import TrialState

NOTHING = "No trial completed."
# Complete trials from which importances settle.
ENOUGH = 20


def of_history(timeline: SweepTimeline) -> str:
    """The best trial, and where half of them lie."""
    configuration, values = timeline.best_configuration(), timeline.values()
    if configuration is None:
        return NOTHING
    best, seeds = configuration.run, len(configuration.runs)
    mean = f", by the mean of its {seeds} seeds, {configuration.mean(timeline.spec.objective):.4f}" if seeds > 1 else ""
    return (
        f"Each dot is a complete trial, the line the best value so far. The best of {len(values)}, "
        f"{values[0]:.4f}, is {best.name}{mean}; half of them reached {median(values):.4f} or better."
    )


def of_importances(timeline: SweepTimeline, importances: Mapping[str, float]) -> str:
    """The share of each parameter, and whether there are trials enough to believe it."""
    if not importances:
        return "The shares of the parameters cannot be told from so few different values."
    told = f"How much of the difference between good and other trials goes with each parameter: {shares(importances)}."
    count = len(timeline.complete)
    return told if count >= ENOUGH else f"{told} From {count} complete trials, that is a hint at most."


def of_parameters(timeline: SweepTimeline) -> str:
    """The best point."""
    if not timeline.ranked:
        return NOTHING
    return f"The best trial, {timeline.ranked[0].name}, has {format_params(timeline.best_point())}."


def of_curves(timeline: SweepTimeline) -> str:
    """How many ran to their end, and how many did not."""
    complete, pruned = (len(timeline.of_state(state)) for state in (TrialState.COMPLETE, TrialState.PRUNED))
    return f"{complete} trials ran to their end and {pruned} were pruned, each at the cross that ends its line."


def of_tradeoffs(timeline: SweepTimeline) -> str:
    """The two ends of the Pareto front."""
    front = pareto_front(timeline.ranked, weights_of)
    if not front:
        return NOTHING
    smallest, best = (f"{weights_of(run):,.0f} weights and {accuracy_of(run):.4f}" for run in (front[0], front[-1]))
    return (
        "On the Pareto front is what no smaller, or no quicker, model beats. "
        f"The smallest model has {smallest}, the most accurate {best}."
    )


def of_timeline(timeline: SweepTimeline) -> str:
    """How many attempts in which time, and what a bar holds."""
    pauses = f", left and resumed {len(timeline.pauses)} times (pauses are cut out)" if timeline.pauses else ""
    return (
        f"{len(timeline.trials)} attempts on {workers(timeline)} in {timeline.seconds:,.0f} seconds{pauses}. Lanes are "
        "inferred from begin and end; a bar holds the worker's start and the recording too."
    )


def of_time(timeline: SweepTimeline) -> str:
    """The share of training."""
    spent = time_spent(timeline)
    share = spent.training / spent.total if spent.total else 0.0
    return (
        f"Of {spent.total:,.0f} seconds of workers, {share:.0%} went into training. Tracking is the driver's time, "
        "during which workers may train or wait."
    )


def workers(timeline: SweepTimeline) -> str:
    """``1 worker`` or ``2 workers``."""
    count = workers_of(timeline)
    return f"{count} worker{'s' * (count > 1)}"


def shares(importances: Mapping[str, float]) -> str:
    """``dropout 44%, hidden_size 35%``."""
    return ", ".join(f"{name} {share:.0%}" for name, share in importances.items())
