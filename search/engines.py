"""The engines of a sweep: the libraries and classes that decide which points to try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mnist_core.errors import SpecError, did_you_mean
from search.plugins import reference_of

SEARCHER_GROUP = "mnist_search.searchers"
"""Entry points of this group name searchers."""


class Engine(Enum):
    """A library that this project knows how to drive."""

    OPTUNA = "optuna"
    KERAS_TUNER = "keras-tuner"
    LISTED = "listed"
    """No library: the sweep lists its points."""


@dataclass(frozen=True)
class CustomEngine:
    """A searcher that somebody else has written.

    Args:
        value: its class, as ``package.module:Class``. It is called with the sweep and with the number of finished
            trials that will be added, and returns a :class:`~search.searchers.base.Searcher`.

    Raises:
        SpecError: the text is of another form. The class is not imported.
    """

    value: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", self.value):
            raise SpecError(f"engine: expected 'package.module:Class', received {self.value!r}")


SAMPLERS: Mapping[Engine, tuple[str, ...]] = {
    Engine.OPTUNA: ("tpe", "cmaes", "random", "qmc", "grid"),
    Engine.KERAS_TUNER: ("grid", "random", "bayesian"),
    Engine.LISTED: ("listed",),
}
PRUNERS: Mapping[Engine, tuple[str, ...]] = {
    Engine.OPTUNA: ("none", "median", "hyperband", "successive-halving"),
    Engine.KERAS_TUNER: ("none",),
    Engine.LISTED: ("none",),
}


def parse_engine(value: object) -> Engine | CustomEngine:
    """Return the engine that a sweep file names.

    Args:
        value: the name of an :class:`Engine`, ``package.module:Class``, or the name of an entry point, which stands
            for the class that it was installed with.

    Raises:
        SpecError: there is none.
    """
    known = [engine.value for engine in Engine]
    if value in known:
        return Engine(value)
    if not isinstance(value, str):
        raise SpecError(f"engine: unknown value {value!r}{did_you_mean(str(value), known)}")
    try:
        return CustomEngine(reference_of(SEARCHER_GROUP, value, known))
    except SpecError as error:
        raise SpecError(f"engine: {str(error).removeprefix('engine: ')}") from error


def check_methods_of(engine: object, sampler: object, pruner: object) -> None:
    """Check an engine, and the names of its sampler and pruner. A custom engine gets them as they are.

    Raises:
        SpecError: it is no engine, or has none of that name.
    """
    if not isinstance(engine, Engine | CustomEngine):
        raise SpecError(f"engine: expected an Engine or a CustomEngine, received {engine!r}")
    for key, word, names in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if isinstance(engine, CustomEngine):
            if not isinstance(word, str):
                raise SpecError(f"{key}: expected a word, received {word!r}")
        elif word not in names[engine]:
            suggestion = did_you_mean(str(word), names[engine])
            raise SpecError(f"{key}: engine {engine.value!r} has no {key} {word!r}{suggestion}")
