"""Sweeps and runs read from MLflow, by name or id. Reads, never writes."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.tracking.records import SPEC_FILE, RunKind, RunRecord, SweepRecord, SweepState, Tag
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError, SpecError, did_you_mean
from mnist_core.metrics import StopReason
from search.space import Point, Space
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.trial import TrialState

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 1000
# Models named in one search; a database binds a variable for each.
MODELS = 500
MIN_ID_LENGTH = 6
RUN_ID = "[0-9a-f]{32}"


def read_sweeps(store: Store) -> list[SweepRecord]:
    """All sweeps of the store, newest first."""
    with store.errors("reading the sweeps"):
        return [_sweep(run) for run in search_runs(store, f"tags.{Tag.KIND} = '{RunKind.SWEEP}'")]


def find_sweep(store: Store, name: str) -> SweepRecord:
    """Find a sweep by its name or the beginning of its run id.

    Raises:
        NotFoundError: there is none, or more than one.
    """
    if re.fullmatch(RUN_ID, name) and (found := _sweep_of_id(store, name)):
        return found
    sweeps = read_sweeps(store)
    by_name = [sweep for sweep in sweeps if sweep.name == name]
    by_id = [sweep for sweep in sweeps if len(name) >= MIN_ID_LENGTH and sweep.run_id.startswith(name)]
    if by_name or len(by_id) == 1:
        return (by_name or by_id)[0]
    if by_id:
        raise NotFoundError(f"{name!r} is the beginning of {len(by_id)} sweeps' run ids; give more of it")
    raise NotFoundError(f"no sweep {name!r} in {store.shown}{did_you_mean(name, {sweep.name for sweep in sweeps})}")


def _sweep_of_id(store: Store, run_id: str) -> SweepRecord | None:
    from mlflow.exceptions import MlflowException

    with store.errors(f"reading sweep {run_id}"):
        try:
            run = store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
    is_here = run.info.experiment_id == store.experiment_id and run.info.lifecycle_stage == "active"
    return _sweep(run) if is_here and run.data.tags.get(Tag.KIND) == RunKind.SWEEP else None


def read_recorded_spec(store: Store, sweep: SweepRecord) -> SweepSpec:
    """Read the settings of a sweep as it was begun, or last resumed.

    Raises:
        StoreError: its sweep file is not in the store.
        SpecError: its file is not a valid sweep file.
    """
    text = sweep.tags.get(Tag.SPEC)
    if not text:  # too long for a tag, or of an earlier version
        with store.errors(f"reading {SPEC_FILE} of sweep {sweep.name}"), tempfile.TemporaryDirectory() as folder:
            path = Path(store.client.download_artifacts(sweep.run_id, SPEC_FILE, folder))
            text = path.read_text(encoding="utf-8")
    return parse_spec(text, source=f"{SPEC_FILE} of sweep {sweep.name}")


def check_has_trials(sweep: SweepRecord) -> None:
    """Check that a sweep has trials, which can be resumed, confirmed or combined.

    Raises:
        SpecError: it has an ensemble.
    """
    if Tag.ENSEMBLE_OF in sweep.tags:
        raise SpecError(f"sweep {sweep.name}: holds an ensemble and no trials; name the sweep that it was made of")


@dataclass(frozen=True)
class SweepRuns:
    """The runs of a sweep's trials, in the order of trial numbers.

    Args:
        attempts: every attempt at every trial, each once.
        all: those, runs that were never begun, and those that MLflow opened a second time for the same attempt.
    """

    attempts: list[RunRecord]
    all: list[RunRecord]


def read_runs(store: Store, sweep: SweepRecord) -> list[RunRecord]:
    """Read every attempt at every trial of a sweep, in the order of trial numbers, each once."""
    return read_sweep_runs(store, sweep).attempts


def read_sweep_runs(store: Store, sweep: SweepRecord) -> SweepRuns:
    """Read all runs of a sweep's trials."""
    with store.errors(f"reading the runs of sweep {sweep.name}"):
        found = search_runs(store, _children(sweep))
        ready = _ready_models(store, sweep.run_id)  # after the runs: a model is ready before its run says so
    return _sweep_runs(store, sweep, found, ready)


def read_some_runs(store: Store, sweep: SweepRecord, condition: str) -> list[RunRecord]:
    """Read the attempts of a sweep that meet a condition of MLflow's filters, in the order of trial numbers."""
    with store.errors(f"reading runs of sweep {sweep.name}"):
        found = search_runs(store, f"{_children(sweep)} AND {condition}")
        ready = _ready_among(store, [run.data.tags[Tag.MODEL_ID] for run in found if Tag.MODEL_ID in run.data.tags])
    return _sweep_runs(store, sweep, found, ready).attempts


