"""MLflow read back: which sweeps there are, their runs, and what a sweep is resumed from. Reads, never writes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.records import SPEC_FILE, CurvePoint, Kind, RunRecord, SweepRecord, SweepState, Tag
from experiments.store import Store
from mnist_core.errors import NotFoundError, SpecError, did_you_mean
from mnist_core.metrics import MONITORED, EpochMetrics, Metric, StopReason
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.sweep import History, PastTrial
from search.trial import Trial, TrialResult, TrialState

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 1000
SHORTEST_ID = 6


def list_sweeps(store: Store) -> list[SweepRecord]:
    """All sweeps of the store, newest first."""
    with store.errors("reading the sweeps"):
        return [_sweep(run) for run in search_runs(store, f"tags.{Tag.KIND} = '{Kind.SWEEP}'")]


def find_sweep(store: Store, name: str) -> SweepRecord:
    """The sweep of that name, or whose run id begins so.

    Raises:
        NotFoundError: there is none.
    """
    sweeps = list_sweeps(store)
    by_name = [sweep for sweep in sweeps if sweep.name == name]
    by_id = [sweep for sweep in sweeps if len(name) >= SHORTEST_ID and sweep.run_id.startswith(name)]
    if by_name or len(by_id) == 1:
        return (by_name or by_id)[0]
    if by_id:
        raise NotFoundError(f"{name!r} is the beginning of {len(by_id)} sweeps' run ids; give more of it")
    raise NotFoundError(f"no sweep {name!r} in {store.shown}{did_you_mean(name, {sweep.name for sweep in sweeps})}")


def free_name(store: Store, name: str) -> str:
    """A free name: ``name``, or where a sweep of the store has it, the first of ``name-2``, ``name-3`` and so on."""
    taken = {sweep.name for sweep in list_sweeps(store)}
    candidates = (name if count == 1 else f"{name}-{count}" for count in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def read_spec(store: Store, sweep: SweepRecord) -> SweepSpec:
    """The sweep as it was begun, or last resumed.

    Raises:
        StoreError: its sweep file is not in the store.
        SpecError: it is not one.
    """
    with store.errors(f"reading {SPEC_FILE} of sweep {sweep.name}"), tempfile.TemporaryDirectory() as folder:
        path = Path(store.client.download_artifacts(sweep.run_id, SPEC_FILE, folder))
        text = path.read_text(encoding="utf-8")
    return parse_spec(text, source=f"{SPEC_FILE} of sweep {sweep.name}")


def check_has_trials(sweep: SweepRecord) -> None:
    """See that a sweep holds trials, which can be resumed, tried again or combined.

    Raises:
        SpecError: it holds an ensemble.
    """
    if Tag.ENSEMBLE_OF in sweep.tags:
        raise SpecError(f"sweep {sweep.name}: holds an ensemble and no trials; name the sweep that it was made of")


def read_runs(store: Store, sweep: SweepRecord) -> list[RunRecord]:
    """Every attempt at every trial of a sweep, by trial number."""
    with store.errors(f"reading the runs of sweep {sweep.name}"):
        ready = _ready_models(store, sweep.run_id)
        runs = search_runs(store, f"tags.`mlflow.parentRunId` = '{sweep.run_id}'")
    records = [_run(run, ready) for run in runs]
    return sorted(records, key=lambda run: (run.number, run.attempt))


def find_run(store: Store, text: str) -> RunRecord:
    """One run: by the beginning of its id, or as ``SWEEP/trial-007`` or ``SWEEP/7`` (the last attempt at it).

    Raises:
        NotFoundError: there is none, or more than one.
    """
    name, slash, trial = text.rpartition("/")
    if slash:
        sweep = find_sweep(store, name)
        runs = [run for run in read_runs(store, sweep) if trial in (run.name, str(run.number))]
        if not runs:
            raise NotFoundError(f"no run {trial!r} in sweep {sweep.name!r}; see: mnist-search runs {sweep.name}")
        return runs[-1]
    found: list[Run] = []
    if len(text) >= SHORTEST_ID and text.isalnum():
        with store.errors(f"reading run {text}"):
            found = search_runs(store, f"tags.{Tag.KIND} = '{Kind.TRIAL}' AND attributes.run_id LIKE '{text}%'")
    if len(found) > 1:
        raise NotFoundError(f"{text!r} is the beginning of {len(found)} run ids; give more of it")
    if not found:
        raise NotFoundError(
            f"no run {text!r} in {store.shown}; expected {SHORTEST_ID} or more digits of a run id, or SWEEP/trial-007"
        )
    with store.errors(f"reading the model of run {text}"):
        return _run(found[0], _ready_models(store, found[0].data.tags["mlflow.parentRunId"]))


def read_history(store: Store, runs: Iterable[RunRecord], spec: SweepSpec) -> History:
    """What a sweep is resumed from: finished trials with their curves, and the last attempt at each other one.

    Trials that failed for another reason than their numbers are tried again: a disk may have space by now.
    """
    finished: dict[int, PastTrial] = {}
    lost: dict[int, Trial] = {}
    with store.errors("reading the history of the sweep"):
        for run in runs:
            trial = spec.trial(run.number, spec.space.parse(run.params), run.attempt)
            if run.state.is_finished and not _may_be_retried(run):
                finished[run.number] = PastTrial(trial, read_result(store, run))
            else:
                lost[run.number] = trial
    unfinished = [trial for number, trial in lost.items() if number not in finished]
    return History(tuple(finished.values()), tuple(unfinished))


def _may_be_retried(run: RunRecord) -> bool:
    """Whether a failure may have been the machine's, such as a full disk; numbers that overflow would again."""
    return run.state is TrialState.FAILED and run.stop_reason != StopReason.NON_FINITE.value


