"""Workers that only sleep, and a recorder that writes nothing."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Decide, Ended, Finished, WorkerStatus
from search.trial import Trial, TrialResult, TrialState


class Clock(Protocol):
    """Seconds that pass, and a wait for some of them."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class WallClock:
    """The time of the machine."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SimulatedClock:
    """The CPU time of this thread, and the waits between, which take no time here.

    With it an hour of a thousand workers is measured in as many seconds as the loop computes, and other work on the
    machine does not count.
    """

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return time.thread_time() + self._skipped

    def sleep(self, seconds: float) -> None:
        self._skipped += seconds


def epochs_of(trial: Trial, epochs: int) -> tuple[EpochMetrics, ...]:
    """A curve that rises to a height which depends on the number of the trial."""
    height = 0.9 + 0.09 * (trial.number * 7919 % 1000) / 1000
    accuracies = [height * (1 - 0.5**epoch) for epoch in range(1, epochs + 1)]
    return tuple(EpochMetrics(1 - a, a, 1 - a, a, 1 - a) for a in accuracies)


def result_of(trial: Trial, epochs: int) -> TrialResult:
    """The end of a trial, without a model."""
    return TrialResult(TrialState.COMPLETE, epochs_of(trial, epochs), epochs, StopReason.BUDGET)


@dataclass(frozen=True)
class _Running:
    trial: Trial
    curve: tuple[EpochMetrics, ...]
    started: float
    epoch_seconds: float


class SleepingExecutor:
    """Workers that sleep: each reports its epochs at even intervals and then ends its trial.

    Trials last from 0.75 to 1.25 times ``seconds``, so that they do not end together.

    Args:
        workers: number of trials at a time.
        seconds: mean length of a trial; 0 ends it in the next poll.
        epochs: reports of a trial.
        clock: of the sleep.
        result: makes the end of a trial.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        epochs: int,
        clock: Clock,
        result: Callable[[Trial, int], TrialResult] = result_of,
    ) -> None:
        self.capacity = workers
        self._seconds, self._epochs, self._clock, self._result = seconds, epochs, clock, result
        self._events: list[tuple[float, int, _Running, int]] = []
        self._order = itertools.count()
        self._running: set[int] = set()
        self.intervals: list[tuple[float, float]] = []
        """Start and end of each trial that ended, in seconds of the clock."""

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        return [WorkerStatus("here", number) for number in self._running]

    def submit(self, trial: Trial) -> None:
        length = self._seconds * (0.75 + 0.5 * (trial.number * 104729 % 1000) / 1000)
        running = _Running(trial, epochs_of(trial, self._epochs), self._clock.now(), length / self._epochs)
        self._running.add(trial.number)
        self._push(running.started + running.epoch_seconds, running, 1)

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        if self._events and (wait := self._events[0][0] - self._clock.now()) > 0:
            self._clock.sleep(min(wait, timeout))
        return list(self._due(decide))

    def close(self) -> None:
        self._events.clear()

    def busy_share(self) -> float:
        """The share of their time that workers were busy, until the last trial began."""
        starts = [start for start, _ in self.intervals]
        first, last = min(starts), max(starts)
        busy = sum(min(end, last) - start for start, end in self.intervals)
        return busy / (self.capacity * (last - first))

    def _due(self, decide: Decide) -> Iterator[Ended]:
        now = self._clock.now()
        while self._events and self._events[0][0] <= now:
            due, _, running, epoch = heapq.heappop(self._events)
            decide(running.trial, epoch, running.curve[epoch - 1])
            if epoch < self._epochs:
                # A worker goes on at once: it does not wait for the driver after an epoch.
                self._push(due + running.epoch_seconds, running, epoch + 1)
                continue
            self._running.remove(running.trial.number)
            # Busy until its last epoch ended, not until the driver noticed.
            self.intervals.append((running.started, due))
            yield Finished(running.trial, self._result(running.trial, self._epochs))

    def _push(self, due: float, running: _Running, epoch: int) -> None:
        heapq.heappush(self._events, (due, next(self._order), running, epoch))


class NullObserver:
    """An observer that shows nothing; the commands have one, which is told of changes of the workers too."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: None


class NullRecorder:
    """A recorder that writes nothing."""

    def __init__(self) -> None:
        self._ended: list[Finished] = []

    def trial_started(self, trial: Trial) -> None:
        pass

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        pass

    def trial_lost(self, trial: Trial, cause: str) -> None:
        pass

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        self._ended.append(Finished(trial, result))

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        ended, self._ended = self._ended, []
        return ended

    def finish(self, timeout: float) -> Sequence[Finished]:
        return self.recorded()
