"""The protocol of an executor, and the one that runs trials in this process."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mnist_core.metrics import EpochMetrics
from search.trial import Trial, TrialResult
from search.worker import WorkerContext, WorkerRuntime, run_trial

Decide = Callable[[Trial, int, EpochMetrics], bool]
"""Receives a 1-based epoch of a trial; returns False to stop it, which has an effect where the context prunes."""


@dataclass(frozen=True)
class Finished:
    """The end of a trial that has its result."""

    trial: Trial
    result: TrialResult


class LossKind(Enum):
    """The ways in which an attempt can be lost."""

    WORKER = "worker"
    """Its worker died under it, which may be the trial's own fault."""

    NODE = "node"
    """The machine was lost, cut off or taken away, which is not."""


@dataclass(frozen=True)
class Lost:
    """The end of an attempt without a result.

    Args:
        trial: the attempt.
        cause: one line.
        kind: a trial that loses its worker again and again is given up; the loss of a node counts little.
    """

    trial: Trial
    cause: str
    kind: LossKind = LossKind.WORKER


Ended = Finished | Lost


@dataclass(frozen=True)
class WorkerStatus:
    """A worker that is ready, for displays.

    Args:
        host: name of the machine on which it runs.
        trial: number of the trial that it is running; None where it is free.
    """

    host: str
    trial: int | None = None


class Executor(Protocol):
    """Runs trials. Called from one thread; knows nothing of searchers or records."""

    @property
    def capacity(self) -> int:
        """Number of trials that can run at a time; 0 while there is no worker, for which the sweep waits."""

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        """The workers that there are at the moment."""

    def submit(self, trial: Trial) -> None:
        """Run a trial as soon as there is a free worker."""

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Pass epochs to ``decide`` and its decisions back, and return the trials that ended.

        Every submitted trial ends once, as Finished or as Lost, after its epochs. Where nothing is pruned, no trial
        waits for a decision, and none is sent.

        Args:
            decide: called for each epoch, in the caller's thread.
            timeout: seconds to wait for the first message; messages that are there are handled in any case.
        """

    def close(self) -> None:
        """End all workers at once. Running trials are neither finished nor lost. Safe to call twice."""


class InProcessExecutor:
    """Runs each trial within ``poll``, in this process: for tests and debugging.

    An exception of ``decide`` ends the trial and is raised by ``poll``: it is no failure of the trial.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._runtime = WorkerRuntime(context)
        self._waiting: deque[Trial] = deque()

    @property
    def capacity(self) -> int:
        """One trial at a time."""
        return 1

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        """This process."""
        return [WorkerStatus(socket.gethostname())]

    def submit(self, trial: Trial) -> None:
        """Put the trial at the end of the queue."""
        self._waiting.append(trial)

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Run the next trial to its end."""
        if not self._waiting:
            return []
        trial = self._waiting.popleft()
        errors: list[Exception] = []

        def report(epoch: int, metrics: EpochMetrics) -> bool:
            try:
                return decide(trial, epoch, metrics) or not self._runtime.context.pruning
            except Exception as error:
                errors.append(error)
                raise

        result = run_trial(trial, self._runtime, report)
        if errors:
            raise errors[0]
        return [Finished(trial, result)]

    def close(self) -> None:
        """Drop the trials that wait."""
        self._waiting.clear()
