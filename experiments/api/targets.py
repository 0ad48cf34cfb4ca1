"""From the names and values that a call accepts to the records that they stand for."""

from __future__ import annotations

from experiments.tracking import queries
from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord
from experiments.tracking.store import Store, open_store, tracking_uri
from mnist_core.errors import NotFoundError, SpecError

# Attributes that lead from the result of a call to its run.
TO_RUN = ("run", "chosen", "best", "version", "champion")


def open_store_of(uri: str | None, *targets: object) -> Store:
    """Open the store of that URI, else that of the first target that knows its own, else the default one.

    Raises:
        NotFoundError: there is no store yet.
        StoreError: it cannot be reached.
    """
    known = (found for target in targets if (found := getattr(target, "tracking_uri", None)))
    return open_store(tracking_uri(uri or next(known, None)))


def find_sweep_of(store: Store, target: object) -> SweepRecord:
    """The sweep that a name or a value stands for, as it is recorded now.

    Raises:
        NotFoundError: there is none.
        SpecError: the target stands for no sweep.
    """
    return queries.find_sweep(store, sweep_name(target))


def find_run_of(store: Store, target: object) -> RunRecord:
    """The run that a name or a value stands for, as it is recorded now.

    Raises:
        NotFoundError: there is none.
        SpecError: the target stands for no run.
    """
    return queries.find_run(store, run_name(target))


def sweep_name(target: object) -> str:
    """The given name, or the run id of the sweep that a value is or holds.

    Raises:
        SpecError: the target stands for no sweep.
    """
    if isinstance(target, str):
        return target
    sweep = getattr(target, "sweep", target)
    if isinstance(sweep, SweepRecord):
        return sweep.run_id
    raise SpecError(f"sweep: expected a name, a sweep or the result of a call, received {type(target).__name__}")


def run_name(target: object) -> str:
    """The given name, or the run id of the run that a value is or leads to.

    Raises:
        NotFoundError: the target is a result without a run.
        SpecError: it stands for no run.
    """
    if isinstance(target, str):
        return target
    if isinstance(target, RunRecord | VersionRecord):
        return target.run_id
    for name in TO_RUN:
        if (value := getattr(target, name, None)) is not None:
            return run_name(value)
    if any(hasattr(target, name) for name in TO_RUN):
        raise NotFoundError(
            f"run: this {type(target).__name__} has none: no trial completed, or the result was not registered"
        )
    raise SpecError(f"run: expected a name, a run or the result of a call, received {type(target).__name__}")
