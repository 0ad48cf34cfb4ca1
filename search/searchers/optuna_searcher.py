"""A searcher for Optuna's samplers and pruners, by ask and tell on a study in memory."""

from __future__ import annotations

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
from optuna.trial import TrialState as OptunaState

from search.domains import Choices, Domain, IntRange, Value
from search.searchers.base import NoSuggestion, Suggestion
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
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=STUDY_NAME,
                directions=_directions(spec),
                sampler=_sampler(spec, seed),
                pruner=_pruner(spec.pruner, spec.training.epochs),
            )
        self._grid = deque(spec.space.grid()) if spec.sampler == "grid" else None
        self._trials: dict[int, optuna.Trial] = {}
        self._reported: dict[int, int] = {}

    def add(self, point: Point, outcome: Outcome) -> None:
        """Replay a finished trial in the study, unless the sampler will suggest its point by itself.

        ``Study.add_trial`` would be enough for the sampler. Hyperband and successive halving decide by attributes
        that only ``Trial.report`` and ``Trial.should_prune`` set.
        """
        if self._replays:
            return
        self._study.enqueue_trial(dict(point))
        id = self._draw().id
        for epoch, value in enumerate(outcome.curve, start=1):
            self.report(id, epoch, value)
        self.tell(id, outcome)

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


def _pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    if name == "median":
        # Not in the first epoch: Optuna decides from step ``n_warmup_steps`` on, and epochs count from 1.
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    if name == "successive-halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return optuna.pruners.NopPruner()
