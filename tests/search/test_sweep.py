"""The loop of a sweep, between fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mnist_core.hyperparameters import TrainingConfig
from mnist_core.metrics import EpochMetrics
from search import sweep
from search.executors.base import Decide, Ended, Finished, InProcessExecutor, WorkerStatus
from search.objectives import VAL_LOSS
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import NoSuggestion
from search.searchers.factory import replay
from search.space import Point
from search.spec import SweepSpec
from search.sweep import MAX_ATTEMPTS, EndReason, Sweep
from search.testing.values import history_of, outcome_of, result_of
from search.trial import Trial, TrialResult, TrialState
from tests.helpers.search_fakes import FakeExecutor, Journal, ListSearcher, sizes

POINTS: tuple[Point, ...] = tuple({"hidden_size": size} for size in (8, 16, 32, 64, 128, 256))
SPACE = sizes(8, 16, 32, 64, 128, 256)
KILLED = "the worker process was killed by SIGKILL"


def spec_of(trials: int) -> SweepSpec:
    return SweepSpec("loop", SPACE, sampler="random", pruner="median", trials=trials, training=TrainingConfig(epochs=2))


class FakedSweep:
    """A sweep between fakes, whose recorder and observer write into one journal."""

    def __init__(
        self,
        trials: int = 1,
        script: Sequence[Point | NoSuggestion] = POINTS,
        executor: FakeExecutor | None = None,
        history: ResumeState = NOTHING_DONE,
        keep_going: Callable[[Point, int], bool] | None = None,
        standing: Callable[[Trial, TrialResult], TrialResult] = lambda trial, result: result,
    ) -> None:
        self.journal: list[tuple[Any, ...]] = []
        self.searcher = ListSearcher(script, keep_going)
        self.executor = executor or FakeExecutor()
        self.recorder = Journal("recorder", self.journal, standing)
        self.sweep = Sweep(
            spec_of(trials), self.searcher, self.executor, self.recorder, [Journal("observer", self.journal)], history
        )

    def recorded(self, what: str) -> list[tuple[Any, ...]]:
        """The rest of the recorder's entries of a kind."""
        return [entry[2:] for entry in self.journal if entry[:2] == ("recorder", what)]


