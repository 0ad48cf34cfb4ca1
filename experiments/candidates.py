"""Selection of one run from a target that the user names: a sweep, a run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from experiments import selection
from experiments.selection import Selection, SelectionRule
from experiments.tracking import queries
from experiments.tracking.datasets import validation_images
from experiments.tracking.records import RunRecord, SweepRecord, SweepState
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError


@dataclass(frozen=True)
class Candidate:
    """A run that may be promoted, with the reason for its selection."""

    run: RunRecord
    reason: str


def choose_run(
    store: Store, sweep: SweepRecord, rule: SelectionRule = SelectionRule.BEST, max_parameters: int | None = None
) -> Selection:
    """Select one of the runs of a sweep by a rule, among those of at most ``max_parameters`` weights.

    Raises:
        NotFoundError: none of them may win.
    """
    runs = queries.read_runs(store, sweep)
    try:
        return selection.select(runs, rule, sweep.objective, validation_images(sweep.tags), max_parameters)
    except NotFoundError as error:
        raise NotFoundError(f"sweep {sweep.name}: {error}; see: mnist-search runs {sweep.name}") from error


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
        selected = choose_run(store, sweep, rule)
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
