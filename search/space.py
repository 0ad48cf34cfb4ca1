"""The one declared search space, from which both engines draw."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mnist_core.errors import SpecError, did_you_mean
from mnist_core.hyperparameters import PARAMETER_TYPES

Value = int | float | str
Point = Mapping[str, Value]
"""One value for each searched parameter, by name."""

SEARCHABLE: Mapping[str, type] = {**PARAMETER_TYPES, "batch_size": int}
"""Type of every parameter that a sweep may search: the model factory's arguments, and the batch size."""

SEED = "seed"
"""A parameter that points may be listed with, and that is not searched: that would choose the luckiest."""

_TYPES: Mapping[str, type] = {**SEARCHABLE, SEED: int}

LARGEST_GRID = 100_000

PointKey = tuple[tuple[str, Value], ...]


def type_of(name: str) -> type:
    """Type of a parameter that a point may name.

    Raises:
        SpecError: there is no such parameter.
    """
    if name not in _TYPES:
        raise SpecError(f"{name}: no such parameter{did_you_mean(name, SEARCHABLE)}")
    return _TYPES[name]


def key_of(point: Point) -> PointKey:
    """A hashable identity of a point: equal values of the same parameters give equal keys."""
    return tuple(sorted(point.items()))


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
        """How many values can be listed; None for a log range, which is not meant to be."""
        return None if self.log else (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """The greatest value that the steps reach."""
        return self.high - (self.high - self.low) % self.step

    def listed(self) -> tuple[Value, ...] | None:
        """Every value where they can be listed, else None."""
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
        """How many values can be listed; None where there is no step."""
        if self.step is None:
            return None
        steps = (self.high - self.low) / self.step
        return math.floor(steps + 1e-9 * max(1.0, steps)) + 1  # so that 0.0 to 0.3 by 0.1 has its 0.3

    @property
    def last(self) -> float:
        """The greatest value that the steps reach."""
        return self.high if self.count is None else self._value(self.count - 1)

    def listed(self) -> tuple[Value, ...] | None:
        """Every value where a step makes them finite in number, else None."""
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
        if twice := [value for value in self.values if self.values.count(value) > 1]:
            raise SpecError(f"expected each value once, received {twice[0]!r} more than once")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def listed(self) -> tuple[Value, ...]:
        """The values as declared."""
        return self.values


Domain = IntRange | FloatRange | Choices


@dataclass(frozen=True)
class Space:
    """The parameters that a sweep searches, each with its domain, in the order of their declaration.

    Raises:
        SpecError: nothing to search, or a parameter that neither the model factory nor the trainer has.
    """

    domains: Mapping[str, Domain]

    def __post_init__(self) -> None:
        if not self.domains:
            raise SpecError(
                f"[space]: expected at least one parameter to search (known: {', '.join(sorted(SEARCHABLE))})"
            )
        for name in self.domains:
            try:
                type_of(name)
            except SpecError as error:
                raise SpecError(f"space.{error}") from error

    @classmethod
    def of(cls, points: Sequence[Point]) -> Space:
        """The least space that holds the points: for each parameter, the values that occur.

        Raises:
            SpecError: they do not all have the same parameters, or there is none.
        """
        names = list(points[0]) if points else []
        for number, point in enumerate(points):
            if point.keys() != set(names):
                raise SpecError(
                    f"points: expected {', '.join(names)} in each, received {', '.join(point)} in number {number}"
                )
        return cls({name: Choices(tuple(dict.fromkeys(point[name] for point in points))) for name in names})

    def __contains__(self, point: Point) -> bool:
        return point.keys() == self.domains.keys() and all(point[name] in self.domains[name] for name in point)

    def grid(self) -> Sequence[Point]:
        """Every combination of the listed values, the last parameter varying fastest.

        Raises:
            SpecError: a domain has no list of values, or there are more than ``LARGEST_GRID`` combinations.
        """
        for name, domain in self.domains.items():
            if domain.count is None:
                raise SpecError(
                    f"space.{name}: a grid needs values, received a continuous range; list them "
                    f"({name} = [{domain.low:g}, …, {domain.high:g}])"
                    + (" or give it a step" if isinstance(domain, FloatRange) and not domain.log else "")
                )
        # Counted before they are listed: a wrong step can ask for more than memory holds.
        if (size := math.prod(domain.count or 0 for domain in self.domains.values())) > LARGEST_GRID:
            raise SpecError(f"[space]: expected a grid of at most {LARGEST_GRID:,} points, received {size:,}")
        values = [domain.listed() or () for domain in self.domains.values()]
        return [dict(zip(self.domains, combination, strict=True)) for combination in itertools.product(*values)]

    def corners(self) -> Iterable[tuple[str, Value]]:
        """Each parameter with each value that bounds it: what has to be legal for all of the space to be."""
        for name, domain in self.domains.items():
            bounds = domain.values if isinstance(domain, Choices) else (domain.low, domain.high)
            yield from ((name, bound) for bound in bounds)

    def parse(self, texts: Mapping[str, str]) -> Point:
        """The point whose values were written as ``texts``; the inverse of ``str`` on each value.

        Raises:
            KeyError: a parameter of this space is not among the texts.
        """
        return {name: type_of(name)(texts[name]) for name in self.domains}


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
