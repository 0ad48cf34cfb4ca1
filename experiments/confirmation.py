"""Confirmation of a sweep: train its best configurations again with fresh seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from experiments.launch import LaunchOptions, launch_sweep
from experiments.ranking import Configuration, configurations
from experiments.sweep_result import SweepResult
from experiments.tracking import queries
from experiments.tracking.records import SweepRecord, Tag
from experiments.tracking.store import Store, open_store, tracking_uri
from mnist_core.errors import NotFoundError, SpecError, StoreError
from search.space import SEED
from search.spec import SweepSpec


def confirm_sweep(name: str, top: int = 3, seeds: int = 5, options: LaunchOptions | None = None) -> SweepResult:
    """Train the best configurations of a sweep again, each with several fresh seeds, as a new sweep.

    Its parent run is named ``NAME-confirmation`` and tagged with the sweep that it confirms; it can be resumed like
    any other. :func:`experiments.ranking.configurations` ranks its runs by their means.

    Args:
        name: of the sweep, or the beginning of its run id.
        top: number of its configurations, best first.
        seeds: number of seeds for each, 2 or more; none that it, what it confirms or a confirmation has used.
        options: settings of this call, if not the defaults; the data has to be that of the sweep.

    Raises:
        NotFoundError: no such sweep, or none of its trials may win.
        SpecError: ``top`` or ``seeds`` is out of its range.
    """
    options = options or LaunchOptions()
    for option, value, minimum in (("top", top, 1), ("seeds", seeds, 2)):
        if value < minimum:
            raise SpecError(f"{option}: expected {minimum} or more, received {value}")
    store = open_store(tracking_uri(options.tracking_uri))
    sweep = queries.find_sweep(store, name)
    queries.check_has_trials(sweep)
    runs = queries.read_runs(store, sweep)
    # Its file has the name that was asked for, which another sweep may have.
    spec = replace(queries.read_recorded_spec(store, sweep), name=sweep.name)
    best = configurations(runs, spec.objective)[:top]
    if not best:
        raise NotFoundError(f"sweep {sweep.name}: no trial that may win, so there is nothing to confirm")
    digest = sweep.tags[Tag.DATASET_DIGEST]
    fresh = fresh_seeds(related_seeds(store, sweep), seeds)
    return launch_sweep(confirmation_of(spec, best, fresh, digest), options, confirms=sweep)


def confirmation_of(spec: SweepSpec, best: Sequence[Configuration], seeds: Sequence[int], digest: str) -> SweepSpec:
    """The sweep of each configuration with each seed, seed by seed: after an early end all have about equally many."""
    settings = [{name: value for name, value in one.run.point.items() if name != SEED} for one in best]
    points = tuple({**setting, SEED: seed} for seed in seeds for setting in settings)
    return replace(spec, data=replace(spec.data, digest=digest)).with_points(f"{spec.name}-confirmation", points)


def related_seeds(store: Store, sweep: SweepRecord) -> set[int]:
    """Seeds of all sweeps that a chain of confirmations connects with one: those planned, trained or not, or used.

    Raises:
        StoreError: the store cannot be read.
    """
    sweeps = queries.read_sweeps(store)
    pairs = [{one.run_id, one.tags[Tag.CONFIRMS]} for one in sweeps if Tag.CONFIRMS in one.tags]
    related = {sweep.run_id}
    # As often as there are confirmations, for one may confirm another.
    for _ in pairs:
        for pair in pairs:
            related |= pair if related & pair else set()
    return {seed for one in sweeps if one.run_id in related for seed in _seeds_of(store, one)}


def _seeds_of(store: Store, sweep: SweepRecord) -> set[int]:
    if Tag.CONFIRMS in sweep.tags:
        with suppress(StoreError):  # killed before its file was written, and before its first trial
            points = queries.read_recorded_spec(store, sweep).points
            return {int(point[SEED]) for point in points if SEED in point}
    return {int(run.params[SEED]) for run in queries.read_runs(store, sweep) if SEED in run.params}


def fresh_seeds(used: Collection[int], count: int) -> list[int]:
    """The first seeds from 1 on that are not used."""
    return [seed for seed in range(1, count + len(used) + 1) if seed not in used][:count]
