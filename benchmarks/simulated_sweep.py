"""A sweep over curves that are known: two workers whose epochs all take equally long, and any searcher."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna

from search.searchers.base import NoSuggestion, Searcher, Suggestion
from search.searchers.optuna_searcher import STATES, STUDY_NAME
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome, Trial, TrialState

WORKERS = 2


@dataclass(frozen=True)
class Curve:
    """One training without a pruner.

    Args:
        values: validation accuracy in [0, 1] at each epoch, to the end of training or of patience.
        failed: True where a loss or a weight became infinite or NaN in the next epoch.
    """

    values: tuple[float, ...]
    failed: bool = False


@dataclass(frozen=True)
class EndedTrial:
    """A trial that ended.

    Args:
        number: counts the trials in the order of their start, from 0.
        point: the searched parameters.
        state: COMPLETE, PRUNED or FAILED.
        epochs: that it was trained.
        best: validation accuracy of its best epoch, in [0, 1]; 0 where there is none.
    """

    number: int
    point: Point
    state: TrialState
    epochs: int
    best: float


@dataclass(frozen=True)
class EndedSweep:
    """A sweep that ended.

    Args:
        trials: in the order of their ends.
        spent: for each of them, the epochs that all trials of the sweep had been trained when it ended.
    """

    trials: tuple[EndedTrial, ...]
    spent: tuple[int, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points in the order in which they were suggested."""
        return tuple(one.point for one in sorted(self.trials, key=lambda one: one.number))

    @property
    def epochs(self) -> int:
        """Epochs of all trials."""
        return sum(one.epochs for one in self.trials)

    @property
    def complete(self) -> int:
        """Number of complete trials; only these may win."""
        return sum(one.state is TrialState.COMPLETE for one in self.trials)

    @property
    def best(self) -> float:
        """The best validation accuracy of a complete trial; 0 where there is none."""
        return max((one.best for one in self.trials if one.state is TrialState.COMPLETE), default=0.0)

    def epochs_until(self, target: float) -> int | None:
        """Epochs spent when the first complete trial of that validation accuracy ended; None where there is none."""
        for one, spent in zip(self.trials, self.spent, strict=True):
            if one.state is TrialState.COMPLETE and one.best >= target:
                return spent
        return None


class Replay:
    """A searcher that suggests given points in their order, with any pruner of Optuna's kind.

    The sampler is left out, so the points do not depend on what is pruned.
    """

    def __init__(self, points: Sequence[Point], pruner: optuna.pruners.BasePruner) -> None:
        self._points = iter(points)
        # The seed has no effect, since no parameter is drawn.
        sampler = optuna.samplers.RandomSampler(seed=0)
        self._study = optuna.create_study(study_name=STUDY_NAME, direction="maximize", sampler=sampler, pruner=pruner)
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self) -> Suggestion | NoSuggestion:
        point = next(self._points, None)
        if point is None:
            return NoSuggestion.EXHAUSTED
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return Suggestion(trial.number, point)

    def report(self, id: int, epoch: int, value: float) -> bool:
        self._trials[id].report(value, step=epoch)
        return not self._trials[id].should_prune()

    def tell(self, id: int, outcome: Outcome) -> None:
        value = outcome.value if outcome.state is TrialState.COMPLETE else None
        self._study.tell(self._trials[id], value, STATES[outcome.state])


@dataclass
class _Running:
    """A trial that a worker trains, and the epochs that it has ended."""

    id: int
    trial: Trial
    curve: Curve
    epochs: int = 0

    def end_epoch(self, report: Callable[[int, int, float], bool]) -> TrialState:
        """End an epoch, and return whether and how the trial ends with it."""
        values = self.curve.values
        if self.epochs == len(values):  # the loss of this epoch is not finite
            return TrialState.FAILED
        self.epochs += 1
        keep_going = report(self.id, self.epochs, values[self.epochs - 1])
        if self.epochs == len(values) and not self.curve.failed:
            return TrialState.COMPLETE  # also where the pruner would end it, as in training
        return TrialState.RUNNING if keep_going else TrialState.PRUNED

    def ended(self, state: TrialState) -> EndedTrial:
        return EndedTrial(self.trial.number, self.trial.point, state, self.epochs, self._best)

    def outcome(self, state: TrialState) -> Outcome:
        values = () if state is TrialState.FAILED else (self._best,)
        return Outcome(state, values, self.curve.values[: self.epochs])

    @property
    def _best(self) -> float:
        return max(self.curve.values[: self.epochs], default=0.0)


def simulate(
    spec: SweepSpec, searcher: Searcher | Replay, curve_of: Callable[[Trial], Curve], trials: int
) -> EndedSweep:
    """Run the first trials of a sweep as its loop would with two workers, which end an epoch by turns.

    Args:
        spec: the sweep.
        searcher: not asked yet.
        curve_of: gives the curve of a trial that is not pruned.
        trials: the number of trials, at most.
    """
    numbers = iter(range(trials))

    def start() -> _Running | None:
        number = next(numbers, None)
        suggestion = NoSuggestion.EXHAUSTED if number is None else searcher.ask()
        if number is None or isinstance(suggestion, NoSuggestion):
            return None
        trial = spec.trial(number, suggestion.point)
        return _Running(suggestion.id, trial, curve_of(trial))

    workers = deque(start() for _ in range(WORKERS))
    ended: list[EndedTrial] = []
    spent: list[int] = []
    epochs = 0
    while any(workers):
        running = workers.popleft()
        if running:
            before = running.epochs
            state = running.end_epoch(searcher.report)
            epochs += running.epochs - before
            if state is not TrialState.RUNNING:
                ended.append(running.ended(state))
                spent.append(epochs)
                searcher.tell(running.id, running.outcome(state))
                running = start()
        workers.append(running)
    return EndedSweep(tuple(ended), tuple(spent))