def newest_metrics(store: Store, sweep: SweepRecord, runs: int) -> list[Mapping[str, float]]:
    """Read the last values of the metrics of a sweep's newest runs, at most so many; one call."""
    with store.errors(f"reading runs of sweep {sweep.name}"):
        found = store.client.search_runs([store.experiment_id], _children(sweep), max_results=runs)
    return [run.data.metrics for run in found]


def count_runs(store: Store, sweep: SweepRecord, condition: str = "", guess: int = 1) -> int:
    """Count the runs of a sweep, without reading them: two calls where the guess is right, else a few.

    Args:
        store: that holds it.
        sweep: its parent run.
        condition: of MLflow's filters, that the runs meet.
        guess: the number that is tried first, 1 or more.
    """
    low, high = 0, guess
    if has_runs(store, sweep, guess, condition):
        low, high = guess, guess + 1
        while has_runs(store, sweep, high, condition):
            low, high = high, 2 * high
    while high - low > 1:  # there are `low` at least, and fewer than `high`
        middle = (low + high) // 2
        low, high = (middle, high) if has_runs(store, sweep, middle, condition) else (low, middle)
    return low


def has_runs(store: Store, sweep: SweepRecord, count: int, condition: str = "") -> bool:
    """True if a sweep has at least so many runs that meet the condition; one call, which reads one run."""
    from mlflow.utils.search_utils import SearchUtils

    text = f"{_children(sweep)} AND {condition}" if condition else _children(sweep)
    with store.errors(f"counting the runs of sweep {sweep.name}"):
        token = SearchUtils.create_page_token(count - 1) if count > 1 else None  # type: ignore[no-untyped-call]
        return bool(store.client.search_runs([store.experiment_id], text, max_results=1, page_token=token))


def _children(sweep: SweepRecord) -> str:
    return f"tags.`mlflow.parentRunId` = '{sweep.run_id}'"


def _sweep_runs(store: Store, sweep: SweepRecord, found: Sequence[Run], ready: set[str]) -> SweepRuns:
    runs = [run for run in found if _is_trial(run)]  # users may nest runs of their own
    points = _points(store, sweep, runs)
    records = [_run(run, ready, points.get(run.info.run_id, {})) for run in runs]
    records.sort(key=lambda run: (run.number, run.attempt))
    attempts: dict[str, RunRecord] = {}
    for run in records:
        if run.run_id in points:
            uid = run.tags.get(Tag.TRIAL_UID, run.run_id)
            attempts[uid] = max(attempts.get(uid, run), run, key=_completeness)
    return SweepRuns(list(attempts.values()), records)


def _completeness(run: RunRecord) -> tuple[bool, int, int, str]:
    """Sort key by the amount recorded of a run: of two for one attempt, the driver wrote to the larger."""
    return run.state.is_finished, len(run.metrics), len(run.params), run.run_id


def find_run(store: Store, text: str) -> RunRecord:
    """Find one run by the beginning of its id, or by its sweep and the number of its trial.

    ``SWEEP/trial-007`` and ``SWEEP/7`` are the last attempt at a trial, ``SWEEP/trial-007 (attempt 1)`` is its first.

    Raises:
        NotFoundError: there is none, or more than one.
    """
    name, slash, trial = text.rpartition("/")
    if slash:
        sweep = find_sweep(store, name)
        runs = [run for run in read_runs(store, sweep) if _has_name(run, trial)]
        if not runs:
            raise NotFoundError(f"no run {trial!r} in sweep {sweep.name!r}; see: mnist-search runs {sweep.name}")
        return runs[-1]
    found: list[Run] = []
    if len(text) >= MIN_ID_LENGTH and text.isalnum():
        with store.errors(f"reading run {text}"):
            query = f"tags.{Tag.KIND} = '{RunKind.TRIAL}' AND attributes.run_id LIKE '{text}%'"
            found = [run for run in search_runs(store, query) if _is_trial(run)]
    if len(found) > 1:
        raise NotFoundError(f"{text!r} is the beginning of {len(found)} run ids; give more of it")
    if not found:
        raise NotFoundError(
            f"no run {text!r} in {store.shown}; expected {MIN_ID_LENGTH} or more digits of a run id, or SWEEP/trial-007"
        )
    run, sweep_id = found[0], found[0].data.tags["mlflow.parentRunId"]
    points: Mapping[str, Point] = {}
    if (point := _tagged_point(run)) is not None:
        points = {run.info.run_id: point}
    else:
        # A champion may outlive its sweep: its run is served as before, but cannot be trained again.
        with suppress(NotFoundError, SpecError):
            points = _points(store, find_sweep(store, sweep_id), [run])
    with store.errors(f"reading the model of run {text}"):
        return _run(run, _ready_models(store, sweep_id), points.get(run.info.run_id, {}))


def _has_name(run: RunRecord, trial: str) -> bool:
    named = re.fullmatch(r"(?:trial-)?([0-9]+)(?: \(attempt ([0-9]+)\))?", trial)
    if named is None:
        return trial == run.name
    number, attempt = named.groups()
    return int(number) == run.number and (attempt is None or int(attempt) == run.attempt)


