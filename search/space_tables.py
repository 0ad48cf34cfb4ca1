"""The tables of a sweep file that describe its space: [space] and [[points]], read and written, each value checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from mnist_core.errors import MnistSearchError, SpecError, did_you_mean
from mnist_core.hyperparameters import TRAINER_TYPES
from search.domains import Choices, Domain, FloatRange, IntRange
from search.space import SEED, ParameterSchema, Point, Space

Table = dict[str, Any]


def read_space(table: Table, points: tuple[Point, ...], parameters: ParameterSchema) -> Space:
    """Return the space that a table declares, or that of the points.

    Raises:
        SpecError: a domain is none, or a parameter does not exist.
    """
    if points:
        return Space.of(points, parameters)
    return Space({name: _domain(name, value, parameters) for name, value in table.items()}, parameters)


def read_points(tables: list[Table], parameters: ParameterSchema) -> tuple[Point, ...]:
    """Return the points that a sweep lists.

    Raises:
        SpecError: a value is not of its parameter's type.
    """
    try:
        return tuple(
            {name: _of_type(parameters.type_of(name), item) for name, item in point.items()} for point in tables
        )
    except SpecError as error:
        raise SpecError(f"points: {error}") from error


def point_tables(value: object) -> list[Table]:
    """Return the points as tables of the file.

    Raises:
        SpecError: the value is no list of tables.
    """
    if not isinstance(value, list) or not value or not all(isinstance(point, dict) for point in value):
        raise SpecError(f"points: expected one or more tables such as {{ hidden_size = 128 }}, received {value!r}")
    return value


def infer_parameter_types(space: Table, points: list[Table]) -> ParameterSchema:
    """Return the parameters of a custom model. Their types are those of the values in the file.

    Raises:
        SpecError: the values of a parameter are not all of one type.
    """
    values: dict[str, list[object]] = {name: _given(entry) for name, entry in space.items()}
    for point in points:
        for name, value in point.items():
            values.setdefault(name, []).append(value)
    custom = {name: _kind(name, given) for name, given in values.items() if name not in TRAINER_TYPES and name != SEED}
    return ParameterSchema({**custom, **TRAINER_TYPES})


def domain_table(domain: Domain) -> Table:
    """Return a domain as a table of the file."""
    # A table for choices too: TOML puts plain lists before tables, and some samplers depend on the order.
    return {key: value for key, value in asdict(domain).items() if value is not None}


def check_keys(table: Mapping[str, object], known: Iterable[str]) -> None:
    """Check that a table has no other keys.

    Raises:
        SpecError: it has; the message names the nearest known one.
    """
    known = tuple(known)
    for key in table:
        if key not in known:
            raise SpecError(f"{key}: unknown key{did_you_mean(key, known)}")


def _given(entry: object) -> list[object]:
    if isinstance(entry, dict):
        bounds = [entry[key] for key in ("low", "high", "step") if key in entry]
        return bounds or _given(entry.get("values", []))
    return list(entry) if isinstance(entry, list) else [entry]


def _kind(name: str, values: list[object]) -> type:
    kinds = {type(value) for value in values}
    if kinds and kinds <= {int, float}:
        return float if float in kinds else int
    if kinds not in ({str}, {bool}):
        raise SpecError(f"space.{name}: expected numbers, words, or true and false, all of one type; received {values}")
    return kinds.pop()


def _domain(name: str, value: Table | list[Any], parameters: ParameterSchema) -> Domain:
    if name not in parameters.types:
        raise SpecError(f"space.{name}: no such parameter{did_you_mean(name, parameters.types)}")
    kind = parameters.types[name]
    try:
        if isinstance(value, list):
            return Choices(tuple(_of_type(kind, item) for item in value))
        if "values" in value:
            if len(value) > 1 or not isinstance(value["values"], list):
                raise SpecError(f"expected a list of values and no other key, received {value!r}")
            return Choices(tuple(_of_type(kind, item) for item in value["values"]))
        if kind in (str, bool):
            raise SpecError(f"expected a list of {'words' if kind is str else 'true and false'}, received {value!r}")
        check_keys(value, ("low", "high", "step", "log"))
        if missing := [key for key in ("low", "high") if key not in value]:
            raise SpecError(f"expected low and high, {' and '.join(missing)} missing")
        if kind is int:
            return IntRange(**value)
        return FloatRange(**{key: _of_type(float, item) if key != "log" else item for key, item in value.items()})
    except MnistSearchError as error:
        raise SpecError(f"space.{name}: {error}") from error


def _of_type(kind: type, value: object) -> Any:
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        words = {int: "an integer", float: "a number", str: "a word", bool: "true or false"}
        raise SpecError(f"expected {words[kind]}, received {value!r}")
    return value
