"""Sweep files, read from TOML and written to it. Errors name the file, the key, the expected and the received value."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import tomli_w

from mnist_core.errors import MnistSearchError, SpecError, did_you_mean
from mnist_core.hyperparameters import (
    AUGMENTATION_TYPES,
    TRAINER_TYPES,
    Augmentation,
    EarlyStopping,
    Hyperparameters,
    TrainingConfig,
)
from mnist_core.models.custom import CustomModel
from search.budget import StopRules
from search.durations import parse_duration
from search.engines import CustomEngine, Engine, parse_engine
from search.execution import Execution
from search.objectives import MODEL_SIZE, RANKING, VAL_ACCURACY, Objective
from search.space import ARCHITECTURE, FACTORY
from search.space_tables import (
    Table,
    check_keys,
    domain_table,
    infer_parameter_types,
    point_tables,
    read_points,
    read_space,
)
from search.spec import DataSpec, SweepSpec

TABLES = ("data", "model", "training", "execution", "stop", "space")


def read_spec_file(path: Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Read a sweep file.

    Args:
        path: the TOML file.
        overrides: settings that replace the file's, each as ``key=value`` or ``table.key=value``.

    Raises:
        SpecError: unreadable, not TOML, or not a sweep.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error
    return parse_spec(text, overrides, source=str(path))


def parse_spec(text: str, overrides: Iterable[str] = (), source: str = "sweep file") -> SweepSpec:
    """Return the sweep that a TOML text describes; errors name ``source``.

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
    """Return the sweep as a TOML text with every default in it; ``parse_spec`` reads it back to an equal value."""
    table = asdict(spec)
    table["engine"] = spec.engine.value
    listed = list(table.pop("points"))
    table["objective"] = spec.objective
    table["objectives"] = list(map(str, spec.objectives))
    if not spec.is_multi_objective:
        del table["objectives"]
    if spec.trial_timeout is None:
        del table["trial_timeout"]
    # Tables come after plain keys in TOML, and the space reads best at the end.
    table["space"] = {name: domain_table(domain) for name, domain in spec.space.domains.items()}
    for name in TABLES:
        table[name] = table.pop(name)
    if spec.execution == Execution():
        del table["execution"]
    table["stop"] = {key: value for key, value in table["stop"].items() if value is not None}
    if not spec.stop:
        del table["stop"]
    if spec.model.architecture is None or ARCHITECTURE not in spec.space.domains:
        table["model"] = spec.model.active_values()
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
    check_keys(table, (*(field.name for field in fields(SweepSpec)), "objective"))
    if "name" not in table:
        raise SpecError("name: expected a name for the sweep, received none")
    points = point_tables(table.pop("points")) if "points" in table else []
    if points and "space" in table:
        raise SpecError("points: the sweep has a [space] as well; keep one of them")
    space = _table(table, "space")
    fixed = {name: value for name, value in space.items() if not isinstance(value, dict | list)}
    model, training = _function_or_table(table, "model"), _table(table, "training")
    is_custom = "function" in model
    parameters = (
        infer_parameter_types({name: space[name] for name in space.keys() - fixed}, points) if is_custom else FACTORY
    )
    training["augmentation"] = _table(training, "augmentation")
    tables = {"model": model, "training": training, "training.augmentation": training["augmentation"]}
    searched = set(space).union(*points)
    for key, values in tables.items():
        for name in searched & values.keys():
            raise SpecError(f"space.{name}: set in [{key}] as well; keep one of them")
        for name in values if key != "model" or not is_custom else ():
            if name in FACTORY.types and _key_of(name) != key:
                raise SpecError(f"{key}.{name}: expected in [{_key_of(name)}]")
    for name, value in fixed.items():
        if not is_custom and name not in parameters.types:
            raise SpecError(f"space.{name}: no such parameter{did_you_mean(name, parameters.types)}")
        tables[_key_of(name)][name] = value
    listed = read_points(points, parameters)
    settings = {key: value for key, value in table.items() if key not in TABLES}
    if unknown := [key for key, value in settings.items() if isinstance(value, dict)]:
        raise SpecError(f"{unknown[0]}: expected a value, received a table")
    settings["objectives"] = _objectives(settings.pop("objective", None), settings.pop("objectives", None))
    if "trial_timeout" in settings:
        settings["trial_timeout"] = parse_duration(settings["trial_timeout"], "trial_timeout")
    if "engine" in settings:
        settings["engine"] = parse_engine(settings["engine"])
        if isinstance(settings["engine"], CustomEngine):
            settings = {"sampler": "default", **settings}
    return SweepSpec(
        space=read_space({name: value for name, value in space.items() if name not in fixed}, listed, parameters),
        points=listed,
        data=_build(DataSpec, "data", _function_or_table(table, "data")),
        model=_custom_model(model) if is_custom else _build(Hyperparameters, "model", model),
        training=_training(training),
        execution=_build(Execution, "execution", _table(table, "execution")),
        stop=_stop(_table(table, "stop")),
        **settings,
    )


