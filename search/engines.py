"""From a sweep to its searcher. Each engine is imported only where it is asked for: KerasTuner brings TensorFlow."""

from __future__ import annotations

from mnist_core.runtime import quietly
from search.listed_searcher import ListedSearcher
from search.searcher import KnownPoints
from search.spec import Engine, SweepSpec
from search.sweep import NO_HISTORY, History


def make_searcher(spec: SweepSpec, history: History = NO_HISTORY) -> KnownPoints:
    """The searcher that a sweep asks for, taught what is already known.

    Args:
        spec: the sweep.
        history: finished trials to learn from, lost ones to suggest first.
    """
    known = len(history.finished)
    if spec.engine is Engine.OPTUNA:
        from search.optuna_searcher import OptunaSearcher

        searcher = KnownPoints(OptunaSearcher(spec, known))
    elif spec.engine is Engine.LISTED:
        searcher = KnownPoints(ListedSearcher(spec))
    else:
        with quietly():
            from search.keras_tuner_searcher import KerasTunerSearcher

        searcher = KnownPoints(KerasTunerSearcher(spec, known))
    history.teach(searcher, spec)
    return searcher
