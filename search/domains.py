"""The domain of one parameter: a range of integers, a range of numbers, or a list of values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnist_core.errors import SpecError

Value = int | float | str


@dataclass(frozen=True)
class IntRange:
    """Integers from ``low`` to ``high``, both included, ``step`` apart or uniform in their logarithm.

    Raises:
        SpecError: the bounds are not integers in order, or log does not go with them.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        if not all(_is_int(bound) for bound in (self.low, self.high, self.step)):
            raise SpecError(
                f"expected integers for low, high and step, received {self.low!r}, {self.high!r}, {self.step!r}"
            )
        _check_range(self.low, self.high, self.log, self.step if self.step != 1 else None)

    def __contains__(self, value: object) -> bool:
        return _is_int(value) and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]

    @property
    def count(self) -> int | None:
        """Number of values that can be listed; None for a log range, whose values are not listed."""
        return None if self.log else int(self.size)

    @property
    def size(self) -> float:
        """Number of values, those of a log range included."""
        return (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """The greatest value that the steps reach."""
        return self.high - (self.high - self.low) % self.step

    def listed(self) -> tuple[Value, ...] | None:
        """Return every value where they can be listed, else None."""
        return None if self.log else tuple(range(self.low, self.high + 1, self.step))


@dataclass(frozen=True)
class FloatRange:
    """Numbers from ``low`` to ``high``, both included: continuous, ``step`` apart, or uniform in their logarithm.

    Raises:
        SpecError: the bounds are not finite numbers in order, or log does not go with them.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        for bound in (self.low, self.high, self.step):
            if bound is not None and not (_is_number(bound) and math.isfinite(bound)):
                raise SpecError(f"expected finite numbers for low, high and step, received {bound!r}")
        _check_range(self.low, self.high, self.log, self.step)

    def __contains__(self, value: object) -> bool:
        if not _is_number(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            return False
        return self.step is None or math.isclose(value, self._value(round((value - self.low) / self.step)))  # type: ignore[operator, arg-type]

    @property
    def count(self) -> int | None:
        """Number of values that can be listed; None where there is no step."""
        if self.step is None:
            return None
        steps = (self.high - self.low) / self.step
        return math.floor(steps + 1e-9 * max(1.0, steps)) + 1  # so that 0.0 to 0.3 by 0.1 has its 0.3

    @property
    def size(self) -> float:
        """Number of values; infinity where there is no step."""
        return math.inf if self.count is None else self.count

    @property
    def last(self) -> float:
        """The greatest value that the steps reach."""
        return self.high if self.count is None else self._value(self.count - 1)

    def listed(self) -> tuple[Value, ...] | None:
        """Return every value where a step makes them finite in number, else None."""
        return None if self.count is None else tuple(map(self._value, range(self.count)))

    def _value(self, index: int) -> float:
        # Twelve digits, so that the third step of 0.1 is 0.3 and not 0.30000000000000004; never past the ends.
        value = float(f"{self.low + index * (self.step or 0.0):.12g}")
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """A list of values, all of one type.

    Raises:
        SpecError: the list is empty or names a value twice.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError("expected at least one value, received an empty list")
        if repeated := [value for value in self.values if self.values.count(value) > 1]:
            raise SpecError(f"expected each value once, received {repeated[0]!r} more than once")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.values)

    @property
    def size(self) -> float:
        """Number of values."""
        return self.count

    def listed(self) -> tuple[Value, ...]:
        """Return the values as declared."""
        return self.values


Domain = IntRange | FloatRange | Choices


def _check_range(low: float, high: float, log: object, step: float | None) -> None:
    if low >= high:
        raise SpecError(f"expected low below high, received low = {low!r}, high = {high!r}")
    if not isinstance(log, bool):
        raise SpecError(f"expected true or false for log, received {log!r}")
    if log and low <= 0:
        raise SpecError(f"expected low above 0 for a log scale, received low = {low!r}")
    if log and step is not None:
        raise SpecError(f"expected either log or step, received log = true and step = {step!r}")
    if step is not None and step <= 0:
        raise SpecError(f"expected a step above 0, received step = {step!r}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
