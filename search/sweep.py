"""The loop of a sweep: ask → submit → report → tell → record → notify."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from mnist_core.errors import SpecError
from mnist_core.metrics import EpochMetrics
from search.budget import Budget
from search.budget import EndReason as EndReason
from search.engines import CustomEngine
from search.executors.base import Ended, Executor, Finished, InProcessExecutor, LossKind, Lost, WorkerStatus
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import NoSuggestion, Searcher
from search.space import Point, PointKey, key_of
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState

MAX_ATTEMPTS = 3
MAX_LOST_NODES = 20
POLL_SECONDS = 0.2
# With a thousand workers, listing them takes longer than all else that the loop does for a report.
WATCH_SECONDS = 1.0
# After an interruption, for writing what was finished before it.
FINISH_SECONDS = 60.0


class Recorder(Protocol):
    """Records the events of a sweep, in their order.

    It may return before an event is recorded, and raise the error of an earlier one. An exception ends the sweep.
    """

    def trial_started(self, trial: Trial) -> None:
        """An attempt at a trial was submitted."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """A running trial ended an epoch."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """An attempt ended without a result."""

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """A trial has its result; :meth:`recorded` returns it once it is recorded."""

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        """Return the ends of trials that have been recorded since the last call, each with the recorded result.

        It differs from the worker's where the model could not be stored, which makes the trial FAILED.

        Args:
            timeout: seconds to wait for the first.
        """

    def finish(self, timeout: float) -> Sequence[Finished]:
        """Record everything that is not recorded yet; return what :meth:`recorded` would.

        Raises an exception where that takes more than so many seconds.
        """


class Observer(Protocol):
    """Is told of the events of a sweep, after the recorder; of the end of a trial once that is recorded."""

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """The loop begins; ``history`` holds the trials of earlier calls."""

    def trial_started(self, trial: Trial) -> None:
        """An attempt at a trial was submitted."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """A running trial ended an epoch."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """An attempt ended without a result."""

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """A trial has its result, as it is recorded."""

    def workers_changed(self, workers: Sequence[WorkerStatus]) -> None:
        """Workers joined or left: the number of those of some host is another one. An observer may lack this.

        It is called within about a second.
        """


class Sweep:
    """One sweep, from its history to its end.

    The searcher is told a result as soon as the worker has returned it, so that no point depends on the speed of the
    recorder, and no worker waits for it. It is told what was measured, also where the model cannot be stored
    afterwards: the value is that of its point, and a searcher cannot be told the end of a trial twice. The record and
    the observers then have a FAILED trial, which resuming tries again.

    Where a budget ends the sweep, running trials end after the epoch that they are in, as PRUNED with the weights of
    their best one. Those that have not trained an epoch by then have nothing to keep: they are lost, and tried again by
    a resume.

    Args:
        spec: the space, the objectives and the number of trials.
        searcher: chooses points; it has been told the history.
        executor: runs trials; it is closed when the sweep ends, however it ends.
        recorder: records each event. The sweep has not ended before everything is recorded.
        observers: told of each event.
        history: the trials of earlier calls.
    """

    def __init__(
        self,
        spec: SweepSpec,
        searcher: Searcher,
        executor: Executor,
        recorder: Recorder,
        observers: Sequence[Observer] = (),
        history: ResumeState = NOTHING_DONE,
    ) -> None:
        self._spec = spec
        self._searcher = searcher
        self._executor = executor
        self._recorder = recorder
        self._observers = observers
        # Observers of other packages may be older than this name.
        told_of_workers = (getattr(observer, "workers_changed", None) for observer in observers)
        self._workers_changed = [changed for changed in told_of_workers if changed]
        self._history = history
        self._finished = len(history.finished)
        past = [one.trial for one in history.finished] + list(history.unfinished)
        self._next_number = 1 + max((trial.number for trial in past), default=-1)
        self._to_retry: dict[PointKey, Trial] = {key_of(trial.point): trial for trial in history.unfinished}
        self._running: dict[int, tuple[int, Trial]] = {}
        self._with_epochs: set[int] = set()
        self._began = self._seconds = 0.0
        self._lost_attempts: Counter[int] = Counter()
        self._lost_nodes: Counter[int] = Counter()
        self._epochs: list[tuple[Trial, int, EpochMetrics]] = []
        self._unrecorded = 0
        self._no_suggestion = False
        self._hosts: Counter[str] = Counter()
        self._watched = -math.inf

    def run(self, stop: Callable[[], bool] = lambda: False, timeout: float | None = None) -> EndReason:
        """Run the missing trials.

        Args:
            stop: called several times a second; True ends all workers at once.
            timeout: seconds after which no new trial is started; running ones are finished, and not tried again
                where they are lost.
        """
        self._budget = Budget(self._spec.stop, self._spec.metric.direction, self._history.spent, timeout)
        self._began = time.monotonic()
        try:
            for observer in self._observers:
                observer.sweep_started(self._spec, self._history)
            stopping = False
            while not (stopping or stop()):
                self._watch_workers()
                reason = self._reason()
                if reason is None and not self._must_wait_for_records():
                    self._fill()
                if self._must_poll(reason):
                    stopping = self._poll(stop)
                    self._deliver_records(self._recorder.recorded())
                elif self._unrecorded:
                    self._deliver_records(self._recorder.recorded(POLL_SECONDS))
                else:
                    return self._ending(reason)
            self._executor.close()
            for _, trial in self._running.values():
                self._lose(trial, "the sweep was interrupted")
            self._deliver_records(self._recorder.finish(FINISH_SECONDS))
            return EndReason.INTERRUPTED if self._running or self._missing() else EndReason.DONE
        finally:
            self._executor.close()

    def _watch_workers(self) -> None:
        now = time.monotonic()
        if not self._workers_changed or now < self._watched + WATCH_SECONDS:
            return
        self._watched = now
        # Executors of other packages may be older than this name.
        workers: Sequence[WorkerStatus] = getattr(self._executor, "workers", ())
        hosts = Counter(worker.host for worker in workers)
        if hosts != self._hosts:
            self._hosts = hosts
            for changed in self._workers_changed:
                changed(workers)

    def _must_wait_for_records(self) -> bool:
        """True while the next trial would keep this thread from what is recorded of the last one, and from a stop."""
        return self._unrecorded > 0 and isinstance(self._executor, InProcessExecutor)

    @property
    def seconds(self) -> float:
        """Seconds for which trials of this sweep ran, in all its calls."""
        return self._history.spent.seconds + self._seconds

    def _reason(self) -> EndReason | None:
        """Return the budget that ends the sweep, if one does."""
        if self._running or self._missing():  # else it has done its work, whatever time the rest takes
            self._seconds = time.monotonic() - self._began
        return self._budget.reason(self._seconds)

    def _must_poll(self, reason: EndReason | None) -> bool:
        """True where a trial runs that is to be waited for, or would run as soon as the executor had a worker."""
        if not self._running:
            return self._lacks_workers(reason)
        # A trial without an epoch has no weights that a budget could leave it.
        is_over = reason is not None and reason.ends_trials
        return not is_over or self._unrecorded > 0 or not self._with_epochs.isdisjoint(self._running)

    def _lacks_workers(self, reason: EndReason | None) -> bool:
        """True where a trial would run, but the executor has no worker yet, or none any more."""
        return reason is None and not self._no_suggestion and self._missing() > 0 and self._executor.capacity < 1

    def _poll(self, stop: Callable[[], bool]) -> bool:
        """Handle what the workers report; return whether the sweep is to stop."""
        ended = self._executor.poll(self._decide, POLL_SECONDS)
        self._deliver_epochs()
        # A signal that stops the sweep may end its workers too: their trials are interrupted, not lost.
        stopping = stop()
        for end in ended:
            if not (stopping and isinstance(end, Lost)):
                self._settle(end, retry=self._reason() is None)
        return stopping

    def _ending(self, reason: EndReason | None) -> EndReason:
        if reason is not None and reason.ends_trials:
            self._executor.close()
            while self._running:
                _, (_, trial) = self._running.popitem()
                self._lose(trial, f"the sweep was {reason.value} before the trial had trained an epoch")
            return reason
        return (reason or EndReason.EXHAUSTED) if self._missing() else EndReason.DONE

    def _missing(self) -> int:
        return self._spec.target - self._finished - len(self._running)

    def _fill(self) -> None:
        # After NoSuggestion there is no point before a trial has ended, and each call of ask costs the searcher draws.
        while not self._no_suggestion and self._missing() > 0 and len(self._running) < self._executor.capacity:
            suggestion = self._searcher.ask()
            if isinstance(suggestion, NoSuggestion):
                self._no_suggestion = True
                return
            lost = self._to_retry.pop(key_of(suggestion.point), None)
            if lost is None:
                self._check(suggestion.point)
                trial = self._spec.trial(self._next_number, suggestion.point)
                self._next_number += 1
            else:
                trial = replace(lost, attempt=lost.attempt + 1)
            self._start(suggestion.id, trial)

    def _check(self, point: Point) -> None:
        """Refuse a point that a custom searcher made wrongly; it would be trained with defaults, or out of the space.

        Raises:
            SpecError: a parameter is missing, unknown, or has a value that is not of its domain.
        """
        if isinstance(self._spec.engine, CustomEngine):
            try:
                self._spec.space.check(point)
            except SpecError as error:
                raise SpecError(
                    f"engine {self._spec.engine.value}: suggested a point out of the space: {error}"
                ) from error

    def _start(self, suggestion: int, trial: Trial) -> None:
        self._running[trial.number] = (suggestion, trial)
        self._with_epochs.discard(trial.number)
        self._recorder.trial_started(trial)
        self._executor.submit(trial)
        for observer in self._observers:
            observer.trial_started(trial)

    def _decide(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        # A worker may wait for this decision, so the epoch is recorded after the decision was sent.
        self._epochs.append((trial, epoch, metrics))
        self._with_epochs.add(trial.number)
        self._budget.epoch_ended()
        suggestion, _ = self._running[trial.number]
        keep_going = self._searcher.report(suggestion, epoch, metrics.value(self._spec.metric))
        reason = self._reason()
        if reason is not None and reason.ends_trials:
            return False
        # With a budget, workers wait for decisions in sweeps without a pruner too.
        return keep_going or not self._spec.prunes

    def _deliver_epochs(self) -> None:
        epochs, self._epochs = self._epochs, []
        for trial, epoch, metrics in epochs:
            self._recorder.epoch_ended(trial, epoch, metrics)
            for observer in self._observers:
                observer.epoch_ended(trial, epoch, metrics)

    def _settle(self, end: Ended, retry: bool) -> None:
        if not isinstance(end, Lost):
            self._finish(end.trial, end.result)
            return
        number = end.trial.number
        losses = self._lost_nodes if end.kind is LossKind.NODE else self._lost_attempts
        limit = MAX_LOST_NODES if end.kind is LossKind.NODE else MAX_ATTEMPTS
        # Not the trial's attempts, which also count interruptions of the sweep.
        losses[number] += 1
        if losses[number] < limit:
            self._lose(end.trial, end.cause)
            suggestion, _ = self._running.pop(number)
            if retry:
                self._start(suggestion, replace(end.trial, attempt=end.trial.attempt + 1))
        else:
            cause = f"{end.cause}; {limit - 1} earlier attempts were lost as well"
            self._finish(end.trial, TrialResult(TrialState.FAILED, error=cause))

    def _lose(self, trial: Trial, cause: str) -> None:
        self._recorder.trial_lost(trial, cause)
        for observer in self._observers:
            observer.trial_lost(trial, cause)

    def _finish(self, trial: Trial, result: TrialResult) -> None:
        self._recorder.trial_ended(trial, result)
        suggestion, _ = self._running.pop(trial.number)
        self._finished += 1
        self._unrecorded += 1
        self._no_suggestion = False
        outcome = result.outcome(self._spec.objectives)
        self._budget.trial_ended(trial.number, outcome)
        self._searcher.tell(suggestion, outcome)

    def _deliver_records(self, recorded: Sequence[Finished]) -> None:
        self._unrecorded -= len(recorded)
        for end in recorded:
            if end.result.state is TrialState.FAILED:
                self._budget.trial_ended(end.trial.number, end.result.outcome(self._spec.objectives))
            for observer in self._observers:
                observer.trial_ended(end.trial, end.result)
