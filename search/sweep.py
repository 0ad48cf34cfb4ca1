"""The loop, and nothing else: ask → submit → report → tell → notify."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Protocol

from mnist_core.metrics import EpochMetrics
from search.executors.base import Ended, Executor, Lost
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import NoSuggestion, Searcher
from search.space import PointKey, key_of
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState

MAX_ATTEMPTS = 3
POLL_SECONDS = 0.2


class EndReason(Enum):
    """How a sweep ended."""

    DONE = "done"
    EXHAUSTED = "exhausted"
    """The searcher has no more points, although more were asked for."""
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"


class Recorder(Protocol):
    """Writes down what happens. What it raises ends the sweep."""

    def trial_started(self, trial: Trial) -> None:
        """An attempt at a trial was submitted."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """A running trial ended an epoch."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """An attempt came to no result."""

    def trial_ended(self, trial: Trial, result: TrialResult) -> TrialResult:
        """A trial has its result; returns the one that stands in the record.

        They differ where a model could not be kept, which makes a trial FAILED.
        """


class Observer(Protocol):
    """Is shown what happens, after it has been recorded."""

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """The loop begins; ``history`` holds what earlier calls have done."""

    def trial_started(self, trial: Trial) -> None:
        """An attempt at a trial was submitted."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """A running trial ended an epoch."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """An attempt came to no result."""

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """A trial has its result."""


class Sweep:
    """One sweep, from its history to its end.

    Args:
        spec: what to search.
        searcher: chooses points; has been taught the history.
        executor: runs trials; is closed when the sweep ends, however it ends.
        recorder: writes down what happens.
        observers: are shown it.
        history: what is already known.
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
        self._history = history
        self._finished = len(history.finished)
        past = [past.trial for past in history.finished] + list(history.unfinished)
        self._next_number = 1 + max((trial.number for trial in past), default=-1)
        self._again: dict[PointKey, Trial] = {key_of(trial.point): trial for trial in history.unfinished}
        self._running: dict[int, tuple[int, Trial]] = {}
        self._lost_attempts: Counter[int] = Counter()
        self._epochs: list[tuple[Trial, int, EpochMetrics]] = []
        self._no_suggestion = False

    def run(self, stop: Callable[[], bool] = lambda: False, timeout: float | None = None) -> EndReason:
        """Run what is missing.

        Args:
            stop: asked several times a second; True ends all workers at once.
            timeout: seconds after which no new trial is started; those that run are finished, or lost for good.
        """
        deadline = time.monotonic() + timeout if timeout is not None else None
        try:
            for observer in self._observers:
                observer.sweep_started(self._spec, self._history)
            while not stop():
                out_of_time = deadline is not None and time.monotonic() >= deadline
                if not out_of_time:
                    self._fill()
                if not self._running:
                    return self._ending(out_of_time)
                ended = self._executor.poll(self._decide, POLL_SECONDS)
                self._deliver_epochs()
                # Who stops a sweep may stop its workers with it: those are interrupted, and not to be replaced.
                stopping = stop()
                for end in ended:
                    if not (stopping and isinstance(end, Lost)):
                        self._settle(end, again=deadline is None or time.monotonic() < deadline)
            self._executor.close()
            for _, trial in self._running.values():
                self._lose(trial, "the sweep was interrupted")
            return EndReason.INTERRUPTED
        finally:
            self._executor.close()

    def _ending(self, out_of_time: bool) -> EndReason:
        if not self._missing():
            return EndReason.DONE
        return EndReason.TIMED_OUT if out_of_time else EndReason.EXHAUSTED

    def _missing(self) -> int:
        return self._spec.target - self._finished - len(self._running)

    def _fill(self) -> None:
        # Without a suggestion, there is none before a running trial has been told; asking costs the searcher draws.
        while not self._no_suggestion and self._missing() > 0 and len(self._running) < self._executor.capacity:
            suggestion = self._searcher.ask()
            if isinstance(suggestion, NoSuggestion):
                self._no_suggestion = True
                return
            lost = self._again.pop(key_of(suggestion.point), None)
            if lost is None:
                trial = self._spec.trial(self._next_number, suggestion.point)
                self._next_number += 1
            else:
                trial = replace(lost, attempt=lost.attempt + 1)
            self._start(suggestion.id, trial)

    def _start(self, suggestion: int, trial: Trial) -> None:
        self._running[trial.number] = (suggestion, trial)
        self._recorder.trial_started(trial)
        self._executor.submit(trial)
        for observer in self._observers:
            observer.trial_started(trial)

    def _decide(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        # A worker may wait for this answer: what is to be written down waits until it has it.
        self._epochs.append((trial, epoch, metrics))
        suggestion, _ = self._running[trial.number]
        return self._searcher.report(suggestion, epoch, metrics.value(self._spec.metric))

    def _deliver_epochs(self) -> None:
        epochs, self._epochs = self._epochs, []
        for trial, epoch, metrics in epochs:
            self._recorder.epoch_ended(trial, epoch, metrics)
            for observer in self._observers:
                observer.epoch_ended(trial, epoch, metrics)

    def _settle(self, end: Ended, again: bool) -> None:
        if not isinstance(end, Lost):
            self._finish(end.trial, end.result)
            return
        # Counted here and not by the trial's attempts: that a sweep was interrupted is no fault of a trial.
        self._lost_attempts[end.trial.number] += 1
        if self._lost_attempts[end.trial.number] < MAX_ATTEMPTS:
            self._lose(end.trial, end.cause)
            suggestion, _ = self._running.pop(end.trial.number)
            if again:
                self._start(suggestion, replace(end.trial, attempt=end.trial.attempt + 1))
        else:
            cause = f"{end.cause}, as in {MAX_ATTEMPTS - 1} attempts before"
            self._finish(end.trial, TrialResult(TrialState.FAILED, error=cause))

    def _lose(self, trial: Trial, cause: str) -> None:
        self._recorder.trial_lost(trial, cause)
        for observer in self._observers:
            observer.trial_lost(trial, cause)

    def _finish(self, trial: Trial, result: TrialResult) -> None:
        result = self._recorder.trial_ended(trial, result)
        suggestion, _ = self._running.pop(trial.number)
        self._finished += 1
        self._no_suggestion = False
        self._searcher.tell(suggestion, result.outcome(self._spec.objectives))
        for observer in self._observers:
            observer.trial_ended(trial, result)
