"""The best runs of a sweep, read by a few searches instead of all of its runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from experiments import ranking
from experiments.tracking import queries
from experiments.tracking.records import RunRecord, SweepRecord
from experiments.tracking.store import Store
from mnist_core.metrics import Direction, Metric
from search.engines import Engine
from search.spec import SweepSpec

# Newest runs, whose values tell a bound above which there are few.
SAMPLE = 200


def read_best_runs(
    store: Store,
    sweep: SweepRecord,
    spec: SweepSpec,
    top: int,
    margin: Callable[[float], float] | None = None,
    is_eligible: Callable[[RunRecord], bool] = ranking.selectable,
) -> list[RunRecord] | None:
    """Read the runs that rank first in a sweep, and perhaps more; by number.

    MLflow takes long to sort ten thousand runs by a metric, but finds those above a bound at once. The bound comes
    from a sample, and is lowered until enough runs are above it.

    Args:
        store: that holds it.
        sweep: its parent run.
        spec: of the sweep.
        top: number of eligible runs that are read at least.
        margin: of the best accuracy, within which all runs are read, where that is the objective; None for ``top``
            alone.
        is_eligible: True for runs that count.

    Returns:
        The runs; None where all have to be read: the sweep is small, several runs may have one configuration, too few
        are eligible, or the runs below decide how ties are broken.
    """
    if spec.engine is Engine.LISTED:
        return None
    sample = queries.newest_metrics(store, sweep, SAMPLE)
    if len(sample) < SAMPLE:
        return None
    values = _best_first((one.get(f"best_{spec.objective}", math.nan) for one in sample), spec.metric)
    place = 1
    while place <= len(values):
        runs = _read_above(store, sweep, spec, values[place - 1])
        eligible = [run for run in runs if is_eligible(run)]
        if len(eligible) >= top:
            if margin is not None:
                best = max(run.value(spec.objective) or 0.0 for run in eligible)
                lower = best - margin(best) - 2e-9  # equal shares of images differ by rounding
                if lower < values[place - 1]:
                    runs = _read_above(store, sweep, spec, lower)
            return runs if _is_order_certain(store, sweep, spec, runs) else None
        place *= 2
    return None


def _best_first(values: Iterable[float], metric: Metric) -> list[float]:
    known = (value for value in values if 0 <= value < ranking.STORED_INFINITY)
    return sorted(known, reverse=metric.direction is Direction.MAXIMIZE)


def _read_above(store: Store, sweep: SweepRecord, spec: SweepSpec, bound: float) -> list[RunRecord]:
    comparator = ">=" if spec.metric.direction is Direction.MAXIMIZE else "<="
    exact = format(Decimal(max(bound, 0.0)), "f")  # a filter takes no exponent
    return queries.read_some_runs(store, sweep, f"metrics.best_{spec.objective} {comparator} {exact}")


def _is_order_certain(store: Store, sweep: SweepRecord, spec: SweepSpec, runs: Sequence[RunRecord]) -> bool:
    """True if the runs that were not read cannot change the order of these.

    They could by the tie breaker, which is the loss where any run has no cross-entropy.
    """
    ranked = ranking.configurations(runs, spec.objective)
    if any(len(one.runs) > 1 for one in ranked):
        return False
    second = ranking.tie_breaker((one.run for one in ranked), spec.objective)
    if second != Metric.VAL_CROSSENTROPY.value:
        return True
    by_loss = ranking.configurations(map(_without_crossentropy, runs), spec.objective)
    if [one.run.run_id for one in ranked] == [one.run.run_id for one in by_loss]:
        return True
    # Every run that may win has a finite loss. MLflow stores what is no number as 0, so a 0 is none.
    finite = f"metrics.best_val_loss < {Decimal(ranking.STORED_INFINITY):f}"
    count = queries.count_runs(store, sweep, finite, guess=max(1, spec.target // 2))
    return queries.has_runs(store, sweep, count, f"{finite} AND metrics.best_val_crossentropy > 0")


def _without_crossentropy(run: RunRecord) -> RunRecord:
    name = f"best_{Metric.VAL_CROSSENTROPY.value}"
    return replace(run, metrics={key: value for key, value in run.metrics.items() if key != name})
