"""The searcher of a sweep. Each engine is imported only where it is used, since KerasTuner imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from mnist_core.errors import SpecError
from mnist_core.runtime import tensorflow_import
from search.engines import CustomEngine, Engine
from search.plugins import load_class
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.base import Searcher
from search.searchers.deduplicating import MIN_DRAWS, DeduplicatingSearcher, draws_to_meet_any
from search.searchers.listed_searcher import ListedSearcher
from search.spec import SweepSpec

METHODS = ("add", "enqueue", "ask", "report", "tell")

MakeSearcher = Callable[[SweepSpec, int], Searcher]
"""Makes a searcher from a sweep and the number of finished trials that will be added."""


def make_searcher(spec: SweepSpec, history: ResumeState = NOTHING_DONE) -> DeduplicatingSearcher:
    """Return the searcher of a sweep, with the history added.

    Args:
        spec: the sweep.
        history: finished trials to add, lost ones to suggest first.

    Raises:
        SpecError: the class of a custom engine cannot be used.
    """
    # An adaptive sampler repeats itself where it has converged, so it is not asked until it draws the last point.
    draws = draws_to_meet_any(spec.space.size) if spec.sampler in ("random", "qmc") else MIN_DRAWS
    searcher = DeduplicatingSearcher(_inner(spec, len(history.finished)), spec.space.size, draws)
    replay(history, searcher, spec)
    return searcher


def replay(history: ResumeState, searcher: Searcher, spec: SweepSpec) -> None:
    """Bring a new searcher to the point where the sweep was left.

    Args:
        history: its finished trials are added, its unfinished ones enqueued.
        searcher: not asked yet.
        spec: the sweep.
    """
    for past in history.finished:
        searcher.add(past.trial.point, past.result.outcome(spec.objectives))
    for trial in history.unfinished:
        searcher.enqueue(trial.point)


def load_searcher(engine: CustomEngine) -> MakeSearcher:
    """Import the class of an engine.

    Raises:
        SpecError: it cannot be imported, or is not a :class:`~search.searchers.base.Searcher`.
    """
    try:
        return cast(MakeSearcher, load_class(engine.value, "Searcher", METHODS))
    except SpecError as error:
        raise SpecError(f"engine: {error}") from error


def _inner(spec: SweepSpec, known: int) -> Searcher:
    if isinstance(spec.engine, CustomEngine):
        return load_searcher(spec.engine)(spec, known)
    if spec.engine is Engine.OPTUNA:
        from search.searchers.optuna_searcher import OptunaSearcher

        return OptunaSearcher(spec, known)
    if spec.engine is Engine.LISTED:
        return ListedSearcher(spec)
    with tensorflow_import():
        from search.searchers.keras_tuner_searcher import KerasTunerSearcher

    return KerasTunerSearcher(spec, known)
