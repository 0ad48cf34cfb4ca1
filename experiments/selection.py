"""Which run is the best: pure decisions over what was read."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.records import RunRecord
from mnist_core.metrics import Direction, Metric
from search.trial import TrialState

# MLflow keeps an infinity as the largest double.
STORED_INFINITY = 1.7e308


def selectable(run: RunRecord) -> bool:
    """Whether a run may win: complete, both validation metrics finite, its model READY."""
    values = (run.value("val_accuracy"), run.value("val_loss"))
    return (
        run.state is TrialState.COMPLETE
        and run.model_id is not None
        and all(value is not None and abs(value) < STORED_INFINITY for value in values)
    )


def rank(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """The runs that may win, best first: by the objective at the best epoch, then by the other validation metric.

    Args:
        runs: of one sweep, or of several on the same data.
        objective: ``val_accuracy`` or ``val_loss``.
    """
    return sorted(filter(selectable, runs), key=lambda run: _order(run, objective))


def others(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> list[RunRecord]:
    """The runs that may not win: pruned ones by what they reached, then the rest by number."""
    states = list(TrialState)
    rest = [run for run in runs if not selectable(run)]
    return sorted(rest, key=lambda run: (states.index(run.state), _order(run, objective), run.number, run.attempt))


def best(runs: Iterable[RunRecord], objective: str = Metric.VAL_ACCURACY.value) -> RunRecord | None:
    """The winner, if any run may win."""
    return next(iter(rank(runs, objective)), None)


def _order(run: RunRecord, objective: str) -> tuple[float, float]:
    second = Metric.VAL_LOSS.value if objective == Metric.VAL_ACCURACY.value else Metric.VAL_ACCURACY.value
    return _cost(run, objective), _cost(run, second)


def _cost(run: RunRecord, name: str) -> float:
    value = run.value(name)
    if value is None:
        return math.inf
    return -value if Metric(name).direction is Direction.MAXIMIZE else value