def read_curve(store: Store, run: RunRecord, metric: Metric) -> tuple[CurvePoint, ...]:
    """One metric of a run, epoch by epoch."""
    with store.errors(f"reading {metric.value} of run {run.title}"):
        points = store.client.get_metric_history(run.run_id, metric.value)
    ordered = sorted(points, key=lambda point: point.step)
    return tuple(CurvePoint(point.value, datetime.fromtimestamp(point.timestamp / 1000)) for point in ordered)


def read_epochs(store: Store, run: RunRecord) -> tuple[EpochMetrics, ...]:
    """Every epoch of a run; those recorded before there was a curve of the cross-entropy, without it."""
    recorded = [metric for metric in Metric if metric in MONITORED or metric.value in run.metrics]
    curves = [[point.value for point in read_curve(store, run, metric)] for metric in recorded]
    names = [metric.value for metric in recorded]
    return tuple(EpochMetrics(**dict(zip(names, values, strict=True))) for values in zip(*curves, strict=False))


def read_result(store: Store, run: RunRecord) -> TrialResult:
    """A run's curves and best epoch, as the worker reported them; without its files."""
    history, weights = read_epochs(store, run), run.metrics.get("weights")
    return TrialResult(
        run.state,
        history,
        best_epoch=run.best_epoch if history else None,
        weights=None if weights is None else int(weights),
    )


def _ready_models(store: Store, sweep_id: str) -> set[str]:
    def page(token: str | None) -> Any:
        return store.client.search_logged_models(
            [store.experiment_id], f"tags.{Tag.SWEEP_RUN_ID} = '{sweep_id}'", page_token=token
        )

    return {model.model_id for model in all_pages(page) if model.status.value == "READY"}


def search_runs(store: Store, filter_string: str) -> list[Run]:
    """Every run that MLflow's search finds, newest first."""

    def page(token: str | None) -> Any:
        return store.client.search_runs([store.experiment_id], filter_string, max_results=PAGE, page_token=token)

    return all_pages(page)


def all_pages(page: Callable[[str | None], Any]) -> list[Any]:
    """Every item of a search of MLflow's, which answers in pages."""
    items: list[Any] = []
    token = None
    while True:
        found = page(token)
        items += found
        token = found.token
        if not token:
            return items


def _sweep(run: Run) -> SweepRecord:
    return SweepRecord(
        run_id=run.info.run_id,
        name=run.data.tags.get(Tag.SWEEP, run.info.run_name),
        state=SweepState(run.info.status),
        started=datetime.fromtimestamp(run.info.start_time / 1000),
        tags=run.data.tags,
        metrics=run.data.metrics,
    )


def _run(run: Run, ready: set[str]) -> RunRecord:
    tags = run.data.tags
    model_id = tags.get(Tag.MODEL_ID)
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        number=int(tags[Tag.TRIAL_NUMBER]),
        attempt=int(tags[Tag.ATTEMPT]),
        state=_state(run),
        params=run.data.params,
        metrics=run.data.metrics,
        model_id=model_id if model_id in ready else None,
        stop_reason=tags.get(Tag.STOP_REASON),
        error=tags.get(Tag.ERROR),
        tags=tags,
        started=datetime.fromtimestamp(run.info.start_time / 1000),
        ended=datetime.fromtimestamp(run.info.end_time / 1000) if run.info.end_time else None,
    )


def _state(run: Run) -> TrialState:
    """The state tag is written just before the run is closed: an open run is running, whatever its tag says."""
    if run.info.status == "RUNNING":
        return TrialState.RUNNING
    return TrialState(run.data.tags[Tag.STATE])
