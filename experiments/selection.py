"""Which run is the best, and which is to be chosen: pure decisions over what was read."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from experiments.tracking.records import RunRecord
from mnist_core.errors import NotFoundError
from mnist_core.metrics import Direction, Metric
from search.objectives import Objective, pareto_front
from search.space import SEED
from search.trial import TrialState

# MLflow keeps an infinity as the largest double.
STORED_INFINITY = 1.7e308
# Of a normal distribution: two-sided 95%.
TWO_SIDED_95 = 1.96


class SelectionRule(Enum):
    """How one run is chosen among those that may win."""

    BEST = "best"
    """The highest objective."""
    ONE_SE = "one-se"
    """The fewest weights within one standard error of the best accuracy (Breiman et al. 1984)."""
    SMALLEST = "smallest"
    """The fewest weights within the 95% interval of the best accuracy."""

    @property
    def standard_errors(self) -> float:
        """Quantile of the interval below the best in which a run is still a tie."""
        return TWO_SIDED_95 if self is SelectionRule.SMALLEST else 1.0


@dataclass(frozen=True)
class Configuration:
    """One setting of all parameters, with the runs that tried it: several where only their seeds differ.

    Args:
        runs: best first; never empty.
    """

    runs: tuple[RunRecord, ...]

    @property
    def run(self) -> RunRecord:
        """The one to take where the configuration is chosen: its best."""
        return self.runs[0]

    @property
    def weights(self) -> int:
        """Number of the model's weights."""
        return int(self.run.metrics.get("weights", 0))

    def values(self, metric: str) -> list[float]:
        """The metric of each run."""
        return [value for run in self.runs if (value := run.value(metric)) is not None]

    def mean(self, metric: str) -> float:
        """Over the runs."""
        return statistics.fmean(self.values(metric))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The mean's 95% interval over the seeds, by Student's t; None of a single run."""
        values = self.values(metric)
        if len(values) < 2:
            return None
        from scipy.stats import t

        half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
        return statistics.fmean(values) - half, statistics.fmean(values) + half


@dataclass(frozen=True)
class Selection:
    """What a rule chose, and among what.

    Args:
        rule: that chose.
        objective: that ranks.
        ranked: every configuration that may win, best first.
        chosen: one of them.
        tied: those whose accuracy cannot be told from the best, by the rule's margin; the best is among them.
        margin: how far below the best accuracy that is.
    """

    rule: SelectionRule
    objective: str
    ranked: Sequence[Configuration]
    chosen: Configuration
    tied: Sequence[Configuration]
    margin: float

    @property
    def reason(self) -> str:
        """Why this one, in one line."""
        best, ties = self.ranked[0], len(self.tied) - 1
        mean = "mean " if len(best.runs) > 1 else ""
        others = f"{ties} other{'s' * (ties != 1)} within {self.margin:.4f} of its accuracy"
        if self.rule is SelectionRule.BEST:
            return f"the best {mean}{self.objective}; {others}"
        if self.chosen is best:
            return f"the fewest weights of those within {self.margin:.4f} of the best accuracy, which is its own"
        less = best.mean(Metric.VAL_ACCURACY.value) - self.chosen.mean(Metric.VAL_ACCURACY.value)
        return (
            f"{self.chosen.weights:,} weights, against {best.weights:,} of {best.run.name}, whose accuracy is "
            f"{less:.4f} higher, which is within {self.margin:.4f}"
        )


def selectable(run: RunRecord) -> bool:
    """Whether a run may win: complete, both validation metrics finite, its model READY."""
    values = (run.value("val_accuracy"), run.value("val_loss"))
    return (
        run.state is TrialState.COMPLETE
        and run.model_id is not None
        and all(value is not None and abs(value) < STORED_INFINITY for value in values)
    )


def rank(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """The runs that may win, best first: those of the best configuration, then those of the next.

    Where no two differ by their seeds alone, that is by the objective at the best epoch, ties by :func:`tie_breaker`.

    Args:
        runs: of one sweep, or of several on the same data.
        objective: ``val_accuracy`` or ``val_loss``.
    """
    return [run for one in configurations(runs, objective) for run in one.runs]


def tie_breaker(runs: Iterable[RunRecord], objective: str) -> str:
    """The metric that decides between runs of equal objective: one that all of them have, and that compares them.

    A loss contains its model's penalty and smoothing, which may be searched, so equal accuracies go by the
    cross-entropy alone. Where a run was recorded without it, all go by the loss.

    Args:
        runs: those that are compared.
        objective: ``val_accuracy`` or ``val_loss``.
    """
    if objective != Metric.VAL_ACCURACY.value:
        return Metric.VAL_ACCURACY.value
    judged = [run for run in runs if run.value(Metric.VAL_LOSS.value) is not None]
    everywhere = all(run.value(Metric.VAL_CROSSENTROPY.value) is not None for run in judged)
    return Metric.VAL_CROSSENTROPY.value if everywhere else Metric.VAL_LOSS.value


def others(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """The runs that may not win: pruned ones by what they reached, then the rest by number."""
    states = list(TrialState)
    rest = [run for run in runs if not selectable(run)]
    second = tie_breaker(rest, objective)
    return sorted(
        rest,
        key=lambda run: (
            states.index(run.state),
            _order(Configuration((run,)), objective, second),
            run.number,
            run.attempt,
        ),
    )


def best(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> RunRecord | None:
    """The winner, if any run may win: of the best configuration, the best run."""
    return next(iter(rank(runs, objective)), None)


def configurations(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[Configuration]:
    """The runs that may win, together where only their seeds differ; by the mean of the objective, best first."""
    groups: dict[frozenset[tuple[str, str]], list[RunRecord]] = defaultdict(list)
    able = list(filter(selectable, runs))
    second = tie_breaker(able, objective)
    for run in sorted(able, key=lambda run: _order(Configuration((run,)), objective, second)):
        groups[frozenset((name, value) for name, value in run.params.items() if name != SEED)].append(run)
    found = [Configuration(tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda one: _order(one, objective, second))


def front(ranked: Sequence[Configuration], objectives: Sequence[Objective]) -> list[Configuration]:
    """The configurations that none of the others beats in all objectives, in their order."""

    def value(one: Configuration, objective: Objective) -> float:
        return one.mean(objective.metric) if objective.ranks else one.weights

    directions = [objective.direction for objective in objectives]
    return pareto_front(ranked, directions, lambda one: [value(one, objective) for objective in objectives])


def select(
    runs: Iterable[RunRecord],
    rule: SelectionRule,
    objective: str,
    validation_images: int,
    max_parameters: int | None = None,
) -> Selection:
    """Choose by a rule.

    Args:
        runs: of one sweep.
        rule: how.
        objective: ``val_accuracy`` or ``val_loss``; what is best by it is what ties are measured against.
        validation_images: how many images each accuracy is a share of, which is what its standard error depends on.
        max_parameters: how many weights the chosen model may have; None for any number.

    Raises:
        NotFoundError: none may win.
    """
    all_ranked = configurations(runs, objective)
    if not all_ranked:
        raise NotFoundError("no complete trial with finite metrics and a model that is READY: there is none to choose")
    ranked = [one for one in all_ranked if max_parameters is None or one.weights <= max_parameters]
    if not ranked:
        least = min(one.weights for one in all_ranked)
        raise NotFoundError(f"no model of at most {max_parameters:,} weights; the smallest has {least:,}")
    accuracy = Metric.VAL_ACCURACY.value
    best_accuracy = ranked[0].mean(accuracy)
    margin = tie_margin(best_accuracy, validation_images, rule.standard_errors)
    # Shares of so many images: equal ones differ by rounding alone.
    tied = [one for one in ranked if one.mean(accuracy) >= best_accuracy - margin - 1e-9]
    # Of equal sizes, `min` takes the first, which is the best.
    chosen = ranked[0] if rule is SelectionRule.BEST else min(tied, key=lambda one: one.weights)
    return Selection(rule, objective, ranked, chosen, tied, margin)


def tie_margin(accuracy: float, images: int, standard_errors: float) -> float:
    """How far the lower limit of Wilson's score interval (Wilson 1927) lies below an accuracy, in whole images.

    Unlike a standard error of the accuracy itself, it leaves room below an accuracy of 1. It is taken to the nearest
    whole image, as accuracies are shares of images.

    Args:
        accuracy: in [0, 1].
        images: that it is a share of.
        standard_errors: half the width of the interval.

    Returns:
        A share.
    """
    square = standard_errors**2 / images
    half = standard_errors * math.sqrt(accuracy * (1 - accuracy) / images + square / (4 * images))
    low = (accuracy + square / 2 - half) / (1 + square)
    return round((accuracy - low) * images) / images


def _order(configuration: Configuration, objective: str, second: str) -> tuple[float, float]:
    return _cost(configuration, objective), _cost(configuration, second)


def _cost(configuration: Configuration, name: str) -> float:
    if not configuration.values(name):
        return math.inf
    value = configuration.mean(name)
    return -value if Metric(name).direction is Direction.MAXIMIZE else value
