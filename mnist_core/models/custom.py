"""The config of a model that a user's function builds."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mnist_core.errors import ParameterError, did_you_mean
from mnist_core.functions import load_function, signature_parameters
from mnist_core.hyperparameters import TrainingConfig

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = "input_shape"
"""The argument that receives height and width of the images; it is not searched."""


RESERVED = (*TrainingConfig().flat(), "seed", "function")
"""Names of other recorded parameters, which an argument may not have."""


@dataclass(frozen=True)
class CustomModel:
    """A model that a user's function builds.

    Args:
        function: as ``package.module:function``; returns a compiled Keras model from raw pixels
            ``(n, height, width)`` to probabilities ``(n, 10)``.
        arguments: its arguments, by name.
    """

    function: str
    arguments: Mapping[str, int | float | str] = field(default_factory=dict)

    @property
    def structure(self) -> None:
        """None: the function may build another model each time."""
        return None

    def active_values(self) -> dict[str, int | float | str]:
        """The function and its arguments, by name."""
        return {"function": self.function, **self.arguments}

    @property
    def architecture(self) -> None:
        """None: the function decides."""
        return None

    @property
    def inactive(self) -> tuple[str, ...]:
        """No parameter: the function takes all of its arguments."""
        return ()

    def with_values(self, values: Mapping[str, int | float | str]) -> CustomModel:
        """The same function with some arguments replaced or added."""
        return replace(self, arguments={**self.arguments, **values})

    def without_inactive(self, architectures: Collection[str]) -> CustomModel:
        """The same: no argument depends on an architecture."""
        return self

    def check_arguments(self, searched: Mapping[str, type]) -> None:
        """Import the function, and check that it can be called with the fixed arguments and the searched ones.

        Raises:
            ParameterError: it cannot.
        """
        fixed = {name: type(value) for name, value in self.arguments.items()}
        check_arguments(self.function, {**fixed, **searched})

    def check_images(self, input_shape: tuple[int, int]) -> None:
        """Nothing to check before the function has built its model."""

    def load(self) -> None:
        """Import the function.

        Raises:
            ParameterError: it cannot be imported.
        """
        load_function(self.function)

    def build(self, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
        """Call the function, and check the model that it returns.

        Args:
            input_shape: height and width of an image, in pixels.

        Raises:
            ParameterError: the function cannot be imported, or its model cannot be trained here or served.
        """
        from mnist_core.models.supported import check_custom_model

        function = load_function(self.function)
        shape = {INPUT_SHAPE: input_shape} if INPUT_SHAPE in inspect.signature(function).parameters else {}
        try:
            model = function(**self.arguments, **shape)
        except SystemExit as error:  # else it would end the worker, or with it the whole sweep
            raise ParameterError(
                f"function {self.function}: expected a model or an exception, it ended its process (exit code {error})"
            ) from error
        try:
            check_custom_model(model, input_shape)
        except ParameterError as error:
            raise ParameterError(f"function {self.function}: {error}") from error
        return model


def check_arguments(name: str, arguments: Mapping[str, type]) -> None:
    """Check that a user's function can be called with these arguments.

    Args:
        name: of the function.
        arguments: type of the value of each argument, by name.

    Raises:
        ParameterError: the function cannot be imported, does not have one of the arguments, expects another type, or
            requires more arguments.
    """
    parameters = signature_parameters(load_function(name), name)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [key for key, one in parameters.items() if one.kind in kinds and one.default is one.empty]
    if taken := [argument for argument in (*arguments, *needed) if argument in RESERVED]:
        raise ParameterError(
            f"{taken[0]}: function {name} has an argument of that name, which is recorded for another parameter; "
            f"rename the argument (reserved: {', '.join(RESERVED)})"
        )
    if INPUT_SHAPE in arguments:
        raise ParameterError(f"{INPUT_SHAPE}: function {name} receives the size of the images in it; remove it")
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    for argument, kind in arguments.items():
        if argument not in parameters and not takes_any:
            raise ParameterError(
                f"{argument}: function {name} has no such argument{did_you_mean(argument, parameters)}"
            )
        expected = parameters[argument].annotation if argument in parameters else kind
        if expected in (int, float, str, bool) and expected is not kind:
            raise ParameterError(
                f"{argument}: function {name} takes {expected.__name__}, the sweep gives {kind.__name__}"
                + (" (write 1.0 for 1)" if expected is float and kind is int else "")
            )
    if missing := [argument for argument in needed if argument not in {*arguments, INPUT_SHAPE}]:
        raise ParameterError(f"{missing[0]}: function {name} needs it; search it in [space], or set it in [model]")
