"""Selection of a run by a rule, among ranked configurations. Pure functions of recorded runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from experiments.ranking import Configuration, configurations
from experiments.tracking.records import RunRecord
from mnist_core.errors import NotFoundError
from mnist_core.metrics import Metric

# Of a normal distribution: two-sided 95%.
TWO_SIDED_95 = 1.96


class SelectionRule(Enum):
    """A rule that selects one run among those that may win."""

    BEST = "best"
    """The highest objective."""
    ONE_SE = "one-se"
    """The fewest weights within one standard error of the best accuracy (Breiman et al. 1984)."""
    SMALLEST = "smallest"
    """The fewest weights within the 95% interval of the best accuracy."""

    @property
    def standard_errors(self) -> float:
        """Standard errors below the best within which a run is tied with it."""
        return TWO_SIDED_95 if self is SelectionRule.SMALLEST else 1.0


@dataclass(frozen=True)
class Selection:
    """The configuration that a rule selected, with those that it was selected from.

    Args:
        rule: of the selection.
        objective: the metric that ranks.
        ranked: all configurations that may win, best first.
        chosen: one of them.
        tied: those whose accuracy is within the margin of the best; the best is among them.
        margin: of accuracy, by the rule.
    """

    rule: SelectionRule
    objective: str
    ranked: Sequence[Configuration]
    chosen: Configuration
    tied: Sequence[Configuration]
    margin: float

    @property
    def reason(self) -> str:
        """The reason for the choice, in one line."""
        best, ties = self.ranked[0], len(self.tied) - 1
        mean = "mean " if len(best.runs) > 1 else ""
        others = f"{ties} other{'s' * (ties != 1)} within {self.margin:.4f} of its accuracy"
        if self.rule is SelectionRule.BEST:
            return f"the best {mean}{self.objective}; {others}"
        if self.chosen is best:
            return f"the fewest weights of those within {self.margin:.4f} of the best accuracy, which is its own"
        less = best.mean(Metric.VAL_ACCURACY.value) - self.chosen.mean(Metric.VAL_ACCURACY.value)
        # It is below 0 only where the objective is another metric.
        against = f"{-less:.4f} lower" if less < 0 else f"{less:.4f} higher, which is within {self.margin:.4f}"
        return (
            f"{self.chosen.weights:,} weights, against {best.weights:,} of {best.run.name}, whose accuracy is {against}"
        )


def select(
    runs: Iterable[RunRecord],
    rule: SelectionRule,
    objective: str,
    validation_images: int,
    max_parameters: int | None = None,
) -> Selection:
    """Select a configuration by a rule.

    Args:
        runs: of one sweep.
        rule: of the selection.
        objective: ``val_accuracy`` or ``val_loss``; ties are measured against the best by it.
        validation_images: number of images of each accuracy, on which its standard error depends.
        max_parameters: maximum number of weights of the model; None for any number.

    Raises:
        NotFoundError: no run may win, or none within the maximum number of weights.
    """
    all_ranked = configurations(runs, objective)
    if not all_ranked:
        raise NotFoundError("no complete trial with finite metrics and a model that is READY: there is none to choose")
    ranked = [one for one in all_ranked if max_parameters is None or one.weights <= max_parameters]
    if not ranked:
        smallest = min(one.weights for one in all_ranked)
        raise NotFoundError(f"no model of at most {max_parameters:,} weights; the smallest has {smallest:,}")
    accuracy = Metric.VAL_ACCURACY.value
    best_accuracy = ranked[0].mean(accuracy)
    margin = tie_margin(best_accuracy, validation_images, rule.standard_errors)
    # Shares of so many images: equal ones differ by rounding alone.
    tied = [one for one in ranked if one.mean(accuracy) >= best_accuracy - margin - 1e-9]
    # Of equal sizes, `min` takes the first, which is the best.
    chosen = ranked[0] if rule is SelectionRule.BEST else min(tied, key=lambda one: one.weights)
    return Selection(rule, objective, ranked, chosen, tied, margin)


def tie_margin(accuracy: float, images: int, standard_errors: float) -> float:
    """Distance from an accuracy to the lower limit of Wilson's score interval (Wilson 1927), in whole images.

    Unlike a standard error of the accuracy itself, it is above 0 for an accuracy of 1. It is rounded to the nearest
    whole image, since accuracies are shares of images.

    Args:
        accuracy: in [0, 1].
        images: their number.
        standard_errors: half the width of the interval.

    Returns:
        A share.
    """
    square = standard_errors**2 / images
    half = standard_errors * math.sqrt(accuracy * (1 - accuracy) / images + square / (4 * images))
    low = (accuracy + square / 2 - half) / (1 + square)
    return round((accuracy - low) * images) / images
