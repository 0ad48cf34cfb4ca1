"""Unique names of new sweeps, also where several processes begin one at the same time."""

from __future__ import annotations

from experiments.tracking.lease import set_once
from experiments.tracking.queries import read_sweeps, search_runs
from experiments.tracking.records import RunKind, Tag
from experiments.tracking.store import Store


def free_name(store: Store, name: str) -> str:
    """A free name: ``name``, or where a sweep of the store has it, the first of ``name-2``, ``name-3`` and so on."""
    taken = {sweep.name for sweep in read_sweeps(store)}
    candidates = (name if count == 1 else f"{name}-{count}" for count in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def settle_name(store: Store, run_id: str, wanted: str, name: str) -> str:
    """Make the name of a parent run unique, and return it: the present name, or the next free one.

    Processes of one machine exclude each other by a lock; those of several machines can only look again once their
    run exists. Of two runs with one name, at least one process finds the other run, whatever their clocks. So a run
    owns a name if it is the first to claim it, by a parameter that is set once, on every run of that name, its own
    included: no two can.

    Args:
        store: open for writing.
        run_id: of the parent run, tagged with ``name``.
        wanted: the name of the sweep's file.
        name: the free one that was found before the run was created.
    """
    while not _is_first(store, run_id, name):
        name = free_name(store, wanted)
        store.client.set_tag(run_id, Tag.SWEEP, name)
        store.client.update_run(run_id, name=name)
    return name


def _is_first(store: Store, run_id: str, name: str) -> bool:
    found = search_runs(store, f"tags.{Tag.KIND} = '{RunKind.SWEEP}' AND tags.{Tag.SWEEP} = '{name}'")
    # The same order for all: of two that find each other, the one refused first has not refused the other.
    namesakes = sorted({run_id, *(run.info.run_id for run in found)})
    return all(set_once(store, namesake, f"name/{name}", run_id) == run_id for namesake in namesakes)
