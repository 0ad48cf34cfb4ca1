"""Sweep files: TOML in, TOML out. Errors name the file, the key, what was expected and what was received."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import tomli_w

from mnist_core.errors import MnistSearchError, SpecError, did_you_mean
from mnist_core.hyperparameters import (
    AUGMENTATION_TYPES,
    PARAMETER_TYPES,
    Augmentation,
    EarlyStopping,
    Hyperparameters,
    TrainingConfig,
)
from search.domains import Choices, Domain, FloatRange, IntRange
from search.space import ARCHITECTURE, FACTORY, SEARCHABLE, Point, Space
from search.spec import DataSpec, Engine, SweepSpec

Table = dict[str, Any]

TABLES = ("data", "model", "training", "space")


def read_spec(path: Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Read a sweep file.

    Args:
        path: the TOML file.
        overrides: settings that win over the file's, each as ``key=value`` or ``table.key=value``.

    Raises:
        SpecError: unreadable, not TOML, or not a sweep.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error
    return parse_spec(text, overrides, source=str(path))


def parse_spec(text: str, overrides: Iterable[str] = (), source: str = "sweep file") -> SweepSpec:
    """The sweep that a TOML text describes; ``source`` is named in errors.

    Raises:
        SpecError: not TOML, or not a sweep.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"{source}: not TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    try:
        return _spec(table)
    except MnistSearchError as error:
        raise SpecError(f"{source}: {error}") from error


def to_toml(spec: SweepSpec) -> str:
    """The sweep as a TOML text with every default spelled out; ``parse_spec`` reads it back to an equal value."""
    table = asdict(spec)
    table["engine"] = spec.engine.value
    listed = list(table.pop("points"))
    # Tables come after plain keys in TOML, and the space reads best at the end.
    table["space"] = {name: _domain_table(domain) for name, domain in spec.space.domains.items()}
    for name in TABLES:
        table[name] = table.pop(name)
    if ARCHITECTURE not in spec.space.domains:
        table["model"] = spec.model.settled()
    for name in set(spec.space.domains) & set(table["model"]):
        del table["model"][name]
    for part in (table["training"], table["training"]["augmentation"]):
        for name in set(spec.space.domains) & set(part):
            del part[name]
    if spec.engine is Engine.LISTED:
        del table["space"]
        table["points"] = listed
    return tomli_w.dumps(table)


def _override(table: Table, override: str) -> None:
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise SpecError(f"--set: expected key=value such as training.epochs=5, received {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text.strip()
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise SpecError(f"--set {override}: {key} is a value, not a table")
    table[keys[-1]] = value


def _spec(table: Table) -> SweepSpec:
    table = dict(table)
    _check_keys(table, (field.name for field in fields(SweepSpec)))
    if "name" not in table:
        raise SpecError("name: expected a name for the sweep, received none")
    points = _points(table.pop("points", []))
    if points and "space" in table:
        raise SpecError("points: the sweep has a [space] as well; keep one of them")
    space = _table(table, "space")
    fixed = {name: value for name, value in space.items() if not isinstance(value, dict | list)}
    model, training = _table(table, "model"), _table(table, "training")
    training["augmentation"] = _table(training, "augmentation")
    homes = {"model": model, "training": training, "training.augmentation": training["augmentation"]}
    searched = set(space).union(*points)
    for home, values in homes.items():
        for name in searched & values.keys():
            raise SpecError(f"space.{name}: set in [{home}] as well; keep one of them")
    for name, value in fixed.items():
        _check_parameter(name)
        homes[_home(name)][name] = value
    domains = {name: _domain(name, value) for name, value in space.items() if name not in fixed}
    settings = {key: value for key, value in table.items() if key not in TABLES}
    if tables := [key for key, value in settings.items() if isinstance(value, dict)]:
        raise SpecError(f"{tables[0]}: expected a value, received a table")
    if "engine" in settings:
        settings["engine"] = _engine(settings["engine"])
    return SweepSpec(
        space=Space.of(points) if points else Space(domains),
        points=points,
        data=_build(DataSpec, "data", _table(table, "data")),
        model=_build(Hyperparameters, "model", model),
        training=_training(training),
        **settings,
    )


def _points(value: object) -> tuple[Point, ...]:
    if not isinstance(value, list) or not all(isinstance(point, dict) for point in value):
        raise SpecError(f"points: expected a list of tables such as {{ hidden_size = 128 }}, received {value!r}")
    try:
        return tuple({name: _of_type(FACTORY.type_of(name), item) for name, item in point.items()} for point in value)
    except SpecError as error:
        raise SpecError(f"points: {error}") from error


def _home(name: str) -> str:
    """The table that a parameter of the space has its fixed value in."""
    if name in AUGMENTATION_TYPES:
        return "training.augmentation"
    return "model" if name in PARAMETER_TYPES else "training"


def _training(table: Table) -> TrainingConfig:
    table = {**table, "augmentation": _build(Augmentation, "training.augmentation", table["augmentation"])}
    if "early_stopping" in table:
        stopping = _build(EarlyStopping, "training.early_stopping", _table(table, "early_stopping"))
        table = {**table, "early_stopping": stopping}
    config: TrainingConfig = _build(TrainingConfig, "training", table)
    return config


def _engine(value: object) -> Engine:
    known = [engine.value for engine in Engine]
    if value not in known:
        raise SpecError(f"engine: unknown value {value!r}{did_you_mean(str(value), known)}")
    return Engine(value)


def _domain(name: str, value: Table | list[Any]) -> Domain:
    _check_parameter(name)
    kind = SEARCHABLE[name]
    try:
        if isinstance(value, list):
            return Choices(tuple(_of_type(kind, item) for item in value))
        if value.keys() == {"values"}:
            return _domain(name, value["values"])
        if kind in (str, bool):
            raise SpecError(f"expected a list of {'words' if kind is str else 'true and false'}, received {value!r}")
        _check_keys(value, ("low", "high", "step", "log", "values"))
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


def _domain_table(domain: Domain) -> Table:
    # A table for choices too: TOML puts plain lists before tables, and some samplers depend on the order.
    return {key: value for key, value in asdict(domain).items() if value is not None}


def _build(cls: type, prefix: str, table: Table) -> Any:
    try:
        _check_keys(table, (field.name for field in fields(cls)))
        return cls(**table)
    except MnistSearchError as error:
        raise SpecError(f"{prefix}.{error}") from error


def _table(table: Table, key: str) -> Table:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise SpecError(f"{key}: expected a table, received {value!r}")
    return dict(value)


def _check_keys(table: Mapping[str, object], known: Iterable[str]) -> None:
    known = tuple(known)
    for key in table:
        if key not in known:
            raise SpecError(f"{key}: unknown key{did_you_mean(key, known)}")


def _check_parameter(name: str) -> None:
    if name not in SEARCHABLE:
        raise SpecError(f"space.{name}: no such parameter{did_you_mean(name, SEARCHABLE)}")
