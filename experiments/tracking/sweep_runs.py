"""Parent runs of sweeps: begin, reopen and close them, and set tags and metrics of any run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import uuid4

from experiments.tracking import provenance
from experiments.tracking.datasets import DataRecord
from experiments.tracking.lease import FIRST_GENERATION, HeldLease, Lease, claim, release
from experiments.tracking.queries import search_runs, utc_time
from experiments.tracking.records import SEARCH_SECONDS, SPEC_FILE, RunKind, RunRecord, SweepState, Tag
from experiments.tracking.store import Store
from experiments.tracking.sweep_names import free_name, settle_name
from mnist_core.errors import StoreError, SweepInUseError
from search.spec import SweepSpec
from search.spec_file import to_toml
from search.sweep import EndReason
from search.trial import TrialState

if TYPE_CHECKING:
    from mlflow.entities import Metric

# MLflow silently cuts a longer tag: after 8,000 characters, earlier servers after 5,000.
MAX_SPEC_LENGTH = 5000

_SWEEP_STATE = {
    EndReason.DONE: SweepState.FINISHED,
    EndReason.EXHAUSTED: SweepState.FINISHED,
    EndReason.TIMED_OUT: SweepState.FINISHED,
    EndReason.INTERRUPTED: SweepState.KILLED,
    EndReason.TIME: SweepState.FINISHED,
    EndReason.EPOCHS: SweepState.FINISHED,
    EndReason.TARGET: SweepState.FINISHED,
    EndReason.PLATEAU: SweepState.FINISHED,
}


def begin_sweep(
    store: Store,
    spec: SweepSpec,
    name: str,
    data: DataRecord,
    workers: int,
    confirms: str | None = None,
    ensemble_of: str | None = None,
) -> Lease:
    """Create the parent run of a new sweep with its tags, data set and sweep file; return the first lease on it.

    The run is complete from its first write on: one that is interrupted after that can be resumed. After an error the
    run is closed as FAILED, if the store can be written.

    Args:
        store: open for writing.
        spec: the sweep.
        name: for it; where another sweep of the store has it, the next free one is taken.
        data: the sweep's data set.
        workers: trials at a time.
        confirms: run id of the sweep that it confirms.
        ensemble_of: run id of the sweep whose runs it combines.

    Raises:
        StoreError: the store cannot be written.
    """
    git, uid = provenance.git_state(), uuid4().hex
    tags: dict[str, str] = {
        Tag.KIND: RunKind.SWEEP,
        Tag.SWEEP_UID: uid,
        Tag.ENGINE: spec.engine.value,
        Tag.SAMPLER: spec.sampler,
        Tag.PRUNER: spec.pruner,
        Tag.OBJECTIVE: spec.objective,
        Tag.SEED: str(spec.seed),
        "mlflow.user": provenance.user(),
        "mlflow.source.name": "mnist-search sweep",
        "mlflow.source.type": "PROJECT",
        **data.tags(),
        **_launch_tags(spec, workers),
        **{f"version.{package}": version for package, version in provenance.versions().items()},
    }
    if confirms:
        tags[Tag.CONFIRMS] = confirms
    if ensemble_of:
        tags[Tag.ENSEMBLE_OF] = ensemble_of
    if git:
        tags |= {"mlflow.source.git.commit": git[0], Tag.GIT_DIRTY: str(git[1]).lower()}
    lease: Lease | None = None
    try:
        with store.errors(f"beginning sweep {name}"):
            run_id = _create_parent(store, name, tags)
            lease = claim(store, run_id, FIRST_GENERATION)
            store.client.log_inputs(run_id, datasets=[data.as_input()])
            store.client.log_text(run_id, to_toml(spec), SPEC_FILE)
    except SweepInUseError:
        raise
    except BaseException:
        with suppress(StoreError):
            _close_failed_start(store, uid, lease)
        raise
    return lease


def _create_parent(store: Store, wanted: str, tags: Mapping[str, str]) -> str:
    """Create the parent run under a unique name; its run id."""
    with store.naming():
        name = free_name(store, wanted)
        tags = {**tags, Tag.SWEEP: name}
        run_id: str = store.client.create_run(store.experiment_id, tags=tags, run_name=name).info.run_id
        _delete_duplicates(store, run_id, tags[Tag.SWEEP_UID])
    if not store.is_embedded:
        settle_name(store, run_id, wanted, name)
    return run_id


def _delete_duplicates(store: Store, run_id: str, uid: str) -> None:
    """Close and delete runs that a repeated request, whose reply was lost, created for the same sweep.

    A duplicate has no lease, since no process ever drove it.

    MLflow keeps a deleted run, out of sight, until ``mlflow gc``.
    """
    for run in search_runs(store, f"tags.{Tag.SWEEP_UID} = '{uid}'"):
        if run.info.run_id != run_id and f"lease_{FIRST_GENERATION}" not in run.data.params:
            store.client.set_terminated(run.info.run_id, SweepState.FAILED.value)
            store.client.delete_run(run.info.run_id)


def _close_failed_start(store: Store, uid: str, lease: Lease | None) -> None:
    """Close as FAILED the run of a sweep that could not be begun; its id may have been lost with a reply."""
    with store.errors("closing a sweep that could not be begun"):
        for run in search_runs(store, f"tags.{Tag.SWEEP_UID} = '{uid}'"):
            set_tags(store, run.info.run_id, {Tag.ENDING: "error"})
            store.client.set_terminated(run.info.run_id, SweepState.FAILED.value)
        if lease:
            release(store, lease)


def close_orphans(store: Store, runs: Iterable[RunRecord], generation: int = 0) -> dict[str, RunRecord]:
    """Close as KILLED the runs that are open although no process runs them.

    Args:
        store: open for writing.
        runs: of a sweep.
        generation: of the caller's lease on it; runs of a later generation stay open.

    Returns:
        Those runs as they are now, by run id.
    """
    closed: dict[str, RunRecord] = {}
    with store.errors("closing runs that were left open"):
        for run in runs:
            if run.state is TrialState.RUNNING and int(run.tags.get(Tag.LEASE, 0)) <= generation:
                now = int(time.time() * 1000)
                tags: dict[str, str] = {Tag.STATE: TrialState.KILLED.value}
                set_tags(store, run.run_id, tags)
                store.client.set_terminated(run.run_id, "KILLED", end_time=now)
                closed[run.run_id] = replace(
                    run, state=TrialState.KILLED, tags={**run.tags, **tags}, ended=utc_time(now)
                )
    return closed


def reopen_sweep(store: Store, lease: HeldLease, spec: SweepSpec, workers: int) -> None:
    """Reopen the parent run of a recorded sweep whose lease this process holds."""
    with store.errors("reopening the sweep"):
        uid = store.client.get_run(lease.run_id).data.tags.get(Tag.SWEEP_UID)
        if uid:
            _delete_duplicates(store, lease.run_id, uid)
        store.client.log_text(lease.run_id, to_toml(spec), SPEC_FILE)
        set_tags(store, lease.run_id, _launch_tags(spec, workers))
        store.client.update_run(lease.run_id, status=SweepState.RUNNING.value)


def end_sweep(
    store: Store,
    run_id: str,
    ending: EndReason | None,
    best: RunRecord | None,
    seconds: Mapping[str, float] = MappingProxyType({}),
    search_seconds: float | None = None,
    cause: str = "",
) -> None:
    """Close the parent run.

    Args:
        store: open for writing.
        run_id: of the parent run.
        ending: None where an error ended the sweep.
        best: the best run so far.
        seconds: metrics of this call, by name; added to those of earlier calls.
        search_seconds: for which its trials ran, in all calls.
        cause: of an end by a budget.
    """
    state = _SWEEP_STATE[ending] if ending else SweepState.FAILED
    tags: dict[str, str] = {Tag.ENDING: ending.value if ending else "error"}
    if best:
        tags |= {Tag.BEST_RUN_ID: best.run_id, Tag.BEST_RUN: best.name}
    with store.errors("ending the sweep"):
        earlier = store.client.get_run(run_id).data
        totals = {name: earlier.metrics.get(name, 0.0) + value for name, value in seconds.items()}
        if search_seconds is not None:
            totals[SEARCH_SECONDS] = search_seconds
        if cause or Tag.ENDING_CAUSE in earlier.tags:
            tags[Tag.ENDING_CAUSE] = cause
        store.client.log_batch(run_id, metrics=metric_points(totals))
        set_tags(store, run_id, tags)
        store.client.set_terminated(run_id, state.value)


def _launch_tags(spec: SweepSpec, workers: int) -> dict[str, str]:
    text = to_toml(spec)
    return {
        Tag.DRIVER: str(provenance.Driver.this()),
        Tag.WORKERS: str(workers),
        Tag.TARGET: str(spec.target),
        Tag.SPEC: text if len(text) <= MAX_SPEC_LENGTH else "",
    }


def metric_points(
    values: Mapping[str, float], step: int = 0, model_id: str | None = None, at: int | None = None
) -> list[Metric]:
    """Values as metrics of MLflow.

    Args:
        values: by the metrics' names.
        step: the 1-based epoch; 0 for metrics of no epoch.
        model_id: of the logged model that they are of.
        at: their time, in milliseconds since 1970; None for now.
    """
    from mlflow.entities import Metric

    at = int(time.time() * 1000) if at is None else at
    return [Metric(name, float(value), at, step, model_id=model_id) for name, value in values.items()]


def set_tags(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, all in one request."""
    from mlflow.entities import RunTag

    store.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
