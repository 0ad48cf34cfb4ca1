"""A searcher for KerasTuner's oracles.

An oracle is called directly, from one thread, and is told final results only. It writes no files: a sweep is resumed
from MLflow, not from them.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

import keras_tuner

from search.domains import Choices, Domain, IntRange, Value
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.deduplicating import draws_to_meet_any
from search.space import ARCHITECTURE, Point, Space
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

# An oracle raises after this many failed trials in a row. A sweep goes on.
NO_LIMIT = 2**31


class _GridOracle(keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """A grid that has a next point as soon as the last one was suggested.

    KerasTuner derives a point from a trial that has ended, in case that trial added to the space, so all workers but
    one would wait. Here the space is complete from the start.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response: dict[str, Any] = super().populate_space(trial_id)
        if response["status"] == "RUNNING":
            self._populate_next.append(trial_id)
        return response


class _FiniteGaussianOracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """A Gaussian process over a finite space that draws at random where it would repeat a point.

    KerasTuner's oracle suggests its optimum again and again, at up to seconds a time.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response: dict[str, Any] = super().populate_space(trial_id)
        if response["status"] == "RUNNING" and self._duplicate(response["values"]):
            response = self._random_populate_space()
        return response


class KerasTunerSearcher:
    """Searches a grid, at random, or by a Gaussian process, with a KerasTuner oracle.

    ``grid`` and ``random`` replay a sequence that the seed fixes. They are resumed by being asked again, while
    :class:`~search.searchers.deduplicating.DeduplicatingSearcher` skips what is known. ``bayesian`` learns from
    the history.

    Args:
        spec: a sweep with ``engine = "keras-tuner"``.
        history: how many finished trials will be added. An oracle that goes on from history must not draw
            again what it drew at first.
    """

    def __init__(self, spec: SweepSpec, history: int = 0) -> None:
        self._grid = spec.sampler == "grid"
        self._replays = spec.sampler in ("random", "grid")
        self._objective = spec.objective
        self._space = spec.space
        # KerasTuner takes a seed of 0 for none, and draws one at random.
        seed = 1 + spec.seed if self._replays else 1 + spec.seed + history
        direction = {"maximize": "max", "minimize": "min"}[spec.metric.direction.value]
        oracle = {
            "grid": _GridOracle,
            "random": keras_tuner.oracles.RandomSearchOracle,
            "bayesian": keras_tuner.oracles.BayesianOptimizationOracle
            if math.isinf(spec.space.size)
            else _FiniteGaussianOracle,
        }[spec.sampler]
        self._oracle = oracle(
            objective=keras_tuner.Objective(spec.objective, direction),
            hyperparameters=to_keras_tuner(spec),
            allow_new_entries=False,
            max_trials=None,
            seed=seed,
            max_consecutive_failed_trials=NO_LIMIT,
        )
        # Else it writes all it knows twice for each trial, which takes longer with each, and two files for the trial.
        self._oracle.save = self._oracle._save_trial = _write_nothing
        self._oracle.verbose = 0
        # Private, and 20: it would take a space for used up that has points left.
        self._oracle._max_collisions = draws_to_meet_any(spec.space.size)
        self._ids = count()
        self._queue: deque[Point] = deque()
        self._trials: dict[int, keras_tuner.engine.trial.Trial] = {}

    def add(self, point: Point, outcome: Outcome) -> None:
        """Give the oracle a finished trial, unless it will suggest its point by itself."""
        if not self._replays:
            self.tell(self._create_at(point).id, outcome)

    def enqueue(self, point: Point) -> None:
        """Suggest this point first. A grid suggests every point anyway."""
        if not self._grid:
            self._queue.append(point)

    def ask(self) -> Suggestion | NoSuggestion:
        """Return the next point, WAIT where there is none until a running trial ends, or EXHAUSTED at the end."""
        if self._queue:
            return self._create_at(self._queue.popleft())
        return self._create()

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Return True: these oracles do not prune, and are told final results only."""
        return True

    def tell(self, id: int, outcome: Outcome) -> None:
        """End a trial: with its best epoch's value, or as failed."""
        trial = self._trials.pop(id)
        if outcome.state is TrialState.COMPLETE and outcome.value is not None:
            self._oracle.update_trial(trial.trial_id, {self._objective: outcome.value})
            trial.status = "COMPLETED"
        else:
            trial.status, trial.message = "FAILED", outcome.state.value
        self._oracle.end_trial(trial)

    def _create(self) -> Suggestion | NoSuggestion:
        # A new tuner id for each trial: a known one would get its unfinished trial again.
        id = next(self._ids)
        trial = self._oracle.create_trial(f"trial-{id}")
        if trial.status == "RUNNING":
            self._trials[id] = trial
            values = trial.hyperparameters.values
            return Suggestion(id, self._space.draw(lambda name, domain: _inside(domain, values[name])))
        return NoSuggestion.WAIT if trial.status == "IDLE" else NoSuggestion.EXHAUSTED

    def _create_at(self, point: Point) -> Suggestion:
        # populate_space is where an oracle chooses; for one trial the choice is made for it.
        self._oracle.populate_space = lambda trial_id: {"status": "RUNNING", "values": dict(point)}
        try:
            suggestion = self._create()
        finally:
            del self._oracle.populate_space
        assert isinstance(suggestion, Suggestion)
        return suggestion


def _write_nothing(*trial: object) -> None:
    """Take the place of the methods by which an oracle writes its state and a trial."""


def to_keras_tuner(spec: SweepSpec) -> keras_tuner.HyperParameters:
    """Return KerasTuner's form of the space.

    For a grid every domain is a list of choices: KerasTuner's own steps can miss the upper end of a range.
    """
    result = keras_tuner.HyperParameters()
    for name, domain in spec.space.ordered:
        with _where_it_exists(result, spec.space, name):
            if isinstance(domain, Choices) or spec.sampler == "grid":
                result.Choice(name, list(domain.listed() or ()))
            else:
                _register(result, name, domain)
    return result


def _where_it_exists(result: keras_tuner.HyperParameters, space: Space, name: str) -> AbstractContextManager[None]:
    architectures = space.parameters.conditions.get(name)
    if architectures is None or ARCHITECTURE not in space.domains:
        return nullcontext()
    scope: AbstractContextManager[None] = result.conditional_scope(ARCHITECTURE, list(architectures))
    return scope


def _register(result: keras_tuner.HyperParameters, name: str, domain: Domain) -> None:
    assert not isinstance(domain, Choices)
    sampling = "log" if domain.log else "linear"
    if isinstance(domain, IntRange):
        result.Int(name, domain.low, domain.high, step=None if domain.log else domain.step, sampling=sampling)
    elif domain.step is not None:
        result.Choice(name, list(domain.listed() or ()))
    else:
        result.Float(name, domain.low, domain.high, sampling=sampling)


def _inside(domain: Domain, value: Any) -> Value:
    """A suggested value as a plain Python one within its bounds.

    The Gaussian process suggests NumPy scalars, and KerasTuner 1.4.8 rounds the end of a log range of integers
    to one past it. It keeps true and false as 1 and 0.
    """
    if isinstance(domain, Choices):
        return domain.values[domain.values.index(value)]
    kind = int if isinstance(domain, IntRange) else float
    return min(max(kind(value), domain.low), domain.high)
