"""What of a sweep can be checked only where it is to run: the functions that it names, and the images."""

from __future__ import annotations

from mnist_core.errors import ParameterError, SpecError
from mnist_core.hyperparameters import Hyperparameters, check_blocks
from mnist_core.own import OwnModel, check_arguments
from search.spec import SweepSpec, is_models


def check_function(spec: SweepSpec) -> None:
    """See that a function that the sweep names for its model can be called with what is searched and fixed.

    It is imported for that, which neither reading a sweep nor its records should do.

    Raises:
        SpecError: it cannot.
    """
    if not isinstance(spec.model, OwnModel):
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
    searched = [value for name, value in spec.space.corners() if name == "blocks"]
    for blocks in searched or [spec.model.blocks]:
        try:
            check_blocks(int(blocks), shape)
        except ParameterError as error:
            raise SpecError(f"{'space' if searched else 'model'}.{error}") from error
