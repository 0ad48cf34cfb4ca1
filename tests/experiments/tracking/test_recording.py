"""The thread that writes trials: what waits for it, what it writes first, and how its errors end a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from experiments import parse_spec
from experiments.tracking import queries, recorder, sweep_runs
from experiments.tracking.datasets import DataRecord, describe_data
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import RunRecord
from experiments.tracking.store import Store, open_store
from experiments.tracking.trial_results import read_resume_state
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import StoreError
from search.executors.base import Decide, Ended
from search.spec import SweepSpec
from search.sweep import EndReason, Sweep
from search.testing.values import metrics_of, result_of
from search.trial import SavedModel, Trial, TrialResult, TrialState
from tests.helpers.search_fakes import FakeExecutor, Journal, ListSearcher
from tests.helpers.sweep_texts import SMALL

SOON = 30.0


class Gate:
    """Holds calls of one method of a class of MLflow's back until it is opened, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        self.opened, self.reached, self.calls = threading.Event(), threading.Event(), 0
        real = getattr(owner, method)

        def held(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            self.reached.set()
            assert self.opened.wait(SOON)
            return real(*arguments, **named)

        monkeypatch.setattr(owner, method, held)


class Begun:
    """A sweep that was begun in a store of its own."""

    def __init__(self, store: Store, spec: SweepSpec, data: DataRecord) -> None:
        self.store, self.spec, self.data = store, spec, data
        self.run_id = sweep_runs.begin_sweep(store, spec, "small", data, workers=1).run_id

    def recorder(self) -> SweepRecorder:
        return SweepRecorder(TrialRuns(self.store, self.run_id, "small", self.data))

    def trial(self, number: int) -> Trial:
        return self.spec.trial(number, {"hidden_size": 8 + number, "learning_rate": 0.001})

    def runs(self) -> list[RunRecord]:
        return list(queries.read_runs(self.store, queries.find_sweep(self.store, self.run_id)))

    def curve(self, run: RunRecord) -> list[float]:
        points = self.store.client.get_metric_history(run.run_id, "val_accuracy")
        return [point.value for point in sorted(points, key=lambda point: point.step)]


@pytest.fixture
def begun(new_store: Callable[[], str], small_npz: Path) -> Begun:
    spec = parse_spec(SMALL, ["trials=6", "sampler=random", "pruner=none"])
    data = describe_data(DataSource(Origin.GIVEN, small_npz), spec)
    return Begun(open_store(new_store(), create=True), spec, data)


@pytest.fixture
def in_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def with_model(result: TrialResult, folder: Path) -> TrialResult:
    """The result with a model's folder, in which an MLmodel is all that counts here."""
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\nmodel_uuid: none\nutc_time_created: '2026-01-01 00:00:00'\n")
    (folder / "model.keras").write_bytes(b"weights")
    return replace(result, model=SavedModel(folder, "model.keras", "0" * 64, 7, 100), weights=100)


def test_workers_are_answered_and_new_trials_begun_while_mlflow_does_not_answer(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, MlflowClient, "create_run")

    class Opening(FakeExecutor):
        """Ends trials; MLflow answers only once the last has ended."""

        def poll(self, decide: Decide, timeout: float) -> list[Ended]:
            ended = list(super().poll(decide, timeout))
            assert not gate.opened.is_set()
            if len(self.submitted) == 6 and not self.running:
                gate.opened.set()
            return ended

    executor, searcher, observer = Opening(), ListSearcher([begun.trial(n).point for n in range(6)]), Journal("o", [])
    with begun.recorder() as writer:
        assert Sweep(begun.spec, searcher, executor, writer, [observer]).run() is EndReason.DONE
        # Everything is written before the sweep says that it has ended, and told to the observers.
        assert [(run.number, run.state) for run in begun.runs()] == [(n, TrialState.COMPLETE) for n in range(6)]
    assert len(executor.decisions) == 12
    assert [entry[2] for entry in observer.entries if entry[1] == "ended"] == list(range(6))
    assert writer.writing_seconds > 0


def test_a_full_queue_makes_the_sweep_wait_until_there_is_room(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor
) -> None:
    monkeypatch.setattr(recorder, "MAX_QUEUED", 3)
    gate = Gate(monkeypatch, MlflowClient, "create_run")
    with begun.recorder() as writer:
        writer.trial_started(begun.trial(0))
        assert gate.reached.wait(SOON)
        for epoch in (1, 2, 3):
            writer.epoch_ended(begun.trial(0), epoch, metrics_of(0.1 * epoch))
        fourth = in_thread.submit(writer.epoch_ended, begun.trial(0), 4, metrics_of(0.4))
        time.sleep(0.2)
        assert not fourth.done()
        gate.opened.set()
        fourth.result(SOON)
        writer.trial_ended(begun.trial(0), result_of(0.4, epochs=4))
    (run,) = begun.runs()
    assert begun.curve(run) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert writer.waiting_seconds >= 0.2


def test_models_that_wait_for_their_upload_are_bounded(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor, tmp_path: Path
) -> None:
    monkeypatch.setattr(recorder, "MAX_UNRECORDED", 2)
    gate = Gate(monkeypatch, LocalArtifactRepository, "log_artifacts")
    with begun.recorder() as writer:
        for number in range(2):
            writer.trial_started(begun.trial(number))
            writer.trial_ended(begun.trial(number), with_model(result_of(0.5), tmp_path / str(number)))
        writer.trial_started(begun.trial(2))
        third = in_thread.submit(writer.trial_ended, begun.trial(2), with_model(result_of(0.5), tmp_path / "2"))
        deadline = time.monotonic() + SOON
        while gate.calls < 2:  # both at once
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not third.done()
        gate.opened.set()
        third.result(SOON)
        assert len(writer.finish()) == 3
    assert not list(tmp_path.glob("[0-9]"))


def test_a_run_is_complete_only_once_its_model_is_there_while_others_are_written(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = Gate(monkeypatch, LocalArtifactRepository, "log_artifacts")
    with begun.recorder() as writer:
        for number in range(2):
            writer.trial_started(begun.trial(number))
        writer.trial_ended(begun.trial(0), with_model(result_of(0.5), tmp_path / "0"))
        writer.trial_ended(begun.trial(1), result_of(0.7))
        assert [end.trial.number for end in writer.recorded(SOON)] == [1]
        assert [run.state for run in begun.runs()] == [TrialState.RUNNING, TrialState.COMPLETE]
        gate.opened.set()
        (first,) = writer.recorded(SOON)
    assert first.trial.number == 0
    assert begun.runs()[0].state is TrialState.COMPLETE
    assert begun.runs()[0].model_id


def test_a_model_that_cannot_be_uploaded_makes_its_trial_failed_and_no_other(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = LocalArtifactRepository.log_artifacts

    def full(place: LocalArtifactRepository, folder: str) -> None:
        if folder.endswith("0"):
            raise OSError("No space left on device")
        real(place, folder)

    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", full)
    with begun.recorder() as writer:
        for number in range(2):
            writer.trial_started(begun.trial(number))
            writer.trial_ended(begun.trial(number), with_model(result_of(0.5), tmp_path / str(number)))
        states = {end.trial.number: end.result.state for end in writer.finish()}
    assert states == {0: TrialState.FAILED, 1: TrialState.COMPLETE}
    failed, complete = begun.runs()
    assert (failed.state, complete.state) == (TrialState.FAILED, TrialState.COMPLETE)
    assert "No space left on device" in (failed.error or "")
    (left,) = begun.store.client.search_logged_models([begun.store.experiment_id], "name = 'trial-000'")
    assert left.status.value == "FAILED"


def test_a_trial_whose_model_could_not_be_uploaded_names_what_it_measured_and_is_tried_again(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*arguments: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", fails)
    with begun.recorder() as writer:
        writer.trial_started(begun.trial(0))
        writer.trial_ended(begun.trial(0), with_model(result_of(0.5, epochs=3), tmp_path / "0"))
    (run,) = begun.runs()
    assert run.error is not None
    assert run.error.endswith(
        "No space left on device; its best epoch was 3, with val_accuracy 0.5000, val_loss 0.5000"
    )
    state = read_resume_state(begun.store, [run], begun.spec)
    assert ([one.number for one in state.unfinished], state.finished) == ([0], ())


@pytest.mark.parametrize("text", ["caf\udce9.npy is missing", "a\0b"])
def test_a_cause_that_a_database_cannot_hold_is_recorded_in_other_characters(begun: Begun, text: str) -> None:
    with begun.recorder() as writer:
        for number in range(2):
            writer.trial_started(begun.trial(number))
        writer.trial_lost(begun.trial(0), text)
        writer.trial_ended(begun.trial(1), TrialResult(TrialState.FAILED, error=text, traceback=text))
    runs = begun.runs()
    assert [run.state for run in runs] == [TrialState.KILLED, TrialState.FAILED]
    shown = text.replace("\udce9", "\\udce9").replace("\0", "\\x00")
    assert [run.error for run in runs] == [shown, shown]


@pytest.mark.parametrize("method", ["create_run", "log_batch", "set_terminated", "create_logged_model"])
def test_an_error_of_the_store_is_raised_at_the_next_step_and_nothing_more_is_written(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    calls: list[str] = []

    def fails(*arguments: Any, **named: Any) -> None:
        calls.append(method)
        raise OSError("database is locked")

    def record() -> None:
        with begun.recorder() as writer:
            for number in range(2):
                writer.trial_started(begun.trial(number))
            writer.trial_ended(begun.trial(0), with_model(result_of(0.5), tmp_path / "0"))
            while True:
                writer.epoch_ended(begun.trial(1), 1, metrics_of(0.5))
                time.sleep(0.001)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, method, fails)
        with pytest.raises(StoreError, match=r"recording trial-00.: database is locked"):
            record()
    assert calls == [method]
    assert all(run.state is TrialState.RUNNING for run in begun.runs())


def test_an_error_that_comes_last_is_raised_before_the_sweep_has_ended(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **named: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(MlflowClient, "set_terminated", fails)
    executor, searcher = FakeExecutor(), ListSearcher([begun.trial(0).point])
    with pytest.raises(StoreError, match="the disk is full"), begun.recorder() as writer:
        Sweep(replace(begun.spec, trials=1), searcher, executor, writer).run()
    assert executor.closed


def test_what_was_finished_before_an_interruption_is_recorded(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, MlflowClient, "create_run")
    executor = FakeExecutor(capacity=2)

    def stop() -> bool:
        if len(executor.submitted) < 3:
            return False
        gate.opened.set()
        return True

    searcher, observer = ListSearcher([begun.trial(n).point for n in range(6)]), Journal("observer", [])
    with begun.recorder() as writer:
        assert Sweep(begun.spec, searcher, executor, writer, [observer]).run(stop) is EndReason.INTERRUPTED
    states = [run.state for run in begun.runs()]
    ended = [entry[2] for entry in observer.entries if entry[1] == "ended"]
    assert states.count(TrialState.COMPLETE) == len(ended) == len(executor.submitted) - len(executor.running)
    assert states.count(TrialState.KILLED) == len(executor.running)


def test_a_store_that_hangs_ends_an_interrupted_sweep_within_its_bound(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "STOP_SECONDS", 0.1)
    gate = Gate(monkeypatch, MlflowClient, "create_run")

    def record() -> None:
        with begun.recorder() as writer:
            writer.trial_started(begun.trial(0))
            writer.trial_ended(begun.trial(0), result_of(0.5))
            writer.finish(timeout=0.1)

    with pytest.raises(StoreError, match=r"not all was written within 0 s; 1 of the trials"):
        record()
    gate.opened.set()


def test_after_an_error_that_is_not_the_store_s_what_was_finished_is_written(begun: Begun) -> None:
    def record() -> None:
        with begun.recorder() as writer:
            writer.trial_started(begun.trial(0))
            writer.trial_ended(begun.trial(0), result_of(0.5))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record()
    assert [run.state for run in begun.runs()] == [TrialState.COMPLETE]


def test_a_second_signal_drops_what_is_not_written(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "STOP_SECONDS", 0.1)
    gate = Gate(monkeypatch, MlflowClient, "create_run")

    def record() -> None:
        with begun.recorder() as writer:
            for number in range(3):
                writer.trial_started(begun.trial(number))
            assert gate.reached.wait(SOON)
            raise SystemExit(130)

    with pytest.raises(SystemExit):
        record()
    gate.opened.set()
    for thread in threading.enumerate():
        if thread.name == "recorder":
            thread.join(SOON)
    assert gate.calls == 1


def test_a_trial_that_ends_within_a_second_is_written_in_one_request(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[tuple[int, int]] = []
    real = MlflowClient.log_batch

    def counted(client: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if metrics:
            batches.append((len({metric.step for metric in metrics} - {0}), len(tags)))
        real(client, run_id, metrics=metrics, params=params, tags=tags)

    monkeypatch.setattr("experiments.tracking.curve_buffer.FLUSH_SECONDS", SOON)
    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    with begun.recorder() as writer:
        writer.trial_started(begun.trial(0))
        for epoch in range(1, 6):
            writer.epoch_ended(begun.trial(0), epoch, metrics_of(epoch / 10))
        writer.trial_ended(begun.trial(0), result_of(0.5, epochs=5))
    assert batches == [(5, 2)]


def test_curves_of_running_trials_are_written_while_they_run(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.tracking.curve_buffer.FLUSH_SECONDS", 0.01)
    with begun.recorder() as writer:
        writer.trial_started(begun.trial(0))
        writer.epoch_ended(begun.trial(0), 1, metrics_of(0.5))
        writer.finish()
        (run,) = begun.runs()
        deadline = time.monotonic() + SOON
        while begun.curve(run) != [0.5] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert begun.curve(run) == [0.5]
        writer.trial_lost(begun.trial(0), "the worker died")
    assert begun.runs()[0].state is TrialState.KILLED


def test_the_end_of_a_recorder_writes_the_curves_of_all_running_trials(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.tracking.curve_buffer.FLUSH_SECONDS", SOON)
    monkeypatch.setattr("experiments.tracking.curve_buffer.MAX_RUNS", 1)
    with begun.recorder() as writer:
        for number in range(3):
            writer.trial_started(begun.trial(number))
            writer.epoch_ended(begun.trial(number), 1, metrics_of(0.5))
    assert [(run.state, begun.curve(run)) for run in begun.runs()] == [(TrialState.RUNNING, [0.5])] * 3


def test_a_recorder_that_is_closed_or_not_yet_open_refuses_events(begun: Begun) -> None:
    with pytest.raises(RuntimeError, match="within its with block only"):
        begun.recorder().trial_started(begun.trial(0))
    with begun.recorder() as writer:
        pass
    with pytest.raises(RuntimeError, match="within its with block only"):
        writer.trial_started(begun.trial(0))
    assert not [thread for thread in threading.enumerate() if thread.name == "recorder" and thread.is_alive()]