class Hosts:
    """An observer that keeps the hosts of the workers, each time it is told of them."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def workers_changed(self, workers: Sequence[WorkerStatus]) -> None:
        self.seen.append(sorted(worker.host for worker in workers))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: None


class Elastic(FakeExecutor):
    """An executor that a second host joins with its first poll."""

    hosts: Sequence[str] = ("node-a",)

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        return [WorkerStatus(host) for host in self.hosts]

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        self.hosts = ("node-a", "node-b")
        return super().poll(decide, timeout)


class Late(FakeExecutor):
    """An executor whose only worker joins with the third poll, and is away again after each trial."""

    def __init__(self) -> None:
        super().__init__(capacity=0)
        self.polls = 0

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        self.polls += 1
        self.capacity = int(not self.running and self.polls >= 3)
        return super().poll(decide, timeout) if self.running else []


class Workerless:
    """An executor of a package from outside that does not say which workers it has."""

    def __init__(self) -> None:
        self._executor = FakeExecutor()
        self.capacity, self.submit = 1, self._executor.submit
        self.poll, self.close = self._executor.poll, self._executor.close


class TestWorkers:
    def test_are_told_once_for_each_change_of_their_hosts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep, "WATCH_SECONDS", 0.0)
        faked, hosts = FakedSweep(trials=3), Hosts()
        Sweep(spec_of(3), faked.searcher, Elastic(), faked.recorder, [hosts]).run()
        assert hosts.seen == [["node-a"], ["node-a", "node-b"]]

    def test_are_not_listed_for_each_report(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep, "WATCH_SECONDS", 3600.0)
        faked, hosts = FakedSweep(trials=3), Hosts()
        Sweep(spec_of(3), faked.searcher, Elastic(), faked.recorder, [hosts]).run()
        assert hosts.seen == [["node-a"]]

    def test_may_be_unknown_to_an_executor_from_outside(self) -> None:
        faked, hosts = FakedSweep(trials=3), Hosts()
        executor: Any = Workerless()
        assert Sweep(spec_of(3), faked.searcher, executor, faked.recorder, [hosts]).run() is EndReason.DONE
        assert hosts.seen == []

    def test_are_not_listed_where_no_observer_is_told_of_them(self) -> None:
        class Unlisted(FakeExecutor):
            @property
            def workers(self) -> Sequence[WorkerStatus]:
                raise AssertionError("listed for no one")

        class Unaware:
            """An observer from outside that does not know of workers."""

            def __getattr__(self, name: str) -> Callable[..., None]:
                if name == "workers_changed":
                    raise AttributeError(name)
                return lambda *values: None

        faked = FakedSweep(trials=2)
        observer: Any = Unaware()
        assert Sweep(spec_of(2), faked.searcher, Unlisted(), faked.recorder, [observer]).run() is EndReason.DONE


class TestNotifications:
    def test_come_in_the_order_of_events_and_to_the_recorder_first(self) -> None:
        faked = FakedSweep(trials=1)
        assert faked.sweep.run() is EndReason.DONE
        assert faked.journal == [
            ("observer", "sweep", 0),
            ("recorder", "started", 0, 1),
            ("observer", "started", 0, 1),
            ("recorder", "epoch", 0, 1),
            ("observer", "epoch", 0, 1),
            ("recorder", "epoch", 0, 2),
            ("observer", "epoch", 0, 2),
            ("recorder", "ended", 0, TrialState.COMPLETE),
            ("observer", "ended", 0, TrialState.COMPLETE),
        ]

    def test_of_a_lost_trial_come_before_it_starts_again(self) -> None:
        faked = FakedSweep(trials=1, executor=FakeExecutor(deaths={0: 1}))
        assert faked.sweep.run() is EndReason.DONE
        assert [entry[1:] for entry in faked.journal if entry[0] == "recorder"] == [
            ("started", 0, 1),
            ("epoch", 0, 1),
            ("lost", 0, KILLED),
            ("started", 0, 2),
            ("epoch", 0, 1),
            ("epoch", 0, 2),
            ("ended", 0, TrialState.COMPLETE),
        ]
        assert [entry[1:] for entry in faked.journal if entry[0] == "observer"][1:] == [
            entry[1:] for entry in faked.journal if entry[0] == "recorder"
        ]

    def test_of_a_start_come_before_the_trial_is_submitted(self) -> None:
        faked = FakedSweep(trials=1)
        submitted_before: list[int] = []
        faked.recorder.trial_started = lambda trial: submitted_before.append(len(faked.executor.submitted))  # type: ignore[method-assign]
        faked.sweep.run()
        assert submitted_before == [0]


class TestSearcher:
    def test_is_told_the_value_of_the_best_epoch_under_the_id_of_its_suggestion(self) -> None:
        executor = FakeExecutor({0: result_of(0.8), 1: result_of(0.6)}, capacity=2, newest_first=True)
        faked = FakedSweep(trials=2, executor=executor)
        faked.sweep.run()
        assert faked.searcher.told == [(101, outcome_of(0.6)), (100, outcome_of(0.8))]

    def test_is_told_the_objective_of_the_sweep(self) -> None:
        searcher = ListSearcher(POINTS)
        spec = replace(spec_of(1), objectives=(VAL_LOSS,))
        Sweep(spec, searcher, FakeExecutor({0: result_of(0.75)}), Journal("recorder", [])).run()
        assert searcher.reports == [(100, 1, 0.625), (100, 2, 0.25)]
        assert [outcome.value for _, outcome in searcher.told] == [0.25]

    def test_decides_on_each_report_and_the_decision_is_passed_back(self) -> None:
        def keep_going(point: Point, epoch: int) -> bool:
            return point != POINTS[1] or epoch < 1

        faked = FakedSweep(trials=2, keep_going=keep_going)
        faked.sweep.run()
        assert faked.executor.decisions == [(0, 1, True), (0, 2, True), (1, 1, False)]
        assert faked.recorded("ended") == [(0, TrialState.COMPLETE), (1, TrialState.PRUNED)]
        assert [outcome.state for _, outcome in faked.searcher.told] == [TrialState.COMPLETE, TrialState.PRUNED]

    def test_is_told_what_was_measured_and_the_observers_what_is_recorded(self) -> None:
        def lost_upload(trial: Trial, result: TrialResult) -> TrialResult:
            return replace(result, state=TrialState.FAILED, best_epoch=None, error="the model could not be kept")

        faked = FakedSweep(trials=1, standing=lost_upload)
        faked.sweep.run()
        assert [(outcome.state, outcome.value) for _, outcome in faked.searcher.told] == [(TrialState.COMPLETE, 0.5)]
        assert ("observer", "ended", 0, TrialState.FAILED) in faked.journal

    def test_is_asked_again_when_a_running_trial_has_ended(self) -> None:
        faked = FakedSweep(
            trials=3, script=[POINTS[0], NoSuggestion.WAIT, POINTS[1], POINTS[2]], executor=FakeExecutor(capacity=2)
        )
        assert faked.sweep.run() is EndReason.DONE
        assert [trial.point for trial in faked.executor.submitted] == list(POINTS[:3])

    def test_that_returned_wait_is_not_asked_before_a_trial_has_ended(self) -> None:
        class Slow(FakeExecutor):
            """Ends a trial at every third poll only."""

            polls = 0

            def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
                self.polls += 1
                return () if self.polls % 3 else super().poll(decide, timeout)

        faked = FakedSweep(trials=2, script=[POINTS[0], NoSuggestion.WAIT, POINTS[1]], executor=Slow(capacity=2))
        assert faked.sweep.run() is EndReason.DONE
        assert faked.executor.max_at_a_time == 1
        assert [entry[1] for entry in faked.journal if entry[0] == "recorder" and entry[1] in ("started", "ended")] == [
            "started",
            "ended",
        ] * 2

    def test_may_end_the_sweep_before_its_target(self) -> None:
        faked = FakedSweep(trials=6, script=POINTS[:2])
        assert faked.sweep.run() is EndReason.EXHAUSTED
        assert len(faked.recorded("ended")) == 2

    def test_is_told_failed_trials_and_they_count(self) -> None:
        faked = FakedSweep(trials=2, executor=FakeExecutor({0: result_of(0.5, TrialState.FAILED)}))
        faked.sweep.run()
        assert faked.recorded("ended") == [(0, TrialState.FAILED), (1, TrialState.COMPLETE)]
        assert [outcome.state for _, outcome in faked.searcher.told] == [TrialState.FAILED, TrialState.COMPLETE]


class TestTarget:
    @pytest.mark.parametrize("capacity", [1, 2, 4])
    def test_is_reached_exactly_with_no_more_at_a_time_than_fit(self, capacity: int) -> None:
        faked = FakedSweep(trials=5, executor=FakeExecutor(capacity=capacity))
        assert faked.sweep.run() is EndReason.DONE
        assert [trial.number for trial in faked.executor.submitted] == [0, 1, 2, 3, 4]
        assert faked.executor.max_at_a_time == capacity
        assert len(faked.recorded("ended")) == 5

    def test_counts_what_was_finished_before(self) -> None:
        past = {number: (POINTS[number], result_of(0.5)) for number in range(2)}
        faked = FakedSweep(trials=3, script=POINTS[2:], history=history_of(spec_of(3), past))
        assert faked.sweep.run() is EndReason.DONE
        assert [trial.number for trial in faked.executor.submitted] == [2]
        assert faked.journal[0] == ("observer", "sweep", 2)

    def test_that_was_reached_before_starts_nothing(self) -> None:
        past = {number: (POINTS[number], result_of(0.5)) for number in range(2)}
        faked = FakedSweep(trials=2, script=POINTS[2:], history=history_of(spec_of(2), past))
        assert faked.sweep.run() is EndReason.DONE
        assert faked.executor.submitted == []
        assert faked.executor.closed


class TestLostTrials:
    @pytest.mark.parametrize("deaths", [1, 2])
    def test_are_tried_again_under_their_number(self, deaths: int) -> None:
        faked = FakedSweep(trials=2, executor=FakeExecutor({0: result_of(0.9)}, deaths={0: deaths}))
        assert faked.sweep.run() is EndReason.DONE
        attempts = [trial.attempt for trial in faked.executor.submitted if trial.number == 0]
        assert attempts == list(range(1, deaths + 2))
        assert len({trial.point["hidden_size"] for trial in faked.executor.submitted if trial.number == 0}) == 1
        assert faked.recorded("lost") == [(0, KILLED)] * deaths
        assert sorted(faked.searcher.told) == [(100, outcome_of(0.9)), (101, outcome_of(0.5))]

    def test_fail_with_the_cause_after_the_last_attempt(self) -> None:
        results: list[TrialResult] = []

        def keep(trial: Trial, result: TrialResult) -> TrialResult:
            results.append(result)
            return result

        faked = FakedSweep(trials=1, executor=FakeExecutor(deaths={0: 99}), standing=keep)
        assert faked.sweep.run() is EndReason.DONE
        assert len(faked.executor.submitted) == MAX_ATTEMPTS == 3
        assert faked.recorded("lost") == [(0, KILLED)] * 2
        (result,) = results
        assert result.state is TrialState.FAILED
        assert result.error is not None
        assert KILLED in result.error
        assert [(id, outcome.state) for id, outcome in faked.searcher.told] == [(100, TrialState.FAILED)]

    def test_leave_room_for_others_meanwhile(self) -> None:
        faked = FakedSweep(trials=4, executor=FakeExecutor(deaths={0: 2}, capacity=2))
        assert faked.sweep.run() is EndReason.DONE
        assert faked.executor.max_at_a_time == 2
        assert sorted(number for number, _ in faked.recorded("ended")) == [0, 1, 2, 3]


class TestResuming:
    def test_numbers_go_on_after_the_highest(self) -> None:
        spec = spec_of(4)
        history = history_of(spec, {0: (POINTS[0], result_of(0.5)), 7: (POINTS[1], result_of(0.5))})
        faked = FakedSweep(trials=4, script=POINTS[2:], history=history)
        faked.sweep.run()
        assert [trial.number for trial in faked.executor.submitted] == [8, 9]

    def test_unfinished_trials_keep_their_numbers_as_the_next_attempt(self) -> None:
        spec = spec_of(4)
        lost = [spec.trial(1, POINTS[1]), spec.trial(2, POINTS[2], attempt=2)]
        history = history_of(spec, {0: (POINTS[0], result_of(0.5))}, lost)
        faked = FakedSweep(trials=4, script=[POINTS[2], POINTS[3], POINTS[1]], history=history)
        faked.sweep.run()
        assert [(trial.number, trial.attempt, trial.point) for trial in faked.executor.submitted] == [
            (2, 3, POINTS[2]),
            (3, 1, POINTS[3]),
            (1, 2, POINTS[1]),
        ]

    def test_adds_finished_trials_and_enqueues_lost_ones(self) -> None:
        spec = spec_of(4)
        history = history_of(spec, {0: (POINTS[0], result_of(0.5))}, [spec.trial(1, POINTS[1])])
        searcher = ListSearcher([])
        replay(history, searcher, spec)
        assert searcher.added == [(POINTS[0], outcome_of(0.5))]
        assert searcher.enqueued == [POINTS[1]]


class Countdown:
    """A stop that returns True after so many calls."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> bool:
        self.times -= 1
        return self.times < 0


