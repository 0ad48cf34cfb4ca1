"""The search space of a sweep, from which every engine draws points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mnist_core.errors import SpecError, did_you_mean
from mnist_core.hyperparameters import CONDITIONS, PARAMETER_TYPES, TRAINER_TYPES
from search.domains import Choices, Domain, FloatRange, Value

Point = Mapping[str, Value]
"""One value for each searched parameter that exists at that point, by name."""

ARCHITECTURE = "architecture"
"""The parameter that decides which others exist."""

SEED = "seed"
"""A parameter that listed points may have. It is not searched: that would choose the luckiest seed."""

MAX_GRID_POINTS = 100_000

PointKey = tuple[tuple[str, Value], ...]


def key_of(point: Point) -> PointKey:
    """Return a hashable identity of a point: equal values of the same parameters give equal keys."""
    return tuple(sorted(point.items()))


@dataclass(frozen=True)
class ParameterSchema:
    """The parameters that a sweep may search.

    Args:
        types: of every parameter, by name.
        conditions: the architectures that a parameter exists for; one that is not named exists for all.
    """

    types: Mapping[str, type]
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def type_of(self, name: str) -> type:
        """Return the type of a parameter that a point may name.

        Raises:
            SpecError: there is no such parameter.
        """
        if name == SEED:
            return int
        if name not in self.types:
            raise SpecError(f"{name}: no such parameter{did_you_mean(name, self.types)}")
        return self.types[name]

    def parse(self, name: str, text: str) -> Value:
        """Return the value that was written as ``text``; the inverse of ``str``."""
        kind = self.type_of(name)
        value: Value = text == str(True) if kind is bool else kind(text)
        return value

    def exists(self, name: str, point: Point) -> bool:
        """Return whether a parameter exists at a point; all do at a point without an architecture."""
        architectures = self.conditions.get(name)
        return architectures is None or point.get(ARCHITECTURE, architectures[0]) in architectures


SEARCHABLE: Mapping[str, type] = {**PARAMETER_TYPES, **TRAINER_TYPES}
"""Type of every parameter that a sweep of the factory's models may search: the factory's, and the trainer's."""

FACTORY = ParameterSchema(SEARCHABLE, CONDITIONS)


