"""The protocol of an executor, and the one that runs trials where it stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mnist_core.metrics import EpochMetrics
from search.trial import Trial, TrialResult
from search.worker import WorkerContext, WorkerRuntime, run_trial

Decide = Callable[[Trial, int, EpochMetrics], bool]
"""Told of a trial's 1-based epoch; whether the trial is to go on, which counts where the context says ``pruning``."""


@dataclass(frozen=True)
class Finished:
    """A trial came to its end."""

    trial: Trial
    result: TrialResult


@dataclass(frozen=True)
class Lost:
    """The worker of a trial died; ``cause`` says how, in one line."""

    trial: Trial
    cause: str


Ended = Finished | Lost


class Executor(Protocol):
    """Runs trials somewhere. Called from one thread; knows nothing of searchers or records."""

    @property
    def capacity(self) -> int:
        """How many trials can run at a time."""

    def submit(self, trial: Trial) -> None:
        """Run a trial as soon as there is a free worker."""

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Pass epochs to ``decide`` and its answers back, and return trials that ended.

        Every submitted trial ends once, as Finished or as Lost, after its epochs. Where nothing is pruned no trial
        waits for an answer, and none is sent.

        Args:
            decide: called for each epoch, in the caller's thread.
            timeout: seconds to wait for the first message; what is there is dealt with in any case.
        """

    def close(self) -> None:
        """End all workers at once; what they were running is neither finished nor lost. Safe to call twice."""


class InProcessExecutor:
    """Runs each trial within ``poll``, in this process: for tests and debugging."""

    def __init__(self, context: WorkerContext) -> None:
        self._bench = WorkerRuntime(context)
        self._waiting: deque[Trial] = deque()

    @property
    def capacity(self) -> int:
        """One trial at a time."""
        return 1

    def submit(self, trial: Trial) -> None:
        """Put the trial at the end of the queue."""
        self._waiting.append(trial)

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Run the next trial to its end."""
        if not self._waiting:
            return []
        trial = self._waiting.popleft()

        def report(epoch: int, metrics: EpochMetrics) -> bool:
            return decide(trial, epoch, metrics) or not self._bench.context.pruning

        return [Finished(trial, run_trial(trial, self._bench, report))]

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
