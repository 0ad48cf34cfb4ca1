"""Incomplete, duplicate and changed runs that a killed process, a repeated request or a user left in the store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from experiments import SweepResult, find_sweep, parse_spec, read_runs, resume_sweep, run_sweep
from experiments.reporting.timeline import read_timeline
from experiments.tracking.datasets import describe_data
from experiments.tracking.queries import find_run
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import Tag
from experiments.tracking.store import Store, open_store, tracking_uri
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import NotFoundError, StoreError
from search.trial import TrialState
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import Run, in_process, stored_sweep

COMMANDS = (["runs", "mixed"], ["report", "mixed"], ["compare", "mixed", "mixed"], ["best", "mixed"])


def begin_nothing(store: Store, sweep_id: str, number: int = 9) -> str:
    """Create a run like that of an earlier version killed right after it had created the run; its id."""
    tags = {
        "mlflow.parentRunId": sweep_id,
        "kind": "trial",
        "sweep": "mixed",
        "trial_uid": f"{sweep_id}/{number}/1",
        "trial_number": str(number),
        "attempt": "1",
        "state": "running",
    }
    run: Any = store.client.create_run(store.experiment_id, tags=tags, run_name=f"trial-{number:03d}")
    return str(run.info.run_id)


def status_of(store: Store, run_id: str) -> str:
    return str(store.client.get_run(run_id).info.status)


def test_commands_work_with_a_run_without_parameters(
    command: Run, mixed_sweep: SweepResult, mixed_store: Store
) -> None:
    begin_nothing(mixed_store, mixed_sweep.sweep.run_id)
    for words in COMMANDS:
        code, _, err = command(*words)
        assert (code, err) == (0, ""), words
    assert read_runs(mixed_store, mixed_sweep.sweep) == list(mixed_sweep.runs)


def test_resuming_closes_a_run_without_parameters(
    mixed_sweep: SweepResult, mixed_store: Store, whole_npz: Path
) -> None:
    left = begin_nothing(mixed_store, mixed_sweep.sweep.run_id)
    resumed = resume_sweep("mixed", in_process(whole_npz))
    assert len(resumed.runs) == len(mixed_sweep.runs)
    assert status_of(mixed_store, left) == "KILLED"


@pytest.mark.usefixtures("store_at_hand")
def test_a_process_that_dies_before_the_parameters_are_written_leaves_a_point_that_is_tried_again(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: MlflowClient, *arguments: object, params: object = (), **others: object) -> None:
        if params:
            raise StoreError("as if killed")
        original(self, *arguments, **others)  # type: ignore[arg-type]

    original = MlflowClient.log_batch
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(StoreError, match="as if killed"):
            run_sweep(parse_spec(SMALL, ["trials=1"]), in_process(small_npz))
    _, (left,) = stored_sweep("small")
    assert (left.params, left.point.keys()) == ({}, {"hidden_size", "learning_rate"})
    first, second = resume_sweep("small", in_process(small_npz)).runs
    assert (first.run_id, first.state, second.state) == (left.run_id, TrialState.KILLED, TrialState.COMPLETE)
    assert (second.number, second.attempt, second.point) == (0, 2, left.point)
    assert {name: second.params[name] for name in left.point} == {name: str(left.point[name]) for name in left.point}


@pytest.mark.usefixtures("store_at_hand")
@pytest.mark.parametrize("known", [0, 1], ids=["the first is known", "the second is known"])
def test_a_trial_that_was_opened_twice_is_one_trial(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    opened: list[str] = []

    def twice(self: MlflowClient, *arguments: Any, **others: Any) -> Any:
        copies = [original(self, *arguments, **others) for _ in range(2 if Tag.TRIAL_UID in others["tags"] else 1)]
        opened.extend(copy.info.run_id for copy in copies if copy is not copies[min(known, len(copies) - 1)])
        return copies[min(known, len(copies) - 1)]

    original = MlflowClient.create_run
    monkeypatch.setattr(MlflowClient, "create_run", twice)
    result = run_sweep(parse_spec(SMALL, ["trials=2"]), in_process(small_npz, report=True))
    assert [(run.number, run.state) for run in result.runs] == [(0, TrialState.COMPLETE), (1, TrialState.COMPLETE)]
    assert len(opened) == 2
    store = open_store(tracking_uri())
    assert {status_of(store, run_id) for run_id in opened} == {"KILLED"}
    assert not {run.run_id for run in read_runs(store, result.sweep)} & set(opened)
    assert len(resume_sweep("small", in_process(small_npz)).runs) == 2


def test_points_of_earlier_versions_are_read_from_the_parameters(
    command: Run, mixed_sweep: SweepResult, mixed_store: Store, whole_npz: Path
) -> None:
    for run in mixed_sweep.runs:
        mixed_store.client.delete_tag(run.run_id, Tag.POINT)
    assert [run.point for run in read_runs(mixed_store, mixed_sweep.sweep)] == list(mixed_sweep.spec.points)
    assert find_run(mixed_store, mixed_sweep.runs[2].run_id).point == mixed_sweep.spec.points[2]
    for words in COMMANDS:
        assert command(*words)[0] == 0, words
    assert resume_sweep("mixed", in_process(whole_npz)).runs[0].run_id == mixed_sweep.runs[0].run_id


@pytest.mark.parametrize("text", ["", "[1]", '{"hidden_size": [8]}', '{"hidden_size": 8'])
def test_a_point_that_was_damaged_is_read_from_the_parameters(
    mixed_sweep: SweepResult, mixed_store: Store, text: str
) -> None:
    mixed_store.client.set_tag(mixed_sweep.runs[0].run_id, Tag.POINT, text)
    assert read_runs(mixed_store, mixed_sweep.sweep)[0].point == mixed_sweep.spec.points[0]


def test_points_keep_their_exact_values(mixed_store: Store, mixed_sweep: SweepResult, whole_npz: Path) -> None:
    spec = parse_spec('name = "exact"\ntrials = 1\n[space]\ndropout = { low = 0.0, high = 0.5 }\nl2 = [0.0]')
    data = describe_data(DataSource(Origin.GIVEN, whole_npz), spec)
    point = {"dropout": 0.1 + 0.2, "l2": 5e-324}
    with SweepRecorder(TrialRuns(mixed_store, mixed_sweep.sweep.run_id, "mixed", data)) as recorder:
        recorder.trial_started(spec.trial(7, point))
    assert read_runs(mixed_store, mixed_sweep.sweep)[-1].point == point


def test_a_run_that_a_user_nested_in_the_sweep_is_not_a_trial(
    command: Run, mixed_sweep: SweepResult, mixed_store: Store, whole_npz: Path
) -> None:
    for tags in ({}, {"kind": "trial"}, {"kind": "trial", "trial_number": "x", "attempt": "1"}):
        own: Any = {"mlflow.parentRunId": mixed_sweep.sweep.run_id, **tags}
        foreign = mixed_store.client.create_run(mixed_store.experiment_id, tags=own).info.run_id
    assert read_runs(mixed_store, mixed_sweep.sweep) == list(mixed_sweep.runs)
    for words in COMMANDS:
        assert command(*words)[0] == 0, words
    code, _, err = command("evaluate", foreign, "--data", str(whole_npz))
    assert (code, err.count("\n")) == (2, 1)
    assert len(resume_sweep("mixed", in_process(whole_npz)).runs) == len(mixed_sweep.runs)
    assert status_of(mixed_store, foreign) == "RUNNING"


def test_a_run_whose_sweep_is_gone_is_still_found(mixed_sweep: SweepResult, mixed_store: Store) -> None:
    mixed_store.client.delete_run(mixed_sweep.sweep.run_id)
    mixed_store.client.delete_tag(mixed_sweep.runs[0].run_id, Tag.POINT)
    for run in mixed_sweep.runs[:2]:
        assert find_run(mixed_store, run.run_id).model_id == run.model_id


@pytest.mark.parametrize("tag", [None, "perfect"], ids=["removed", "unknown"])
def test_a_removed_or_changed_state_follows_from_status_and_stop_reason(
    command: Run, mixed_sweep: SweepResult, mixed_store: Store, tag: str | None
) -> None:
    for run in mixed_sweep.runs:
        if tag is None:
            mixed_store.client.delete_tag(run.run_id, Tag.STATE)
        else:
            mixed_store.client.set_tag(run.run_id, Tag.STATE, tag)
    assert [run.state for run in read_runs(mixed_store, mixed_sweep.sweep)] == [run.state for run in mixed_sweep.runs]
    for words in COMMANDS:
        assert command(*words)[0] == 0, words


def test_a_run_that_a_user_closed_is_no_longer_running(mixed_sweep: SweepResult, mixed_store: Store) -> None:
    left = begin_nothing(mixed_store, mixed_sweep.sweep.run_id)
    mixed_store.client.set_tag(left, Tag.POINT, '{"hidden_size": 8}')
    assert read_runs(mixed_store, mixed_sweep.sweep)[-1].state is TrialState.RUNNING
    mixed_store.client.set_terminated(left, "KILLED")
    assert read_runs(mixed_store, mixed_sweep.sweep)[-1].state is TrialState.KILLED


def test_a_closed_run_without_metrics_has_no_result(mixed_sweep: SweepResult, mixed_store: Store) -> None:
    left = begin_nothing(mixed_store, mixed_sweep.sweep.run_id)
    mixed_store.client.set_tag(left, Tag.POINT, '{"hidden_size": 8}')
    mixed_store.client.delete_tag(left, Tag.STATE)
    mixed_store.client.set_terminated(left, "FINISHED")
    assert read_runs(mixed_store, mixed_sweep.sweep)[-1].state is TrialState.KILLED


def test_a_whole_run_id_names_its_sweep_in_one_request(
    mixed_sweep: SweepResult, mixed_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.delattr(MlflowClient, "search_runs")
        assert find_sweep(mixed_store, mixed_sweep.sweep.run_id) == mixed_sweep.sweep
    for other in (mixed_sweep.runs[0].run_id, "0" * 32):
        with pytest.raises(NotFoundError, match="no sweep"):
            find_sweep(mixed_store, other)
    mixed_store.client.delete_run(mixed_sweep.sweep.run_id)
    with pytest.raises(NotFoundError, match="no sweep"):
        find_sweep(mixed_store, mixed_sweep.sweep.run_id)


def test_a_trial_s_number_and_name_are_its_last_attempt(mixed_sweep: SweepResult, mixed_store: Store) -> None:
    first, *_ = mixed_sweep.runs
    again = begin_nothing(mixed_store, mixed_sweep.sweep.run_id, number=0)
    for key, value in {"attempt": "2", "trial_uid": f"{mixed_sweep.sweep.run_id}/0/2", "point": "{}"}.items():
        mixed_store.client.set_tag(again, key, value)
    mixed_store.client.update_run(again, name="trial-000 (attempt 2)")
    named = {text: find_run(mixed_store, f"mixed/{text}").run_id for text in ("trial-000", "0", "000")}
    assert named == dict.fromkeys(named, again)
    assert find_run(mixed_store, "mixed/trial-000 (attempt 2)").run_id == again
    assert find_run(mixed_store, "mixed/trial-000 (attempt 1)").run_id == first.run_id
    with pytest.raises(NotFoundError, match="no run 'trial-000 \\(attempt 3\\)'"):
        find_run(mixed_store, "mixed/trial-000 (attempt 3)")


def test_a_run_that_was_renamed_is_found_by_its_new_name(mixed_sweep: SweepResult, mixed_store: Store) -> None:
    mixed_store.client.update_run(mixed_sweep.runs[1].run_id, name="the small one")
    for name in ("the small one", "trial-001"):
        assert find_run(mixed_store, f"mixed/{name}").run_id == mixed_sweep.runs[1].run_id


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_berlin")
def test_the_duration_of_a_trial_is_right_in_the_hour_that_autumn_repeats(
    command: Run, mixed_sweep: SweepResult, mixed_store: Store
) -> None:
    # 02:50 in summer time to 02:45 in winter time, and the sweep's own beginning before that.
    begin, end = datetime(2024, 10, 27, 0, 50, tzinfo=UTC), datetime(2024, 10, 27, 1, 45, tzinfo=UTC)
    milliseconds = [int(moment.timestamp() * 1000) for moment in (begin, end)]
    database = sqlite3.connect(mixed_store.uri.removeprefix("sqlite:///"))
    with database:
        database.execute("UPDATE runs SET start_time = ?, end_time = ?", milliseconds)
        database.execute("UPDATE metrics SET timestamp = ?", milliseconds[:1])
    database.close()
    sweep = find_sweep(mixed_store, "mixed")
    told = read_timeline(mixed_store, sweep)
    assert {trial.seconds for trial in told.trials} == {55 * 60}
    assert told.seconds == 55 * 60
    assert (sweep.started, told.trials[0].run.ended) == (begin, end)
    assert "2024-10-27 02:50" in command("sweeps")[1]