@dataclass(frozen=True)
class Space:
    """The parameters that a sweep searches, each with its domain, in the order of their declaration.

    Some exist for one architecture only. A point holds a value for each that exists for its own, and for no other.

    Args:
        domains: by parameter.
        parameters: those that may be searched.

    Raises:
        SpecError: nothing to search, or a parameter that neither the model factory nor the trainer has.
    """

    domains: Mapping[str, Domain]
    parameters: ParameterSchema = FACTORY

    def __post_init__(self) -> None:
        if not self.domains:
            known = ", ".join(sorted(self.parameters.types))
            raise SpecError(f"[space]: expected at least one parameter to search (known: {known})")
        for name in self.domains:
            try:
                self.parameters.type_of(name)
            except SpecError as error:
                raise SpecError(f"space.{error}") from error

    @classmethod
    def of(cls, points: Sequence[Point], parameters: ParameterSchema = FACTORY) -> Space:
        """Return the smallest space that holds the points: for each parameter, the values that occur.

        Raises:
            SpecError: one lacks a parameter that exists for it and that others have, or there is none.
        """
        names = list(dict.fromkeys(name for point in points for name in point))
        for number, point in enumerate(points):
            expected = [name for name in names if parameters.exists(name, point)]
            if point.keys() != set(expected):
                raise SpecError(
                    f"points: expected {', '.join(expected)} in each, received {', '.join(point)} in number {number}"
                )
        values = {name: dict.fromkeys(point[name] for point in points if name in point) for name in names}
        return cls({name: Choices(tuple(found)) for name, found in values.items()}, parameters)

    def __contains__(self, point: Point) -> bool:
        existing = {name for name in self.domains if self.parameters.exists(name, point)}
        return point.keys() == existing and all(point[name] in self.domains[name] for name in point)

    def check(self, point: Point) -> None:
        """Check that the point is one of this space, and that its values are plain numbers and words.

        Raises:
            SpecError: a parameter is missing or does not exist at this point, or a value is not of its domain.
        """
        for name, domain in self.domains.items():
            if name not in point and self.parameters.exists(name, point):
                raise SpecError(f"{name}: expected a value, received none")
            if name in point and not (isinstance(point[name], int | float | str) and point[name] in domain):
                raise SpecError(f"{name}: expected a value of {domain}, received {point[name]!r}")
        if unknown := [name for name in point if name not in self.domains or not self.parameters.exists(name, point)]:
            raise SpecError(f"{unknown[0]}: no such parameter at this point, received {point[unknown[0]]!r}")

    @property
    def branches(self) -> Sequence[Mapping[str, Domain]]:
        """The space as a union of ones without conditions: one for each architecture where that makes a difference."""
        architectures = self.domains.get(ARCHITECTURE)
        if not isinstance(architectures, Choices) or self.parameters.conditions.keys().isdisjoint(self.domains):
            return [self.domains]
        return [
            {
                name: Choices((architecture,)) if name == ARCHITECTURE else domain
                for name, domain in self.domains.items()
                if self.parameters.exists(name, {ARCHITECTURE: architecture})
            }
            for architecture in architectures.values
        ]

    @property
    def ordered(self) -> Sequence[tuple[str, Domain]]:
        """The domains as declared, but the architecture first: it decides which others exist."""
        return sorted(self.domains.items(), key=lambda item: item[0] != ARCHITECTURE)

    def draw(self, choose: Callable[[str, Domain], Value]) -> Point:
        """Return a point whose values are chosen one by one, of the parameters that exist for those before."""
        point: dict[str, Value] = {}
        for name, domain in self.ordered:
            if self.parameters.exists(name, point):
                point[name] = choose(name, domain)
        return {name: point[name] for name in self.domains if name in point}

    @property
    def size(self) -> float:
        """Number of points; infinity where a parameter is continuous."""
        if any(math.isinf(domain.size) for domain in self.domains.values()):
            return math.inf
        return sum(math.prod(int(domain.size) for domain in branch.values()) for branch in self.branches)

    def grid_size(self) -> int:
        """Return the number of points of :meth:`grid`, counted without listing them.

        Raises:
            SpecError: a domain has no list of values, or there are more than ``MAX_GRID_POINTS`` combinations.
        """
        for name, domain in self.domains.items():
            if domain.count is None:
                raise SpecError(
                    f"space.{name}: a grid needs values, received a continuous range; list them "
                    f"({name} = [{domain.low:g}, …, {domain.high:g}])"
                    + (" or give it a step" if isinstance(domain, FloatRange) and not domain.log else "")
                )
        size = int(self.size)
        if size > MAX_GRID_POINTS:
            raise SpecError(f"[space]: expected a grid of at most {MAX_GRID_POINTS:,} points, received {size:,}")
        return size

    def grid(self) -> Sequence[Point]:
        """Return every combination of the listed values that exist together, the last parameter varying fastest.

        Raises:
            SpecError: as :meth:`grid_size` does.
        """
        # Counted before they are listed: the points of a wrong step may not fit in memory.
        self.grid_size()
        return [point for branch in self.branches for point in _combinations(branch)]

    def bounds(self) -> Iterable[tuple[str, Value]]:
        """Yield each parameter with each of its bounds. Where all of them are legal, all of the space is."""
        for name, domain in self.domains.items():
            bounds = domain.values if isinstance(domain, Choices) else (domain.low, domain.high)
            yield from ((name, bound) for bound in bounds)

    def parse(self, texts: Mapping[str, str]) -> Point:
        """Return the point whose values were written as ``texts``; the inverse of ``str`` on each value.

        Raises:
            KeyError: a parameter that exists at this point is not among the texts.
        """
        return self.draw(lambda name, domain: self.parameters.parse(name, texts[name]))


def _combinations(domains: Mapping[str, Domain]) -> Iterable[Point]:
    values = [domain.listed() or () for domain in domains.values()]
    return (dict(zip(domains, combination, strict=True)) for combination in itertools.product(*values))