def _objectives(first: object, several: object) -> tuple[Objective, ...]:
    """Return the objectives that the keys ``objective`` and ``objectives`` name; an absent one is None."""
    ranking = {objective.metric: objective for objective in RANKING}
    if first is not None and first not in list(ranking):
        raise SpecError(f"objective: unknown value {first!r}{did_you_mean(str(first), ranking)}")
    if several is None:
        return (ranking[str(first)] if first else VAL_ACCURACY,)
    if not isinstance(several, list) or not several or not all(isinstance(one, str) for one in several):
        example = [str(VAL_ACCURACY), str(MODEL_SIZE)]
        raise SpecError(f"objectives: expected a list such as {example}, received {several!r}")
    try:
        found = tuple(map(Objective.parse, several))
    except SpecError as error:
        raise SpecError(f"objectives: {error}") from error
    if first and found[0].ranks and found[0].metric != first:
        raise SpecError(
            f"objectives: expected the first to be {first!r}, which ranks the trials, received {several[0]!r}"
        )
    return found


def _key_of(name: str) -> str:
    """Return the table that holds a parameter where it is fixed."""
    if name in AUGMENTATION_TYPES:
        return "training.augmentation"
    return "training" if name in TRAINER_TYPES else "model"


def _custom_model(table: Table) -> CustomModel:
    function = table.pop("function")
    if not isinstance(function, str):
        raise SpecError(f"model.function: expected 'package.module:function', received {function!r}")
    for name, value in table.items():
        if not isinstance(value, int | float | str) or name in TRAINER_TYPES:
            raise SpecError(f"model.{name}: expected an argument of {function} and its value, received {value!r}")
    return CustomModel(function, table)


def _training(table: Table) -> TrainingConfig:
    table = {**table, "augmentation": _build(Augmentation, "training.augmentation", table["augmentation"])}
    if "early_stopping" in table:
        stopping = _build(EarlyStopping, "training.early_stopping", _table(table, "early_stopping"))
        table = {**table, "early_stopping": stopping}
    config: TrainingConfig = _build(TrainingConfig, "training", table)
    return config


def _stop(table: Table) -> StopRules:
    if "time" in table:
        table["time"] = parse_duration(table["time"], "stop.time")
    rules: StopRules = _build(StopRules, "stop", table)
    return rules


def _build(cls: type, prefix: str, table: Table) -> Any:
    try:
        check_keys(table, (field.name for field in fields(cls)))
        return cls(**table)
    except MnistSearchError as error:
        raise SpecError(f"{prefix}.{error}") from error


def _function_or_table(table: Table, key: str) -> Table:
    """Return the table of a key; a text such as ``"module:function"`` is a table with nothing but this function."""
    if isinstance(value := table.get(key), str):
        return {"function": value}
    return _table(table, key)


def _table(table: Table, key: str) -> Table:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise SpecError(f"{key}: expected a table, received {value!r}")
    return dict(value)
