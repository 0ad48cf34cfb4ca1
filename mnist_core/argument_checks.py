"""Checks of the values of arguments. Their errors name the argument, the expected and the received value."""

from __future__ import annotations

import math

from mnist_core.errors import ParameterError, did_you_mean


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Check that a value is an integer from ``low`` to ``high``, both included.

    Raises:
        ParameterError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"{name}: expected an integer from {low} to {high}, received {value!r}")


def check_number(
    name: str, value: object, low: float, high: float, *, low_open: bool = False, high_open: bool = False
) -> float:
    """Check that a value is a number between ``low`` and ``high``; return it as a float.

    An open end does not belong to the range.

    Raises:
        ParameterError: it is not.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    inside = (low < number if low_open else low <= number) and (number < high if high_open else number <= high)
    if not inside or isinstance(value, str):
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ParameterError(f"{name}: expected a number in {left}{low:g}, {high:g}{right}, received {value!r}")
    return number


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Check that a value is one of the known words.

    Raises:
        ParameterError: it is not.
    """
    if value not in known:
        raise ParameterError(f"{name}: unknown value {value!r}{did_you_mean(str(value), known)}")


def check_bool(name: str, value: object) -> None:
    """Check that a value is true or false.

    Raises:
        ParameterError: it is neither.
    """
    if not isinstance(value, bool):
        raise ParameterError(f"{name}: expected true or false, received {value!r}")
