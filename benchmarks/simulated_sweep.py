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
class SimulatedTrial:
    """A trial that ended.

    Args:
        trial: its point and number.
        state: COMPLETE, PRUNED or FAILED.
        values: validation accuracy at each epoch that it was trained, in [0, 1].
        spent: epochs that all trials of the sweep had been trained when it ended.
    """

    trial: Trial
    state: TrialState
    values: tuple[float, ...]
    spent: int

    @property
    def best(self) -> float:
        """The validation accuracy of its best epoch; 0 where it ended none."""
        return max(self.values, default=0.0)

    @property
    def outcome(self) -> Outcome:
        """The end in the terms of a searcher."""
        return Outcome(self.state, () if self.state is TrialState.FAILED else (self.best,), self.values)


@dataclass(frozen=True)
class SimulatedSweep:
    """The trials of a sweep, in the order of their ends."""

    ended: tuple[SimulatedTrial, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points in the order in which they were suggested."""
        return tuple(one.trial.point for one in sorted(self.ended, key=lambda one: one.trial.number))

    @property
    def epochs(self) -> int:
        """Epochs of all trials."""
        return sum(len(one.values) for one in self.ended)

    @property
    def best(self) -> float:
        """The best validation accuracy of a complete trial; a pruned one cannot win. 0 where there is none."""
        return max((one.best for one in self.ended if one.state is TrialState.COMPLETE), default=0.0)

    def epochs_until(self, target: float) -> int | None:
        """Epochs spent when the first complete trial of that validation accuracy ended; None where there is none."""
        reached = (one.spent for one in self.ended if one.state is TrialState.COMPLETE and one.best >= target)
        return min(reached, default=None)


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

    @property
    def values(self) -> tuple[float, ...]:
        return self.curve.values[: self.epochs]


def simulate(
    spec: SweepSpec, searcher: Searcher | Replay, curve_of: Callable[[Trial], Curve], trials: int
) -> SimulatedSweep:
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
    ended: list[SimulatedTrial] = []
    spent = 0
    while any(workers):
        running = workers.popleft()
        if running:
            before = running.epochs
            state = running.end_epoch(searcher.report)
            spent += running.epochs - before
            if state is not TrialState.RUNNING:
                ended.append(SimulatedTrial(running.trial, state, running.values, spent))
                searcher.tell(running.id, ended[-1].outcome)
                running = start()
        workers.append(running)
    return SimulatedSweep(tuple(ended))
