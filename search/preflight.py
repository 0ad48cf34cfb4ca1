"""Checks of a sweep that is about to run: its sampler, the functions that it names, and the images.

None of them is made by :class:`~search.spec.SweepSpec`, so that records of older sweeps can be read.
"""

from __future__ import annotations

from mnist_core.errors import ParameterError, SpecError
from mnist_core.hyperparameters import Hyperparameters, check_blocks
from mnist_core.models.custom import CustomModel, check_arguments
from search.domains import Choices
from search.spec import SweepSpec, is_models


def unmodelled(spec: SweepSpec) -> list[str]:
    """Parameters that CMA-ES leaves to random draws: lists, and those that not every architecture has.

    Empty for every other sampler.
    """
    if spec.sampler != "cmaes":
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
    """See that a function that the sweep names for its model can be called with what is searched and fixed.

    It is imported for that, which neither reading a sweep nor its records should do.

    Raises:
        SpecError: it cannot.
    """
    if not isinstance(spec.model, CustomModel):
        return
    fixed = {name: type(value) for name, value in spec.model.arguments.items()}
    searched = {name: spec.space.parameters.type_of(name) for name in spec.space.domains if is_models(name)}
    try:
        check_arguments(spec.model.function, {**fixed, **searched})
    except ParameterError as error:
        raise SpecError(f"model: {error}") from error


def check_images(spec: SweepSpec, shape: tuple[int, int]) -> None:
    """See that every network of the space can take images of this size.

    Args:
        spec: of any sweep.
        shape: height and width of an image, in pixels.

    Raises:
        SpecError: one of them cannot.
    """
    if not isinstance(spec.model, Hyperparameters) or "cnn" not in spec.architectures:
        return
    searched = [value for name, value in spec.space.bounds() if name == "blocks"]
    for blocks in searched or [spec.model.blocks]:
        try:
            check_blocks(int(blocks), shape)
        except ParameterError as error:
            raise SpecError(f"{'space' if searched else 'model'}.{error}") from error