class Once:
    """A stop that returns True in one call alone, counted from 1: each turn of the loop has two."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


class SlowJournal(Journal):
    """A recorder that has recorded nothing before so many calls of ``recorded``, or ``finish``."""

    def __init__(self, who: str, entries: list[tuple[Any, ...]], calls: int) -> None:
        super().__init__(who, entries)
        self.calls = calls
        self.timeouts: list[float] = []

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        self.timeouts.append(timeout)
        self.calls -= 1
        return super().recorded() if self.calls < 0 else ()

    def finish(self, timeout: float) -> Sequence[Finished]:
        return super().recorded()


class TestStopping:
    def test_at_once_starts_nothing(self) -> None:
        faked = FakedSweep(trials=3)
        assert faked.sweep.run(stop=lambda: True) is EndReason.INTERRUPTED
        assert faked.executor.submitted == []
        assert faked.executor.closed

    def test_loses_the_trials_that_run(self) -> None:
        faked = FakedSweep(trials=6, executor=FakeExecutor(capacity=3))
        assert faked.sweep.run(stop=Countdown(1)) is EndReason.INTERRUPTED
        assert faked.recorded("ended") == [(0, TrialState.COMPLETE)]
        assert faked.recorded("lost") == [(1, "the sweep was interrupted"), (2, "the sweep was interrupted")]
        assert [entry[2] for entry in faked.journal if entry[:2] == ("observer", "lost")] == [1, 2]

    def test_ends_the_workers_before_it_writes_that_they_are_lost(self) -> None:
        faked = FakedSweep(trials=2, executor=FakeExecutor(capacity=2))
        closed: list[int] = []
        faked.recorder.trial_lost = lambda trial, cause: closed.append(faked.executor.closed)  # type: ignore[method-assign]
        faked.sweep.run(stop=Countdown(1))
        assert closed == [1]

    def test_asked_for_once_is_not_forgotten(self) -> None:
        faked = FakedSweep(trials=6, executor=FakeExecutor(capacity=2))
        assert faked.sweep.run(stop=Once(at=2)) is EndReason.INTERRUPTED
        assert faked.recorded("started") == [(0, 1), (1, 1)]
        assert faked.recorded("lost") == [(1, "the sweep was interrupted")]

    def test_counts_a_worker_that_ended_with_it_as_interrupted(self) -> None:
        faked = FakedSweep(trials=2, executor=FakeExecutor(deaths={0: 1}))
        assert faked.sweep.run(stop=Once(at=2)) is EndReason.INTERRUPTED
        assert faked.recorded("started") == [(0, 1)]
        assert faked.recorded("lost") == [(0, "the sweep was interrupted")]

    def test_that_comes_with_the_end_of_the_last_trial_interrupts_nothing(self) -> None:
        faked = FakedSweep(trials=1)
        assert faked.sweep.run(stop=Once(at=2)) is EndReason.DONE
        assert faked.recorded("ended") == [(0, TrialState.COMPLETE)]

    def test_interrupts_the_last_trials_while_one_of_them_runs(self) -> None:
        faked = FakedSweep(trials=2, executor=FakeExecutor(capacity=2))
        assert faked.sweep.run(stop=Once(at=2)) is EndReason.INTERRUPTED
        assert faked.recorded("lost") == [(1, "the sweep was interrupted")]

    def test_waits_for_the_records_of_what_ended_before_it(self) -> None:
        faked = FakedSweep(trials=6, executor=FakeExecutor(capacity=2))
        recorder = SlowJournal("recorder", faked.journal, calls=99)
        observer = Journal("observer", faked.journal)
        sweep = Sweep(spec_of(6), faked.searcher, faked.executor, recorder, [observer])
        assert sweep.run(stop=Once(at=4)) is EndReason.INTERRUPTED
        assert [entry[2] for entry in faked.journal if entry[:2] == ("observer", "ended")] == [0, 1]


class TestRecords:
    @pytest.mark.parametrize("trials", [1, 3])
    def test_of_all_trials_are_written_before_the_sweep_is_done(self, trials: int) -> None:
        faked = FakedSweep()
        recorder = SlowJournal("recorder", faked.journal, calls=20)
        observer = Journal("observer", faked.journal)
        sweep = Sweep(spec_of(trials), faked.searcher, FakeExecutor(capacity=2), recorder, [observer])
        assert sweep.run() is EndReason.DONE
        ended = [entry[2] for entry in faked.journal if entry[:2] == ("observer", "ended")]
        assert sorted(ended) == list(range(trials))
        assert recorder.timeouts[-1] > 0

    def test_that_are_late_keep_no_worker_waiting(self) -> None:
        faked = FakedSweep(trials=4)
        recorder = SlowJournal("recorder", faked.journal, calls=20)
        Sweep(spec_of(4), faked.searcher, faked.executor, recorder).run()
        assert len(faked.executor.submitted) == 4
        assert [timeout for timeout in recorder.timeouts[:4] if timeout] == []

    def test_come_before_the_next_trial_where_that_runs_in_this_thread(self) -> None:
        class Inline(InProcessExecutor):
            def __init__(self) -> None:
                inner = FakeExecutor()
                self.submit, self.poll = inner.submit, inner.poll  # type: ignore[method-assign]

            def close(self) -> None:
                """Nothing runs."""

        faked = FakedSweep()
        recorder = SlowJournal("recorder", faked.journal, calls=3)
        observer = Journal("observer", faked.journal)
        Sweep(spec_of(2), faked.searcher, Inline(), recorder, [observer]).run()
        told = [entry[1:3] for entry in faked.journal if entry[0] == "observer"]
        assert told.index(("ended", 0)) < told.index(("started", 1))


class TestTimeout:
    def test_of_nothing_starts_nothing(self) -> None:
        faked = FakedSweep(trials=3)
        assert faked.sweep.run(timeout=0.0) is EndReason.TIMED_OUT
        assert faked.executor.submitted == []
        assert faked.executor.closed

    def test_starts_no_more_trials_and_finishes_those_that_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("search.sweep.time.monotonic", lambda: now)

        def four_seconds(trial: Trial, result: TrialResult) -> TrialResult:
            nonlocal now
            now += 4
            return result

        faked = FakedSweep(trials=6, executor=FakeExecutor(capacity=2), standing=four_seconds)
        assert faked.sweep.run(timeout=5.0) is EndReason.TIMED_OUT
        # 0 and 1 start at once, 2 after four seconds, when 0 ends; after eight it is too late for 3.
        assert faked.recorded("ended") == [(number, TrialState.COMPLETE) for number in range(3)]
        assert faked.recorded("lost") == []

    def test_does_not_try_a_lost_trial_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("search.sweep.time.monotonic", lambda: now)

        class Hanging(FakeExecutor):
            def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
                nonlocal now
                now += 60
                return super().poll(decide, timeout)

        faked = FakedSweep(trials=2, executor=Hanging(deaths={0: 99}))
        assert faked.sweep.run(timeout=90.0) is EndReason.TIMED_OUT
        assert faked.recorded("started") == [(0, 1), (0, 2)]
        assert faked.recorded("lost") == [(0, KILLED), (0, KILLED)]
        assert faked.recorded("ended") == []

    def test_that_comes_with_the_last_trial_is_no_loss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("search.sweep.time.monotonic", lambda: now)

        def an_hour(trial: Trial, result: TrialResult) -> TrialResult:
            nonlocal now
            now += 3600
            return result

        faked = FakedSweep(trials=1, standing=an_hour)
        assert faked.sweep.run(timeout=5.0) is EndReason.DONE

    def test_that_is_long_changes_nothing(self) -> None:
        assert FakedSweep(trials=3).sweep.run(timeout=3600.0) is EndReason.DONE


class BrokenStoreError(Exception):
    """An exception that only these tests raise."""


def _raise(*args: object) -> Any:
    raise BrokenStoreError


class TestTheExecutor:
    def test_is_closed_at_the_end(self) -> None:
        faked = FakedSweep(trials=2)
        faked.sweep.run()
        assert faked.executor.closed

    @pytest.mark.parametrize("method", ["trial_started", "epoch_ended", "trial_lost", "trial_ended"])
    def test_is_closed_also_where_the_recorder_raises(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        faked = FakedSweep(trials=3, executor=FakeExecutor(deaths={0: 1}, capacity=2))
        monkeypatch.setattr(faked.recorder, method, _raise)
        with pytest.raises(BrokenStoreError):
            faked.sweep.run()
        assert faked.executor.closed

    @pytest.mark.parametrize("method", ["ask", "report", "tell"])
    def test_is_closed_also_where_the_searcher_raises(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        faked = FakedSweep(trials=3)
        monkeypatch.setattr(faked.searcher, method, _raise)
        with pytest.raises(BrokenStoreError):
            faked.sweep.run()
        assert faked.executor.closed

    def test_is_waited_for_while_it_has_no_worker(self) -> None:
        faked = FakedSweep(trials=2, executor=Late())
        assert faked.sweep.run() is EndReason.DONE
        assert [trial.number for trial in faked.executor.submitted] == [0, 1]

    def test_without_a_worker_is_waited_for_until_the_sweep_is_stopped_or_its_time_is_over(self) -> None:
        assert FakedSweep(executor=Late()).sweep.run(stop=Countdown(2)) is EndReason.INTERRUPTED
        assert FakedSweep(executor=Late()).sweep.run(timeout=0.0) is EndReason.TIMED_OUT

    def test_gets_its_decision_before_the_epoch_is_recorded(self) -> None:
        faked = FakedSweep(trials=1)
        decisions: list[int] = []

        def epoch_ended(trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
            decisions.append(len(faked.executor.decisions))

        faked.recorder.epoch_ended = epoch_ended  # type: ignore[method-assign]
        faked.sweep.run()
        assert decisions == [2, 2]


def test_an_observer_that_fails_at_the_start_leaves_no_worker_behind() -> None:
    class Broken(Journal):
        def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
            raise OSError("no terminal")

    faked = FakedSweep()
    sweep = Sweep(spec_of(1), faked.searcher, faked.executor, faked.recorder, [Broken("observer", [])])
    with pytest.raises(OSError, match="no terminal"):
        sweep.run()
    assert faked.executor.closed


class TestAttempts:
    def test_of_a_sweep_that_was_interrupted_often_are_not_held_against_a_trial(self) -> None:
        before = replace(spec_of(1).trial(0, POINTS[0]), attempt=5)
        faked = FakedSweep(trials=1, executor=FakeExecutor(deaths={0: 1}), history=ResumeState(unfinished=[before]))
        assert faked.sweep.run() is EndReason.DONE
        assert faked.recorded("started") == [(0, 6), (0, 7)]
        assert faked.recorded("ended") == [(0, TrialState.COMPLETE)]
