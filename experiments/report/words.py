"""What is said of each picture of a report: sentences that stand for it where it cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from experiments.console import in_words
from experiments.report.figures import accuracy_of, pareto_front, time_spent, weights_of
from experiments.report.story import SweepStory, workers_of
from search.trial import TrialState

NOTHING = "No trial completed."
# Complete trials from which importances settle.
ENOUGH = 20


def of_history(story: SweepStory) -> str:
    """The best trial, and where half of them lie."""
    configuration, values = story.best_configuration(), story.values()
    if configuration is None:
        return NOTHING
    best, seeds = configuration.run, len(configuration.runs)
    mean = f", by the mean of its {seeds} seeds, {configuration.mean(story.spec.objective):.4f}" if seeds > 1 else ""
    return (
        f"Each dot is a complete trial, the line the best value so far. The best of {len(values)}, "
        f"{values[0]:.4f}, is {best.name}{mean}; half of them reached {median(values):.4f} or better."
    )


def of_importances(story: SweepStory, importances: Mapping[str, float]) -> str:
    """The share of each parameter, and whether there are trials enough to believe it."""
    if not importances:
        return "The shares of the parameters cannot be told from so few different values."
    told = f"How much of the difference between good and other trials goes with each parameter: {shares(importances)}."
    count = len(story.complete)
    return told if count >= ENOUGH else f"{told} From {count} complete trials, that is a hint at most."


def of_parameters(story: SweepStory) -> str:
    """The best point."""
    if not story.ranked:
        return NOTHING
    return f"The best trial, {story.ranked[0].name}, has {in_words(story.best_point())}."


def of_curves(story: SweepStory) -> str:
    """How many ran to their end, and how many did not."""
    complete, pruned = (len(story.of_state(state)) for state in (TrialState.COMPLETE, TrialState.PRUNED))
    return f"{complete} trials ran to their end and {pruned} were pruned, each at the cross that ends its line."


def of_tradeoffs(story: SweepStory) -> str:
    """The two ends of the Pareto front."""
    front = pareto_front(story.ranked, weights_of)
    if not front:
        return NOTHING
    smallest, best = (f"{weights_of(run):,.0f} weights and {accuracy_of(run):.4f}" for run in (front[0], front[-1]))
    return (
        "On the Pareto front is what no smaller, or no quicker, model beats. "
        f"The smallest model has {smallest}, the most accurate {best}."
    )


def of_timeline(story: SweepStory) -> str:
    """How many attempts in which time, and what a bar holds."""
    pauses = f", left and resumed {len(story.pauses)} times (pauses are cut out)" if story.pauses else ""
    return (
        f"{len(story.trials)} attempts on {workers(story)} in {story.seconds:,.0f} seconds{pauses}. Lanes are inferred "
        "from begin and end; a bar holds the worker's start and the recording too."
    )


def of_time(story: SweepStory) -> str:
    """The share of training."""
    spent = time_spent(story)
    share = spent.training / spent.total if spent.total else 0.0
    return (
        f"Of {spent.total:,.0f} seconds of workers, {share:.0%} went into training. Tracking is the driver's time, "
        "during which workers may train or wait."
    )


def workers(story: SweepStory) -> str:
    """``1 worker`` or ``2 workers``."""
    count = workers_of(story)
    return f"{count} worker{'s' * (count > 1)}"


def shares(importances: Mapping[str, float]) -> str:
    """``dropout 44%, hidden_size 35%``."""
    return ", ".join(f"{name} {share:.0%}" for name, share in importances.items())
