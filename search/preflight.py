"""Checks of a sweep that is about to run: its sampler, the functions that it names, and the images.

They are not part of :class:`~search.spec.SweepSpec`, so that the records of older sweeps can be read.
"""

from __future__ import annotations

import math

from mnist_core.errors import ParameterError, SpecError
from search.domains import Choices
from search.engines import CustomEngine, Engine
from search.searchers.factory import load_searcher
from search.space import ARCHITECTURE
from search.spec import SweepSpec, is_model_parameter


def unmodelled(spec: SweepSpec) -> list[str]:
    """Return the parameters that CMA-ES draws at random: lists, and those that not every architecture has.

    Empty for every other sampler.
    """
    if (spec.engine, spec.sampler) != (Engine.OPTUNA, "cmaes"):
        return []
    branches = spec.space.branches
    return [
        name
        for name, domain in spec.space.domains.items()
        if domain.size > 1 and (isinstance(domain, Choices) or any(name not in branch for branch in branches))
    ]


def check_sampler(spec: SweepSpec) -> None:
    """Refuse a sweep whose sampler could model none of its parameters and would draw random points.

    Raises:
        SpecError: the sampler is CMA-ES, and no parameter is a range that every point has.
    """
    names = unmodelled(spec)
    searched = [name for name, domain in spec.space.domains.items() if domain.size > 1]
    if names and names == searched:
        received = "a list" if isinstance(spec.space.domains[names[0]], Choices) else "one that some points lack"
        raise SpecError(
            f"space.{names[0]}: sampler 'cmaes' models ranges that every point has, and would draw all of this space "
            f"at random; expected {{ low = …, high = … }} for one parameter at least, received {received}; "
            "or choose sampler = 'tpe'"
        )


def check_function(spec: SweepSpec) -> None:
    """Check that the model's function takes what is searched and fixed, and that the engine's class is a searcher.

    Both are imported for that, which reading a sweep or its records must not do.

    Raises:
        SpecError: one of them cannot be used, or an argument of the function is NaN. NaN is not equal to itself, so
            the sweep could not be resumed, and a point that has it would be tried again and again.
    """
    for table, values in (("space", spec.space.bounds()), ("model", spec.model.active_values().items())):
        for name, value in values:
            if isinstance(value, float) and math.isnan(value):
                raise SpecError(f"{table}.{name}: expected a number, received {value!r}")
    if isinstance(spec.engine, CustomEngine):
        load_searcher(spec.engine)
    searched = {name: spec.space.parameters.type_of(name) for name in spec.space.domains if is_model_parameter(name)}
    try:
        spec.model.check_arguments(searched)
    except ParameterError as error:
        raise SpecError(f"model: {error}") from error


def check_images(spec: SweepSpec, shape: tuple[int, int]) -> None:
    """Check that every network of the space can take images of this size.

    Args:
        spec: of any sweep.
        shape: height and width of an image, in pixels.

    Raises:
        SpecError: one of them cannot.
    """
    if "cnn" not in spec.architectures:
        return
    searched = [{"blocks": value} for name, value in spec.space.bounds() if name == "blocks"]
    for blocks in searched or [{}]:
        try:
            spec.model.with_values({ARCHITECTURE: "cnn", **blocks}).check_images(shape)
        except ParameterError as error:
            raise SpecError(f"{'space' if searched else 'model'}.{error}") from error
