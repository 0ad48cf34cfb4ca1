"""Train the best few of a sweep again with fresh seeds, so that what is promoted is no lucky draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from experiments import history as past
from experiments.launch import Launch, SweepResult, run_sweep
from experiments.records import RunRecord, Tag
from experiments.selection import Configuration, configurations
from experiments.store import open_store, tracking_uri
from mnist_core.errors import NotFoundError, SpecError
from search.space import SEED
from search.spec import SweepSpec


def confirm_sweep(name: str, top: int = 3, seeds: int = 5, launch: Launch | None = None) -> SweepResult:
    """Train the best configurations of a sweep again, each with several fresh seeds, as a sweep of its own.

    That sweep's parent run is named ``NAME-confirmation`` and tagged with the one it confirms; it can be resumed as
    any other. :func:`experiments.selection.configurations` ranks its runs by their means.

    Args:
        name: of the sweep, or the beginning of its run id.
        top: how many of its configurations, best first.
        seeds: how many seeds for each, 2 or more; none is one that the sweep has used.
        launch: how to run it, if not as by default; the data has to be that of the sweep.

    Raises:
        NotFoundError: no such sweep, or none of its trials may win.
        SpecError: ``top`` or ``seeds`` is out of its range.
    """
    launch = launch or Launch()
    for option, value, least in (("top", top, 1), ("seeds", seeds, 2)):
        if value < least:
            raise SpecError(f"{option}: expected {least} or more, received {value}")
    store = open_store(tracking_uri(launch.tracking_uri))
    sweep = past.find_sweep(store, name)
    past.check_has_trials(sweep)
    runs = past.read_runs(store, sweep)
    spec = replace(past.read_spec(store, sweep), name=sweep.name)  # its file has the name that was asked for
    best = configurations(runs, spec.objective)[:top]
    if not best:
        raise NotFoundError(f"sweep {sweep.name}: no trial that may win, so there is nothing to confirm")
    digest = sweep.tags[Tag.DATASET_DIGEST]
    return run_sweep(confirmation_of(spec, best, fresh_seeds(runs, seeds), digest), launch, confirms=sweep)


def confirmation_of(spec: SweepSpec, best: Sequence[Configuration], seeds: Sequence[int], digest: str) -> SweepSpec:
    """The sweep that tries each configuration with each seed, seed by seed, so that an early end is fair to all."""
    settings = [{name: value for name, value in one.run.point.items() if name != SEED} for one in best]
    points = tuple({**setting, SEED: seed} for seed in seeds for setting in settings)
    return replace(spec, data=replace(spec.data, digest=digest)).listing(f"{spec.name}-confirmation", points)


def fresh_seeds(runs: Iterable[RunRecord], count: int) -> list[int]:
    """The first seeds from 1 on that none of the runs has used."""
    used = {int(run.params[SEED]) for run in runs if SEED in run.params}
    return [seed for seed in range(1, count + len(used) + 1) if seed not in used][:count]
