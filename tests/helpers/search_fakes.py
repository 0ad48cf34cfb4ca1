"""Stand-ins for searcher, executor and record, and the values that tests of this package are made of.

Workers import this module by its name: what they are handed by pickle lives here.
"""

from __future__ import annotations

import errno
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import DataSource, Origin
from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason
from search.domains import Choices
from search.executors.base import Decide, Ended, Finished, Lost
from search.resume import ResumeState
from search.searchers.base import NoSuggestion, Suggestion
from search.space import Point, Space
from search.spec import DataSpec, SweepSpec
from search.trial import Outcome, SavedModel, Trial, TrialResult, TrialState
from search.worker import WorkerContext

DISK_FULL = 13
"""Trials of this number find no space for their model."""


def save_keras(model: Any, folder: Path) -> SavedModel:
    """Write ``model.keras`` into a new folder; half of it, and then no more, for trial number ``DISK_FULL``."""
    folder.mkdir(parents=True)
    file = folder / "model.keras"
    if folder.name.startswith(f"{DISK_FULL}-"):
        file.write_bytes(b"half a model")
        raise OSError(errno.ENOSPC, "No space left on device")
    model.save(file)
    content = file.read_bytes()
    return SavedModel(folder, file.name, hashlib.sha256(content).hexdigest(), len(content), model.count_params())


def context_of(data: Path, staging: Path, digest: str | None = None) -> WorkerContext:
    """Workers that train on an archive, 200 images held out."""
    source = DataSource(Origin.GIVEN, data)
    training: LabelledImages = source.load_training()
    return WorkerContext(source, digest or training.digest, DataSpec(validation=200), save_keras, staging)


def small_trial(number: int, epochs: int = 2, **hyperparameters: Any) -> Trial:
    """A trial of a second: few units, few steps, no early stopping before its end."""
    settings = {"hidden_size": 8, **hyperparameters}
    return Trial(number, settings, Hyperparameters(**settings), TrainingConfig(epochs, batch_size=200), seed=7)


def metrics_of(value: float) -> EpochMetrics:
    """An epoch whose validation accuracy is ``value``."""
    return EpochMetrics(loss=1 - value, accuracy=value, val_loss=1 - value, val_accuracy=value)


def result_of(value: float, state: TrialState = TrialState.COMPLETE, epochs: int = 2) -> TrialResult:
    """The end of a trial whose curve rises to ``value``; a failed one has a curve and no best epoch."""
    history = tuple(metrics_of(value * epoch / epochs) for epoch in range(1, epochs + 1))
    if state is TrialState.FAILED:
        return TrialResult(state, history=history, error="ValueError: it went wrong")
    reason = StopReason.PRUNED if state is TrialState.PRUNED else StopReason.BUDGET
    return TrialResult(state, history=history, best_epoch=epochs, stop_reason=reason)


def outcome_of(value: float, state: TrialState = TrialState.COMPLETE) -> Outcome:
    """What a searcher is told of such an end."""
    return Outcome(state, () if state is TrialState.FAILED else (value,), (value / 2, value))


def history_of(
    spec: SweepSpec, finished: Mapping[int, tuple[Point, TrialResult]], unfinished: Sequence[Trial] = ()
) -> ResumeState:
    """A history by trial number."""
    past = [Finished(spec.trial(number, point), result) for number, (point, result) in finished.items()]
    return ResumeState(past, unfinished)


def sizes(*values: int) -> Space:
    """A space of hidden sizes alone."""
    return Space({"hidden_size": Choices(values)})


class ListSearcher:
    """Suggests given points one after the other, and writes down what it is told.

    Args:
        script: points to suggest; an Idle is answered as it stands. After the last it is EXHAUSTED.
        keep_going: the answer to every report, by point.
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


class FakeExecutor:
    """Plays trials without training them, each within one poll.

    Args:
        results: what becomes of a trial, by number; COMPLETE with two epochs where nothing is said.
        deaths: how many attempts at a trial lose their worker after its first epoch, by number.
        capacity: how many trials can run at a time.
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
        self.most_at_a_time = 0
        self.answers: list[tuple[int, int, bool]] = []
        self.closed = 0

    def submit(self, trial: Trial) -> None:
        assert not self.closed, "a closed executor was handed a trial"
        self.submitted.append(trial)
        self.running.append(trial)
        self.most_at_a_time = max(self.most_at_a_time, len(self.running))

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
            answer = decide(trial, epoch, metrics)
            self.answers.append((trial.number, epoch, answer))
            if not answer:
                return epoch
        return len(history)


class Journal:
    """A recorder or an observer that writes what it is told into a list that several can share.

    Args:
        who: the first word of its entries.
        entries: the list.
        standing: turns the result of a trial into the one that stands in the record; for recorders.
    """

    def __init__(
        self,
        who: str,
        entries: list[tuple[Any, ...]],
        standing: Callable[[Trial, TrialResult], TrialResult] = lambda trial, result: result,
    ) -> None:
        self._who = who
        self._standing = standing
        self.entries = entries

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        self.entries.append((self._who, "sweep", len(history.finished)))

    def trial_started(self, trial: Trial) -> None:
        self.entries.append((self._who, "started", trial.number, trial.attempt))

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        self.entries.append((self._who, "epoch", trial.number, epoch))

    def trial_lost(self, trial: Trial, cause: str) -> None:
        self.entries.append((self._who, "lost", trial.number, cause))

    def trial_ended(self, trial: Trial, result: TrialResult) -> TrialResult:
        result = self._standing(trial, result)
        self.entries.append((self._who, "ended", trial.number, result.state))
        return result