def _ready_models(store: Store, sweep_id: str) -> set[str]:
    def page(token: str | None) -> Any:
        return store.client.search_logged_models(
            [store.experiment_id], f"tags.{Tag.SWEEP_RUN_ID} = '{sweep_id}'", max_results=PAGE, page_token=token
        )

    return {model.model_id for model in all_pages(page) if model.status.value == "READY"}


def _ready_among(store: Store, model_ids: Sequence[str]) -> set[str]:
    ready: set[str] = set()
    for start in range(0, len(model_ids), MODELS):
        named = ", ".join(f"'{model_id}'" for model_id in model_ids[start : start + MODELS])
        found = store.client.search_logged_models([store.experiment_id], f"model_id IN ({named})", max_results=MODELS)
        ready |= {model.model_id for model in found if model.status.value == "READY"}
    return ready


def search_runs(store: Store, filter_string: str) -> list[Run]:
    """Search the experiment's runs by a filter of MLflow; all that match, newest first."""

    def page(token: str | None) -> Any:
        return store.client.search_runs([store.experiment_id], filter_string, max_results=PAGE, page_token=token)

    return all_pages(page)


def all_pages(page: Callable[[str | None], Any]) -> list[Any]:
    """Read all pages of a search of MLflow; every item."""
    items: list[Any] = []
    token = None
    while True:
        found = page(token)
        items += found
        token = found.token
        if not token:
            return items


def utc_time(milliseconds: int) -> datetime:
    """A time of MLflow, milliseconds since the epoch, in UTC: local time would repeat an hour each autumn."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _sweep(run: Run) -> SweepRecord:
    return SweepRecord(
        run_id=run.info.run_id,
        name=run.data.tags.get(Tag.SWEEP, run.info.run_name),
        state=SweepState(run.info.status),
        started=utc_time(run.info.start_time),
        tags=run.data.tags,
        metrics=run.data.metrics,
    )


def _is_trial(run: Run) -> bool:
    numbers = (run.data.tags.get(tag, "") for tag in (Tag.TRIAL_NUMBER, Tag.ATTEMPT))
    return run.data.tags.get(Tag.KIND) == RunKind.TRIAL and all(number.isdecimal() for number in numbers)


def _points(store: Store, sweep: SweepRecord, runs: Sequence[Run]) -> dict[str, Point]:
    """The point of each run, by run id; a run that was never begun has none.

    Runs of earlier versions have no tag for it: their points are read from the logged parameters.
    """
    found = {run.info.run_id: _tagged_point(run) for run in runs}
    if None in found.values():
        space = None if Tag.ENSEMBLE_OF in sweep.tags else read_recorded_spec(store, sweep).space
        for run in runs:
            if found[run.info.run_id] is None:
                # An ensemble has no space.
                found[run.info.run_id] = _logged_point(space, run.data.params) if space else {}
    return {run_id: point for run_id, point in found.items() if point is not None}


def _tagged_point(run: Run) -> Point | None:
    try:
        point = json.loads(run.data.tags[Tag.POINT])
    except (KeyError, ValueError):
        return None
    is_valid = isinstance(point, dict) and all(isinstance(value, int | float | str) for value in point.values())
    return point if is_valid else None


def _logged_point(space: Space, params: Mapping[str, str]) -> Point | None:
    try:
        return space.parse(params)
    except (KeyError, ValueError):
        return None


def _run(run: Run, ready: set[str], point: Point) -> RunRecord:
    tags = run.data.tags
    model_id = tags.get(Tag.MODEL_ID)
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        number=int(tags[Tag.TRIAL_NUMBER]),
        attempt=int(tags[Tag.ATTEMPT]),
        state=_state(run),
        params=run.data.params,
        point=point,
        metrics=run.data.metrics,
        model_id=model_id if model_id in ready else None,
        stop_reason=tags.get(Tag.STOP_REASON),
        error=tags.get(Tag.ERROR),
        tags=tags,
        started=utc_time(run.info.start_time),
        ended=utc_time(run.info.end_time) if run.info.end_time else None,
    )


def _state(run: Run) -> TrialState:
    """The state of a run. Its tag is written just before the run is closed, so an open run is running in any case.

    Where the tag was removed or changed, the state follows from the status and the stop reason.
    """
    tags, status = run.data.tags, run.info.status
    if status == "RUNNING":
        return TrialState.RUNNING
    with suppress(ValueError):
        if (state := TrialState(tags.get(Tag.STATE))) is not TrialState.RUNNING:
            return state
    if status == "FINISHED" and Tag.STOP_REASON in tags:
        return TrialState.PRUNED if tags[Tag.STOP_REASON] == StopReason.PRUNED.value else TrialState.COMPLETE
    return TrialState.FAILED if status == "FAILED" else TrialState.KILLED
