"""Names of new sweeps, each given once, however many processes begin one at the same time."""

from __future__ import annotations

from experiments.tracking.lease import set_once
from experiments.tracking.queries import list_sweeps, search_runs
from experiments.tracking.records import Kind, Tag
from experiments.tracking.store import Store


def free_name(store: Store, name: str) -> str:
    """A free name: ``name``, or where a sweep of the store has it, the first of ``name-2``, ``name-3`` and so on."""
    taken = {sweep.name for sweep in list_sweeps(store)}
    candidates = (name if count == 1 else f"{name}-{count}" for count in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def settle_name(store: Store, run_id: str, wanted: str, name: str) -> str:
    """The name that a parent run keeps: the one it was made with, or the next free one where another run has that.

    Processes of one machine keep out of each other's way by a lock; those of several can only look again once their
    run is there. Of two that bear one name, at least one finds the other, whichever clock is slow. So a run has a
    name if it is the first to put itself down, by a parameter that is set once, on every run that bears it, its own
    among them: no two can.

    Args:
        store: open for writing.
        run_id: of the parent run, tagged with ``name``.
        wanted: the name that was asked for.
        name: the free one that was found before the run was made.
    """
    while not _is_first(store, run_id, name):
        name = free_name(store, wanted)
        store.client.set_tag(run_id, Tag.SWEEP, name)
        store.client.update_run(run_id, name=name)
    return name


def _is_first(store: Store, run_id: str, name: str) -> bool:
    found = search_runs(store, f"tags.{Tag.KIND} = '{Kind.SWEEP}' AND tags.{Tag.SWEEP} = '{name}'")
    # In one order for all: of two that find each other, the one that is refused first has not refused the other.
    bearers = sorted({run_id, *(run.info.run_id for run in found)})
    return all(set_once(store, bearer, f"name/{name}", run_id) == run_id for bearer in bearers)
