"""Ranking of runs: those that may win, grouped into configurations, best first. Pure functions of recorded runs."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.tracking.records import RunRecord
from mnist_core.metrics import Direction, Metric
from search.objectives import Objective, pareto_front
from search.space import SEED
from search.trial import TrialState

# MLflow keeps an infinity as the largest double.
STORED_INFINITY = 1.7e308


@dataclass(frozen=True)
class Configuration:
    """One setting of all parameters with its runs; several runs where only their seeds differ.

    Args:
        runs: best first; never empty.
    """

    runs: tuple[RunRecord, ...]

    @property
    def run(self) -> RunRecord:
        """Its best run, which is taken where the configuration is selected."""
        return self.runs[0]

    @property
    def weights(self) -> int:
        """Number of the model's weights."""
        return int(self.run.metrics.get("weights", 0))

    def values(self, metric: str) -> list[float]:
        """A metric of each run that has it, by its name among the curves."""
        return [value for run in self.runs if (value := run.value(metric)) is not None]

    def mean(self, metric: str) -> float:
        """Mean of a metric over the runs."""
        return statistics.fmean(self.values(metric))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The 95% interval of the mean over the seeds, by Student's t; None for a single run."""
        values = self.values(metric)
        if len(values) < 2:
            return None
        from scipy.stats import t

        half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
        return statistics.fmean(values) - half, statistics.fmean(values) + half


def selectable(run: RunRecord) -> bool:
    """True if a run may win: it is complete, both validation metrics are finite, and its model is READY."""
    values = (run.value("val_accuracy"), run.value("val_loss"))
    return (
        run.state is TrialState.COMPLETE
        and run.model_id is not None
        and all(value is not None and abs(value) < STORED_INFINITY for value in values)
    )


def rank(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """Rank the runs that may win, best first: those of the best configuration, then those of the next.

    Where no two runs differ by their seeds alone, the order is that of the objective at the best epoch, with ties by
    :func:`tie_breaker`.

    Args:
        runs: of one sweep, or of several on the same data.
        objective: ``val_accuracy`` or ``val_loss``.
    """
    return [run for one in configurations(runs, objective) for run in one.runs]


def tie_breaker(runs: Iterable[RunRecord], objective: str) -> str:
    """The metric that ranks runs of equal objective; all of the runs have it.

    A loss contains the penalty and smoothing of its model, which may be searched, so equal accuracies are ranked by
    the cross-entropy alone. Where a run was recorded without it, all are ranked by the loss.

    Args:
        runs: that are compared.
        objective: ``val_accuracy`` or ``val_loss``.
    """
    if objective != Metric.VAL_ACCURACY.value:
        return Metric.VAL_ACCURACY.value
    judged = [run for run in runs if run.value(Metric.VAL_LOSS.value) is not None]
    everywhere = all(run.value(Metric.VAL_CROSSENTROPY.value) is not None for run in judged)
    return Metric.VAL_CROSSENTROPY.value if everywhere else Metric.VAL_LOSS.value


def unranked(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """The runs that may not win, by state; those of one state by their best metrics, then by number."""
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


def best_run(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> RunRecord | None:
    """The best run of the best configuration; None if no run may win."""
    return next(iter(rank(runs, objective)), None)


def configurations(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[Configuration]:
    """Group the runs that may win by all but their seeds, best mean of the objective first."""
    groups: dict[frozenset[tuple[str, str]], list[RunRecord]] = defaultdict(list)
    candidates = list(filter(selectable, runs))
    second = tie_breaker(candidates, objective)
    for run in sorted(candidates, key=lambda run: _order(Configuration((run,)), objective, second)):
        groups[frozenset((name, value) for name, value in run.params.items() if name != SEED)].append(run)
    found = [Configuration(tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda one: _order(one, objective, second))


def front(ranked: Sequence[Configuration], objectives: Sequence[Objective]) -> list[Configuration]:
    """The Pareto front: configurations that no other dominates in the objectives, in their order."""

    def value(one: Configuration, objective: Objective) -> float:
        return one.mean(objective.metric) if objective.ranks else one.weights

    directions = [objective.direction for objective in objectives]
    return pareto_front(ranked, directions, lambda one: [value(one, objective) for objective in objectives])


def _order(configuration: Configuration, objective: str, second: str) -> tuple[float, float]:
    return _cost(configuration, objective), _cost(configuration, second)


def _cost(configuration: Configuration, name: str) -> float:
    if not configuration.values(name):
        return math.inf
    value = configuration.mean(name)
    return -value if Metric(name).direction is Direction.MAXIMIZE else value
