"""A searcher for Optuna's samplers and pruners, by ask and tell on a study in memory."""

from __future__ import annotations

import math
import warnings
from collections import deque
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from search.domains import Choices, Domain, IntRange, Value
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.pruners import LearningPruner, make_pruner
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

# Hyperband assigns a trial to its bracket by a hash of the study's name.
STUDY_NAME = "mnist-search"

STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


class OptunaSearcher:
    """Searches with TPE, CMA-ES, random or quasi-random points, or a grid.

    ``random``, ``qmc`` and ``grid`` replay a sequence that the seed fixes. They are resumed by being asked again,
    while :class:`~search.searchers.deduplicating.DeduplicatingSearcher` skips what is known. The others learn from
    the history.

    Args:
        spec: a sweep with ``engine = "optuna"``.
        history: how many finished trials will be added. An adaptive sampler that goes on from history must
            not draw again what it drew at first.
    """

    def __init__(self, spec: SweepSpec, history: int = 0) -> None:
        self._space = spec.space
        self._is_multi_objective = spec.is_multi_objective
        self._replays = spec.sampler in ("random", "qmc", "grid")
        seed = spec.seed if self._replays else spec.seed + history
        # CMA-ES goes on from marks on trials that it was asked for itself.
        self._learns_by_replay = spec.sampler == "cmaes"
        self._distributions = {name: to_distribution(domain) for name, domain in spec.space.domains.items()}
        self._pruner = make_pruner(spec.pruner, spec.training.epochs)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=STUDY_NAME,
                directions=_directions(spec),
                sampler=_sampler(spec, seed),
                pruner=self._pruner,
            )
        self._grid = deque(spec.space.grid()) if spec.sampler == "grid" else None
        self._trials: dict[int, optuna.Trial] = {}
        self._reported: dict[int, int] = {}
        self._added = 0

    def add(self, point: Point, outcome: Outcome) -> None:
        """Add a finished trial to the study and to the pruner, unless the sampler will suggest its point by itself.

        CMA-ES learns only from trials that it is asked for, so they are replayed for it.
        """
        if self._replays:
            return
        trial = None if self._learns_by_replay else self._frozen(point, outcome)
        if trial is None:
            self._replay(point, outcome)
            return
        self._study.add_trial(trial)
        if isinstance(self._pruner, LearningPruner):
            trial.number = self._added
            self._pruner.add(self._study, trial)
        self._added += 1

    def _replay(self, point: Point, outcome: Outcome) -> None:
        self._study.enqueue_trial(dict(point))
        id = self._draw().id
        for epoch, value in enumerate(outcome.curve, start=1):
            self.report(id, epoch, value)
        self.tell(id, outcome)
        self._added += 1

    def _frozen(self, point: Point, outcome: Outcome) -> FrozenTrial | None:
        """The trial as :meth:`report` and :meth:`tell` would leave it; None where its point is not of the space."""
        curve = () if self._is_multi_objective else outcome.curve
        values: list[float] | None = None
        if outcome.state is TrialState.COMPLETE:
            values = list(outcome.values)
        elif outcome.state is TrialState.PRUNED and curve and not math.isnan(curve[-1]):
            values = [curve[-1]]
        try:
            return create_trial(
                state=STATES[outcome.state],
                values=values,
                params=dict(point),
                distributions={name: self._distributions[name] for name in point},
                intermediate_values=dict(enumerate(curve, start=1)),
            )
        except (KeyError, ValueError):
            return None

    def enqueue(self, point: Point) -> None:
        """Suggest this point first. A grid suggests every point anyway."""
        if self._grid is None:
            self._study.enqueue_trial(dict(point))

    def ask(self) -> Suggestion | NoSuggestion:
        """Return the next point, or EXHAUSTED at the end of a grid."""
        if self._grid is not None:
            if not self._grid:
                return NoSuggestion.EXHAUSTED
            self._study.enqueue_trial(dict(self._grid.popleft()))
        return self._draw()

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Report to the pruner, and return False where it stops the trial; with several objectives there is none.

        An attempt after a lost one reports the same epochs again. It is not pruned in them, since the pruner decides
        by the last value reported, which is not this attempt's.
        """
        if self._is_multi_objective or epoch <= self._reported.get(id, 0):
            return True
        trial = self._trials[id]
        trial.report(value, step=epoch)
        self._reported[id] = epoch
        return not trial.should_prune()

    def tell(self, id: int, outcome: Outcome) -> None:
        """Record the end of a trial: its best epoch's value where it completed, its curve where it was pruned."""
        values = outcome.values if outcome.state is TrialState.COMPLETE else None
        self._study.tell(self._trials.pop(id), values, STATES[outcome.state])

    def _draw(self) -> Suggestion:
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return Suggestion(trial.number, self._space.draw(lambda name, domain: _suggest(trial, name, domain)))


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choices):
        return cast(Value, trial.suggest_categorical(name, domain.values))
    # To the last value that the steps reach, as in `to_distribution`.
    if isinstance(domain, IntRange):
        return trial.suggest_int(name, domain.low, domain.last, step=domain.step, log=domain.log)
    return trial.suggest_float(name, domain.low, domain.last, step=domain.step, log=domain.log)


def _directions(spec: SweepSpec) -> list[StudyDirection]:
    return [StudyDirection[objective.direction.name] for objective in spec.objectives]


def to_distribution(domain: Domain) -> BaseDistribution:
    """Return Optuna's distribution of a domain."""
    if isinstance(domain, Choices):
        return CategoricalDistribution(domain.values)
    # Optuna narrows an upper end that the step does not reach, with a warning; this is the same without it.
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.last, log=domain.log, step=domain.step)
    return FloatDistribution(domain.low, domain.last, log=domain.log, step=domain.step)


def startup_trials(trials: int) -> int:
    """Return the number of trials that TPE draws at random before it models: a third of all, from 3 to 10.

    Optuna's default is 10 whatever the number of trials, which leaves a short sweep nothing but random points.

    Args:
        trials: how many points the sweep is to try.
    """
    return min(max(trials // 3, 3), 10)


def _sampler(spec: SweepSpec, seed: int) -> optuna.samplers.BaseSampler:
    if spec.sampler == "tpe":
        startup = startup_trials(spec.trials)
        if len(spec.space.branches) > 1:
            # In groups, the parameters of one architecture are modelled together, from the trials that had it.
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=True)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
    if spec.sampler == "cmaes":
        # Else it would ignore pruned trials, which under Hyperband are most of them.
        pruned = spec.pruner != "none"
        return optuna.samplers.CmaEsSampler(seed=seed, consider_pruned_trials=pruned, warn_independent_sampling=False)
    if spec.sampler == "qmc":
        return optuna.samplers.QMCSampler(
            seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
        )
    return optuna.samplers.RandomSampler(seed=seed)
