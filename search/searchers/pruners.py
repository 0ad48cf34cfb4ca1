"""Pruners that decide as Optuna's do, without reading every trial of the study at each report.

Optuna's pruners collect the values of all trials whenever one reports: at 10,000 trials, 5 ms for the median and more
for Hyperband. Here each value is put in its place in a sorted list once. The marks by which successive halving and
Hyperband judge are kept here too, so trials of earlier calls can be added without being asked and reported again.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

HYPERBAND_FACTOR = 3
# Measured by benchmarks/pruners.py: from epoch 1 or 2, or with a third kept, the best trial is lost more often.
HALVING_FACTOR, HALVING_FIRST_STEP = 2, 3


class LearningPruner(optuna.pruners.BasePruner):
    """A pruner that can be given finished trials."""

    def add(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Take the marks that a finished trial would have left by reporting its intermediate values in their order."""


class MedianPruner(LearningPruner):
    """The decisions of :class:`optuna.pruners.MedianPruner`, from a sorted list of values for each step.

    It reads finished trials from the study by itself.

    Args:
        n_startup_trials: complete trials before the first decision.
        n_warmup_steps: the first step in which trials are pruned.
    """

    def __init__(self, n_startup_trials: int, n_warmup_steps: int) -> None:
        self._n_startup_trials, self._n_warmup_steps = n_startup_trials, n_warmup_steps
        self._seen = 0
        self._open: set[int] = set()
        self._complete = 0
        self._values: dict[int, list[float]] = defaultdict(list)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return True where the best value so far is worse than the median of complete trials at the last step."""
        self._read(study)
        step = trial.last_step
        if self._complete < max(1, self._n_startup_trials) or step is None or step < self._n_warmup_steps:
            return False
        is_maximized = study.direction is StudyDirection.MAXIMIZE
        finite = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        if not finite:
            return True
        median = self._median(step)
        return max(finite) < median if is_maximized else min(finite) > median

    def _read(self, study: optuna.Study) -> None:
        trials = study.get_trials(deepcopy=False)
        self._open.update(range(self._seen, len(trials)))
        self._seen = len(trials)
        for number in [number for number in self._open if trials[number].state.is_finished()]:
            self._open.remove(number)
            if trials[number].state is OptunaState.COMPLETE:
                self._complete += 1
                for step, value in trials[number].intermediate_values.items():
                    if not math.isnan(value):
                        insort(self._values[step], value)

    def _median(self, step: int) -> float:
        """The median, to the last bit that of NumPy over all values; NaN where there is none."""
        values = self._values.get(step, [])
        if not values:
            return math.nan
        middle, width = (len(values) - 1) // 2, 2 if len(values) % 2 == 0 else 3
        nearest = values[max(0, middle - (width == 3)) :][:width] if len(values) > 1 else values
        with np.errstate(invalid="ignore"):
            return float(np.percentile(nearest, 50))


class _Rungs:
    """Marks of successive halving, a sorted list for each rung.

    Args:
        first: the step of the first rung.
        factor: by which the step of each further rung is greater, and one in how many trials is promoted.
    """

    def __init__(self, first: int, factor: int) -> None:
        self._first, self._factor = first, factor
        self._marks: dict[int, list[float]] = defaultdict(list)
        self._reached: dict[int, int] = defaultdict(int)

    def prune(self, number: int, step: int, value: float, direction: StudyDirection) -> bool:
        """Mark the rungs that a trial reaches by a value; return True where one does not promote it."""
        while True:
            rung = self._reached[number]
            if step < self._first * self._factor**rung:
                return False
            if math.isnan(value):
                return True
            marks = self._marks[rung]
            insort(marks, value)
            self._reached[number] += 1
            place = max(len(marks) // self._factor - 1, 0)
            if direction is StudyDirection.MAXIMIZE:
                is_promoted = value >= marks[-(place + 1)]
            else:
                is_promoted = value <= marks[place]
            if not is_promoted:
                return True


class SuccessiveHalvingPruner(LearningPruner):
    """The decisions of :class:`optuna.pruners.SuccessiveHalvingPruner`.

    Args:
        first: the first step in which trials are pruned.
        factor: one in so many is kept in each rung, and the next rung is at so many times the step.
    """

    def __init__(self, first: int, factor: int) -> None:
        self._rungs = _Rungs(first, factor)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return True where the trial is not promoted from the rung that it has reached."""
        step = trial.last_step
        if step is None:
            return False
        return self._rungs.prune(trial.number, step, trial.intermediate_values[step], study.direction)

    def add(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Mark the rungs that the trial reached."""
        for step, value in trial.intermediate_values.items():
            self._rungs.prune(trial.number, step, value, study.direction)


class HyperbandPruner(optuna.pruners.HyperbandPruner, LearningPruner):
    """The decisions of :class:`optuna.pruners.HyperbandPruner` from step 1 on, a third kept in each rung.

    A subclass, because Optuna's samplers learn within the bracket of a trial where they see a ``HyperbandPruner``.

    Args:
        max_resource: the last step of a trial that is not pruned.
    """

    def __init__(self, max_resource: int) -> None:
        super().__init__(min_resource=1, max_resource=max_resource, reduction_factor=HYPERBAND_FACTOR)
        self._rungs: dict[int, _Rungs] = {}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return True where the trial is not promoted from the rung of its bracket that it has reached."""
        rungs, step = self._rungs_of(study, trial), trial.last_step
        if step is None:
            return False
        return rungs.prune(trial.number, step, trial.intermediate_values[step], study.direction)

    def add(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Mark the rungs of its bracket that the trial reached."""
        for step, value in trial.intermediate_values.items():
            self._rungs_of(study, trial).prune(trial.number, step, value, study.direction)

    def _rungs_of(self, study: optuna.Study, trial: FrozenTrial) -> _Rungs:
        if not self._pruners:
            self._try_initialization(study)  # private: sets up the brackets, which happens at the first report
        bracket = self._get_bracket_id(study, trial)
        return self._rungs.setdefault(bracket, _Rungs(HYPERBAND_FACTOR**bracket, HYPERBAND_FACTOR))


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a sweep.

    Args:
        name: ``median``, ``hyperband`` or ``successive-halving``; any other is none.
        epochs: of a trial that is not pruned.
    """
    if name == "median":
        # Not in the first epoch: it decides from step ``n_warmup_steps`` on, and epochs count from 1.
        return MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    if name == "hyperband":
        return HyperbandPruner(epochs)
    if name == "successive-halving":
        # Trials of few epochs would not be pruned at all, or just before their end.
        return SuccessiveHalvingPruner(min(HALVING_FIRST_STEP, max(1, epochs // 2)), HALVING_FACTOR)
    return optuna.pruners.NopPruner()
