"""Selection of one run from a target that the user names: a sweep, a run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from experiments import ranking, selection
from experiments.ranked_runs import read_best_runs
from experiments.selection import Selection, SelectionRule
from experiments.tracking import queries
from experiments.tracking.datasets import validation_images
from experiments.tracking.records import RunRecord, SweepRecord, SweepState, Tag
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError
from mnist_core.metrics import Metric


@dataclass(frozen=True)
class Candidate:
    """A run that may be promoted, with the reason for its selection."""

    run: RunRecord
    reason: str


def choose_run(
    store: Store,
    sweep: SweepRecord,
    rule: SelectionRule = SelectionRule.BEST,
    max_parameters: int | None = None,
    top: int | None = None,
) -> Selection:
    """Select one of the runs of a sweep by a rule, among those of at most ``max_parameters`` weights.

    Args:
        store: that holds it.
        sweep: its parent run.
        rule: of the selection.
        max_parameters: maximum number of weights; None for any number.
        top: number of configurations that have to be ranked; of a large sweep, few more are read. None for all.

    Raises:
        NotFoundError: none of them may win.
    """
    images = validation_images(sweep.tags)
    try:
        runs = _read(store, sweep, rule, images, max_parameters, top)
        return selection.select(runs, rule, sweep.objective, images, max_parameters)
    except NotFoundError as error:
        raise NotFoundError(f"sweep {sweep.name}: {error}; see: mnist-search runs {sweep.name}") from error


def _read(
    store: Store, sweep: SweepRecord, rule: SelectionRule, images: int, max_parameters: int | None, top: int | None
) -> list[RunRecord]:
    def is_eligible(run: RunRecord) -> bool:
        is_small = max_parameters is None or run.metrics.get("weights", 0) <= max_parameters
        return is_small and ranking.selectable(run)

    def margin(accuracy: float) -> float:
        return selection.tie_margin(accuracy, images, rule.standard_errors)

    found = None
    # Ties are of accuracy, so that a search by another objective does not find them.
    if top is not None and sweep.objective == Metric.VAL_ACCURACY.value and Tag.ENSEMBLE_OF not in sweep.tags:
        spec = queries.read_recorded_spec(store, sweep)
        if not spec.is_multi_objective:
            found = read_best_runs(store, sweep, spec, top, margin, is_eligible)
    return queries.read_runs(store, sweep) if found is None else found


def find_candidate(store: Store, target: str | None, rule: SelectionRule = SelectionRule.BEST) -> Candidate:
    """Find the run to promote.

    Args:
        store: that has it.
        target: a sweep, of which the rule selects one run; a run; or None for the newest sweep that has ended.
        rule: of the selection in a sweep.

    Raises:
        NotFoundError: there is no such sweep or run, or no run of the sweep may win.
    """
    sweep = _sweep(store, target)
    if sweep is not None:
        selected = choose_run(store, sweep, rule, top=1)
        return Candidate(selected.chosen.run, f"of sweep {sweep.name}, by rule {rule.value}: {selected.reason}")
    assert target is not None
    return Candidate(queries.find_run(store, target), "named by the user")


def _sweep(store: Store, target: str | None) -> SweepRecord | None:
    if target is None:
        ended = [sweep for sweep in queries.read_sweeps(store) if sweep.state is not SweepState.RUNNING]
        if not ended:
            raise NotFoundError(f"no sweep in {store.shown} has ended yet; name a sweep or a run")
        return ended[0]
    try:
        return queries.find_sweep(store, target)
    except NotFoundError as no_sweep:
        try:
            queries.find_run(store, target)
        except NotFoundError as no_run:
            raise (no_run if "/" in target else no_sweep) from None
        return None
