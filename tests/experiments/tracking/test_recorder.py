"""The recorder's queue and thread, around runs that are kept in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from experiments import parse_spec
from experiments.tracking import recorder
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.trial_runs import TrialEnd, TrialRuns
from mnist_core.errors import StoreError
from search.testing.values import metrics_of, result_of
from search.trial import SavedModel, Trial, TrialResult, TrialState

SOON = 30.0
SPEC = parse_spec('name = "small"\ntrials = 4\n[space]\nhidden_size = [8, 16, 24, 32]')
PLAIN = result_of(0.5)
WITH_MODEL = replace(PLAIN, model=SavedModel(Path("none"), "model.keras", "0" * 64, 7, 100), weights=100)


def trial(number: int) -> Trial:
    return SPEC.trial(number, {"hidden_size": 8 * (1 + number)})


class MemoryRuns:
    """Runs of trials that write into a list: the step and the trial's number.

    ``hold`` keeps a step waiting until ``release`` is called for it, ``fail`` makes it raise an error.
    """

    def __init__(self) -> None:
        self.store = SimpleNamespace(shown="the store")
        self.lease = None
        self.written: list[tuple[str, int]] = []
        self.reached: dict[tuple[str, int], threading.Event] = {}
        self.batches = 0
        """Batches of curves that are to be written now."""
        self._held: dict[tuple[str, int], threading.Event] = {}
        self._errors: dict[tuple[str, int], BaseException] = {}

    def hold(self, step: str, number: int) -> None:
        self._held[step, number], self.reached[step, number] = threading.Event(), threading.Event()

    def wait(self, step: str, number: int) -> None:
        assert self.reached[step, number].wait(SOON)

    def release(self, step: str, number: int) -> None:
        self._held[step, number].set()

    def fail(self, step: str, number: int, error: BaseException) -> None:
        self._errors[step, number] = error

    def of(self, number: int) -> list[str]:
        """The steps of one trial."""
        return [step for step, of in self.written if of == number]

    def _write(self, step: str, number: int) -> None:
        if (step, number) in self._held:
            self.reached[step, number].set()
            assert self._held[step, number].wait(SOON)
        if (step, number) in self._errors:
            raise self._errors[step, number]
        self.written.append((step, number))

    def open(self, trial: Trial, at: int) -> None:
        self._write("open", trial.number)

    def add_points(self, trial: Trial, points: Sequence[Any]) -> None:
        self._write(f"epoch {points[0].step}", trial.number)

    def seconds_to_flush(self) -> float | None:
        return 0.0 if self.batches else None

    def flush(self) -> None:
        self.batches -= 1
        self._write("curves", -1)

    def flush_all(self) -> None:
        self._write("all curves", -1)

    def lose(self, trial: Trial, cause: str, at: int) -> None:
        self._write("lose", trial.number)

    def create_model(self, end: TrialEnd) -> Any:
        self._write("create model", end.trial.number)

    def upload_model(self, end: TrialEnd) -> None:
        self._write("upload", end.trial.number)

    def close(self, end: TrialEnd) -> TrialResult:
        self._write("close", end.trial.number)
        return replace(PLAIN, state=TrialState.FAILED, best_epoch=None, error="full") if end.failure else end.result


@pytest.fixture
def runs() -> MemoryRuns:
    return MemoryRuns()


@pytest.fixture
def in_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _no_wait_for_held_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "STOP_SECONDS", 0.1)


def recording(runs: MemoryRuns, stop: Callable[[], bool] = lambda: False) -> SweepRecorder:
    return SweepRecorder(cast(TrialRuns, runs), stop)


def record(
    runs: MemoryRuns, events: Callable[[SweepRecorder], object], stop: Callable[[], bool] = lambda: False
) -> None:
    """Record events from the start of a recorder to its end."""
    with recording(runs, stop) as writer:
        events(writer)


def until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestTurns:
    def test_of_curves_and_other_steps_alternate_while_both_wait(self, runs: MemoryRuns) -> None:
        runs.hold("open", 0)
        with recording(runs) as writer:
            for number in range(4):
                writer.trial_started(trial(number))
            runs.wait("open", 0)
            runs.batches = 6
            runs.release("open", 0)
        assert [step for step, _ in runs.written[:8]] == ["open", "curves"] * 4

    def test_of_uploaded_models_come_before_what_else_waits(self, runs: MemoryRuns) -> None:
        runs.hold("upload", 0)
        runs.hold("open", 1)
        with recording(runs) as writer:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), WITH_MODEL)
            writer.trial_started(trial(1))
            writer.trial_started(trial(2))
            runs.wait("open", 1)
            runs.release("upload", 0)
            until(lambda: bool(writer._uploaded))
            runs.release("open", 1)
        assert runs.written.index(("close", 0)) < runs.written.index(("open", 2))


class TestOrder:
    def test_within_a_run_is_that_of_its_events_while_others_are_written(self, runs: MemoryRuns) -> None:
        with recording(runs) as writer:
            for number in range(3):
                writer.trial_started(trial(number))
            for epoch in (1, 2, 3):
                for number in range(3):
                    writer.epoch_ended(trial(number), epoch, metrics_of(0.5))
            writer.trial_ended(trial(0), WITH_MODEL)
            writer.trial_lost(trial(1), "the worker died")
            writer.trial_started(trial(1))
            writer.trial_ended(trial(2), PLAIN)
        epochs = [f"epoch {epoch}" for epoch in (1, 2, 3)]
        assert runs.of(0) == ["open", *epochs, "create model", "upload", "close"]
        assert runs.of(1) == ["open", *epochs, "lose", "open"]
        assert runs.of(2) == ["open", *epochs, "close"]

    def test_of_ends_is_that_of_their_records(self, runs: MemoryRuns) -> None:
        runs.hold("upload", 0)
        with recording(runs) as writer:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), WITH_MODEL)
            writer.trial_started(trial(1))
            writer.trial_ended(trial(1), PLAIN)
            assert [end.trial.number for end in writer.recorded(SOON)] == [1]
            assert writer.recorded() == []
            runs.release("upload", 0)
            assert [end.trial.number for end in writer.finish(SOON)] == [0]


class TestAFullQueue:
    def test_keeps_the_sweep_waiting_until_a_step_is_written(
        self, runs: MemoryRuns, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(recorder, "MAX_QUEUED", 2)
        runs.hold("open", 0)
        with recording(runs) as writer:
            writer.trial_started(trial(0))
            runs.wait("open", 0)
            writer.trial_started(trial(1))
            writer.trial_started(trial(2))
            third = in_thread.submit(writer.trial_started, trial(3))
            time.sleep(0.05)
            assert not third.done()
            runs.release("open", 0)
            third.result(SOON)
        assert runs.written[:4] == [("open", number) for number in range(4)]
        assert writer.waiting_seconds > 0.04

    def test_is_also_one_of_trials_whose_models_are_uploaded(
        self, runs: MemoryRuns, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(recorder, "MAX_UNRECORDED", 1)
        runs.hold("upload", 0)
        with recording(runs) as writer:
            for number in range(2):
                writer.trial_started(trial(number))
            writer.trial_ended(trial(0), WITH_MODEL)
            second = in_thread.submit(writer.trial_ended, trial(1), PLAIN)
            time.sleep(0.05)
            assert not second.done()
            # Other events have room.
            writer.trial_started(trial(2))
            runs.release("upload", 0)
            second.result(SOON)

    def test_that_stays_full_after_a_request_to_stop_is_an_error_in_a_while(
        self, runs: MemoryRuns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorder, "MAX_QUEUED", 1)
        monkeypatch.setattr(recorder, "FINISH_SECONDS", 0.2)
        monkeypatch.setattr(recorder, "STOP_SECONDS", 0.1)
        runs.hold("open", 0)
        asked = threading.Event()

        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            runs.wait("open", 0)
            writer.trial_started(trial(1))
            threading.Timer(0.1, asked.set).start()
            writer.trial_started(trial(2))

        with pytest.raises(StoreError, match="not all was written within"):
            record(runs, events, asked.is_set)
        runs.release("open", 0)
        assert runs.written in ([], [("open", 0)])

    def test_that_waits_raises_the_error_of_the_step_before_it(
        self, runs: MemoryRuns, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(recorder, "MAX_QUEUED", 1)
        runs.hold("open", 0)
        runs.fail("open", 0, StoreError("the disk is full"))

        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            runs.wait("open", 0)
            writer.trial_started(trial(1))
            waiting = in_thread.submit(writer.trial_started, trial(2))
            runs.release("open", 0)
            waiting.result(SOON)

        with pytest.raises(StoreError, match="the disk is full"):
            record(runs, events)
        assert runs.written == []


STEPS: dict[str, Callable[[SweepRecorder], object]] = {
    "trial_started": lambda writer: writer.trial_started(trial(1)),
    "epoch_ended": lambda writer: writer.epoch_ended(trial(0), 1, metrics_of(0.5)),
    "trial_lost": lambda writer: writer.trial_lost(trial(0), "the worker died"),
    "trial_ended": lambda writer: writer.trial_ended(trial(0), PLAIN),
    "recorded": lambda writer: writer.recorded(),
    "recorded, waiting": lambda writer: writer.recorded(SOON),
    "finish": lambda writer: writer.finish(SOON),
}


class TestAnError:
    @pytest.mark.parametrize("step", STEPS)
    def test_of_the_thread_is_raised_at_the_next_step(self, runs: MemoryRuns, step: str) -> None:
        error = StoreError("the disk is full")
        runs.fail("open", 0, error)

        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer._thread.join(SOON)
            STEPS[step](writer)
            pytest.fail("nothing was raised")

        with pytest.raises(StoreError) as raised:
            record(runs, events)
        assert raised.value is error
        assert runs.written == []

    def test_of_the_last_step_is_raised_at_the_end_of_the_block(self, runs: MemoryRuns) -> None:
        runs.fail("lose", 0, StoreError("the disk is full"))

        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer.trial_lost(trial(0), "the worker died")

        with pytest.raises(StoreError, match="the disk is full"):
            record(runs, events)

    def test_of_an_upload_that_is_no_error_of_the_store_ends_the_sweep(self, runs: MemoryRuns) -> None:
        runs.fail("upload", 0, ZeroDivisionError("a defect"))

        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), WITH_MODEL)
            writer.recorded(SOON)

        with pytest.raises(ZeroDivisionError, match="a defect"):
            record(runs, events)
        assert "close" not in runs.of(0)

    def test_of_an_upload_makes_its_trial_failed_and_no_other(self, runs: MemoryRuns) -> None:
        runs.fail("upload", 0, StoreError("the disk is full"))
        with recording(runs) as writer:
            for number in range(2):
                writer.trial_started(trial(number))
                writer.trial_ended(trial(number), WITH_MODEL)
            states = {end.trial.number: end.result.state for end in writer.finish(SOON)}
        assert states == {0: TrialState.FAILED, 1: TrialState.COMPLETE}


class TestTheEnd:
    def test_of_the_block_comes_after_the_last_write(self, runs: MemoryRuns, in_thread: ThreadPoolExecutor) -> None:
        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), WITH_MODEL)

        runs.hold("upload", 0)
        runs.hold("close", 0)
        done = in_thread.submit(record, runs, events)
        for step in ("upload", "close"):
            runs.wait(step, 0)
            time.sleep(0.02)
            assert not done.done()
            runs.release(step, 0)
        done.result(SOON)
        assert runs.of(0)[-1] == "close"

    def test_waits_for_a_step_that_is_being_written(
        self, runs: MemoryRuns, monkeypatch: pytest.MonkeyPatch, in_thread: ThreadPoolExecutor
    ) -> None:
        monkeypatch.setattr(recorder, "STOP_SECONDS", 0.0)
        runs.hold("all curves", -1)
        done = in_thread.submit(record, runs, lambda writer: writer.trial_started(trial(0)))
        runs.wait("all curves", -1)
        time.sleep(0.02)
        assert not done.done()
        runs.release("all curves", -1)
        done.result(SOON)

    def test_writes_the_curves_of_trials_that_still_run(self, runs: MemoryRuns) -> None:
        with recording(runs) as writer:
            writer.trial_started(trial(0))
            writer.epoch_ended(trial(0), 1, metrics_of(0.5))
        assert runs.written == [("open", 0), ("epoch 1", 0), ("all curves", -1)]

    def test_that_was_not_reached_in_time_is_an_error_of_every_later_step(self, runs: MemoryRuns) -> None:
        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), PLAIN)
            for step in (lambda: writer.finish(0.0), writer.recorded, writer.finish):
                with pytest.raises(StoreError, match=r"the store: not all was written within 0 s; 1 of the trials"):
                    step()
            runs.release("open", 0)

        runs.hold("open", 0)
        with pytest.raises(StoreError, match="not all was written within 0 s"):
            record(runs, events)
        assert "close" not in runs.of(0)

    def test_after_another_error_comes_when_all_is_written(self, runs: MemoryRuns) -> None:
        def events(writer: SweepRecorder) -> None:
            writer.trial_started(trial(0))
            writer.trial_ended(trial(0), WITH_MODEL)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            record(runs, events)
        assert runs.of(0)[-1] == "close"

    def test_after_a_signal_drops_what_waits_and_uploads_nothing_more(self, runs: MemoryRuns) -> None:
        for number in range(4):
            runs.hold("upload", number)

        def events(writer: SweepRecorder) -> None:
            for number in range(6):
                writer.trial_started(trial(number))
                writer.trial_ended(trial(number), WITH_MODEL)
            for number in range(4):  # as many as there are threads; the others wait
                runs.wait("upload", number)
            until(lambda: ("create model", 5) in runs.written)
            raise SystemExit(130)

        with pytest.raises(SystemExit):
            record(runs, events)
        for number in range(4):
            runs.release("upload", number)
        for thread in threading.enumerate():
            if thread.name == "recorder" or thread.name.startswith("upload-"):
                thread.join(SOON)
        assert sorted(number for step, number in runs.written if step == "upload") == [0, 1, 2, 3]
        assert "close" not in [step for step, _ in runs.written]
