"""Fakes of a searcher, an executor, a recorder and an observer."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mnist_core.metrics import EpochMetrics, StopReason
from search.domains import Choices
from search.executors.base import Decide, Ended, Finished, InProcessExecutor, Lost, WorkerStatus
from search.resume import ResumeState
from search.searchers.base import NoSuggestion, Suggestion
from search.space import Point, Space
from search.spec import SweepSpec
from search.testing.values import result_of
from search.trial import Outcome, Trial, TrialResult, TrialState
from search.worker import WorkerContext


def sizes(*values: int) -> Space:
    """A space of hidden sizes alone."""
    return Space({"hidden_size": Choices(values)})


class ListSearcher:
    """Suggests given points one after the other, and keeps all calls.

    Args:
        script: points to suggest, or NoSuggestion values to return. After the last it is EXHAUSTED.
        keep_going: the decision on every report, by point and epoch.
    """

    def __init__(
        self, script: Iterable[Point | NoSuggestion], keep_going: Callable[[Point, int], bool] | None = None
    ) -> None:
        self._script = deque(script)
        self._keep_going = keep_going or (lambda point, epoch: True)
        self.points: dict[int, Point] = {}
        self.added: list[tuple[Point, Outcome]] = []
        self.enqueued: list[Point] = []
        self.reports: list[tuple[int, int, float]] = []
        self.told: list[tuple[int, Outcome]] = []

    def add(self, point: Point, outcome: Outcome) -> None:
        self.added.append((point, outcome))

    def enqueue(self, point: Point) -> None:
        self.enqueued.append(point)

    def ask(self) -> Suggestion | NoSuggestion:
        following = self._script.popleft() if self._script else NoSuggestion.EXHAUSTED
        if isinstance(following, NoSuggestion):
            return following
        suggestion = Suggestion(100 + len(self.points), following)
        self.points[suggestion.id] = following
        return suggestion

    def report(self, id: int, epoch: int, value: float) -> bool:
        self.reports.append((id, epoch, value))
        return self._keep_going(self.points[id], epoch)

    def tell(self, id: int, outcome: Outcome) -> None:
        self.told.append((id, outcome))


class OutsideGrid(ListSearcher):
    """A searcher as a package from outside brings it, which tries every point of the space once."""

    def __init__(self, spec: SweepSpec, history: int) -> None:
        super().__init__(spec.space.grid())


class OutsideExecutor(InProcessExecutor):
    """An executor as a package from outside brings it: called with the context and the number of workers."""

    def __init__(self, context: WorkerContext, workers: int) -> None:
        super().__init__(context)


class FakeExecutor:
    """Ends trials without training them, each within one poll.

    Args:
        results: of trials, by number; the others are COMPLETE with two epochs.
        deaths: number of attempts that lose their worker after the first epoch, by trial number.
        capacity: number of trials that can run at a time.
        newest_first: of several that run, the one that was submitted last ends first.
    """

    def __init__(
        self,
        results: Mapping[int, TrialResult] | None = None,
        deaths: Mapping[int, int] | None = None,
        capacity: int = 1,
        newest_first: bool = False,
    ) -> None:
        self._results = dict(results or {})
        self._lost_attempts = Counter(deaths or {})
        self._newest_first = newest_first
        self.capacity = capacity
        self.running: list[Trial] = []
        self.submitted: list[Trial] = []
        self.max_at_a_time = 0
        self.decisions: list[tuple[int, int, bool]] = []
        self.closed = 0

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        return [WorkerStatus("here", trial.number) for trial in self.running]

    def submit(self, trial: Trial) -> None:
        assert not self.closed, "a trial was submitted to a closed executor"
        self.submitted.append(trial)
        self.running.append(trial)
        self.max_at_a_time = max(self.max_at_a_time, len(self.running))

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        trial = self.running.pop(-1 if self._newest_first else 0)
        result = self._results.get(trial.number, result_of(0.5))
        if self._lost_attempts[trial.number]:
            self._lost_attempts[trial.number] -= 1
            self._play(trial, result.history[:1], decide)
            return [Lost(trial, "the worker process was killed by SIGKILL")]
        epochs = self._play(trial, result.history, decide)
        if epochs < len(result.history):
            result = TrialResult(
                TrialState.PRUNED, result.history[:epochs], best_epoch=epochs, stop_reason=StopReason.PRUNED
            )
        return [Finished(trial, result)]

    def close(self) -> None:
        self.closed += 1

    def _play(self, trial: Trial, history: Sequence[EpochMetrics], decide: Decide) -> int:
        for epoch, metrics in enumerate(history, start=1):
            decision = decide(trial, epoch, metrics)
            self.decisions.append((trial.number, epoch, decision))
            if not decision:
                return epoch
        return len(history)


class Journal:
    """A recorder or an observer that appends its calls to a list that several can share.

    Args:
        who: the first word of its entries.
        entries: the list.
        standing: returns the recorded result of a trial; for recorders.
    """

    def __init__(
        self,
        who: str,
        entries: list[tuple[Any, ...]],
        standing: Callable[[Trial, TrialResult], TrialResult] = lambda trial, result: result,
    ) -> None:
        self._who = who
        self._standing = standing
        self._recorded: list[Finished] = []
        self.entries = entries

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        self.entries.append((self._who, "sweep", len(history.finished)))

    def workers_changed(self, workers: Sequence[WorkerStatus]) -> None:
        """Kept out of the entries: tests of the loop's order count trials."""

    def trial_started(self, trial: Trial) -> None:
        self.entries.append((self._who, "started", trial.number, trial.attempt))

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        self.entries.append((self._who, "epoch", trial.number, epoch))

    def trial_lost(self, trial: Trial, cause: str) -> None:
        self.entries.append((self._who, "lost", trial.number, cause))

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        result = self._standing(trial, result)
        self.entries.append((self._who, "ended", trial.number, result.state))
        self._recorded.append(Finished(trial, result))

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        recorded, self._recorded = self._recorded, []
        return recorded

    def finish(self, timeout: float) -> Sequence[Finished]:
        return self.recorded()
