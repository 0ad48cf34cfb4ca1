"""Sweep files: read, written and overridden."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.errors import SpecError
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from search.budget import StopRules
from search.domains import Choices, Domain, FloatRange, IntRange
from search.engines import PRUNERS, SAMPLERS, Engine
from search.objectives import RANKING, VAL_ACCURACY
from search.space import Point, Space
from search.spec import DataSpec, SweepSpec
from search.spec_file import parse_spec, read_spec_file, to_toml

SWEEPS = Path(__file__).parents[2] / "experiments" / "sweeps"

seeded = settings(derandomize=True, database=None, deadline=None, max_examples=150)

INTS = {"hidden_layers": (0, 16), "hidden_size": (1, 16384), "batch_size": (1, 65536)}
FLOATS = {"learning_rate": (1e-6, 10.0), "dropout": (0.0, 0.9), "l2": (0.0, 1.0)}


@st.composite
def ranges(draw: st.DrawFn, name: str) -> Domain:
    """A range within the bounds of the model factory."""
    if name in INTS:
        low, high = sorted(draw(st.lists(st.integers(*INTS[name]), min_size=2, max_size=2, unique=True)))
        log = low > 0 and draw(st.booleans())
        return IntRange(low, high, log=True) if log else IntRange(low, high, draw(st.integers(1, 9)))
    floor, top = FLOATS[name]
    bounds = st.lists(st.floats(floor, top, allow_subnormal=False), min_size=2, max_size=2, unique=True)
    first, last = sorted(draw(bounds))
    log = first > 0 and draw(st.booleans())
    return FloatRange(first, last, log=log)


@st.composite
def choices(draw: st.DrawFn, name: str) -> Domain:
    value = st.integers(*INTS[name]) if name in INTS else st.floats(*FLOATS[name])
    return Choices(tuple(draw(st.lists(value, min_size=1, max_size=4, unique=True))))


def with_seed(point: Point, seed: int) -> Point:
    return {**point, "seed": seed}


@st.composite
def specs(draw: st.DrawFn) -> SweepSpec:
    """Any sweep whose searched parameters are not fixed as well."""
    engine = draw(st.sampled_from(Engine))
    sampler = draw(st.sampled_from(SAMPLERS[engine]))
    names = draw(st.lists(st.sampled_from([*INTS, *FLOATS]), min_size=1, max_size=3, unique=True))
    kinds = [choices] if sampler == "grid" else [choices, ranges]
    domains = {name: draw(draw(st.sampled_from(kinds))(name)) for name in names}
    fixed = {
        "hidden_layers": st.integers(0, 16),
        "hidden_size": st.integers(1, 16384),
        "learning_rate": st.floats(1e-6, 10.0),
        "dropout": st.floats(0.0, 0.9),
        "l2": st.floats(0.0, 1.0),
    }
    batch_size = 128 if "batch_size" in names else draw(st.integers(1, 65536))
    stopping = EarlyStopping("val_loss", draw(st.integers(1, 99)), draw(st.floats(0.0, 1.0)))
    validation = draw(st.one_of(st.integers(1, 10**5), st.floats(0.01, 0.99)))
    points: tuple[Point, ...] = ()
    if engine is Engine.LISTED:
        grid = st.sampled_from([*Space({name: draw(choices(name)) for name in names}).grid()])
        points = tuple(draw(st.lists(st.builds(with_seed, grid, st.integers(0, 2**31 - 1)), min_size=1, max_size=4)))
    return SweepSpec(
        name=draw(st.text(string.ascii_letters + string.digits, min_size=1, max_size=9)),
        space=Space.of(points) if points else Space(domains),
        points=points,
        engine=engine,
        sampler=sampler,
        pruner=draw(st.sampled_from(PRUNERS[engine])),
        objectives=(draw(st.sampled_from(RANKING)) if "l2" not in names else VAL_ACCURACY,),
        trials=draw(st.integers(1, 999)),
        seed=draw(st.integers(0, 2**31 - 1)),
        data=DataSpec(validation, draw(st.integers(0, 2**31 - 1)), draw(st.sampled_from(["", "0f" * 32]))),
        model=Hyperparameters(**{name: draw(value) for name, value in fixed.items() if name not in names}),  # type: ignore[arg-type]
        training=TrainingConfig(draw(st.integers(1, 999)), batch_size, stopping),
        trial_timeout=draw(st.none() | st.floats(1e-3, 1e9)),
    )


@pytest.mark.parametrize("engine", ["optuna", None])
def test_an_engine_that_is_none_is_refused_also_in_python(engine: Any) -> None:
    with pytest.raises(SpecError, match=r"^engine: expected an Engine or a CustomEngine, received"):
        SweepSpec("x", Space({"hidden_size": IntRange(8, 16)}), engine=engine, trials=3)


@seeded
@given(specs())
def test_a_sweep_comes_back_from_its_text(spec: SweepSpec) -> None:
    again = parse_spec(to_toml(spec))
    assert again == spec
    assert to_toml(again) == to_toml(spec)


MINIMAL = """
name = "small"
trials = 3
[space]
dropout = { low = 0.0, high = 0.5 }
"""


def test_settings_that_are_left_out_have_their_defaults() -> None:
    space = Space({"dropout": FloatRange(0.0, 0.5)})
    assert parse_spec(MINIMAL) == SweepSpec("small", space, Engine.OPTUNA, "tpe", trials=3)


def test_whole_numbers_are_numbers_too() -> None:
    spec = parse_spec('name = "n"\ntrials = 1\n[space]\ndropout = { low = 0, high = 0.5 }\nl2 = [0, 1]')
    assert spec.space.domains == {"dropout": FloatRange(0.0, 0.5), "l2": Choices((0.0, 1.0))}
    assert [type(value) for _, value in spec.space.bounds()] == [float] * 4


def test_trials_are_stopped_early_where_there_is_a_pruner() -> None:
    assert not parse_spec(MINIMAL).prunes
    assert parse_spec(MINIMAL, ["pruner=median"]).prunes


@pytest.mark.parametrize(
    ("text", "seconds"), [('"90s"', 90.0), ("90", 90.0), ("0.5", 0.5), ('"2m"', 120.0), ("2m", 120.0), ("1h", 3600.0)]
)
def test_how_long_a_trial_may_be_silent_is_read_as_a_duration_and_comes_back(text: str, seconds: float) -> None:
    spec = parse_spec(MINIMAL, [f"trial_timeout={text}"])
    assert spec.trial_timeout == seconds
    assert parse_spec(to_toml(spec)) == spec


def test_a_sweep_without_a_trial_timeout_has_none_in_its_text() -> None:
    assert parse_spec(MINIMAL).trial_timeout is None
    assert "trial_timeout" not in to_toml(parse_spec(MINIMAL))


def test_the_budgets_of_a_sweep_are_read_and_come_back() -> None:
    spec = parse_spec(MINIMAL, ["stop.time=10m", "stop.epochs=500", "stop.target=0.985", "stop.plateau=20"])
    assert spec.stop == StopRules(time=600.0, epochs=500, target=0.985, plateau=20)
    assert parse_spec(to_toml(spec)) == spec


def test_a_sweep_without_budgets_has_no_table_for_them_in_its_text() -> None:
    assert not parse_spec(MINIMAL).stop
    assert "stop" not in to_toml(parse_spec(MINIMAL)).replace("early_stopping", "")


def test_a_sweep_of_chosen_points_has_no_budgets() -> None:
    spec = parse_spec(MINIMAL, ["stop.target=0.5"])
    assert not spec.with_points("again", ({"dropout": 0.25},)).stop


def test_a_single_value_in_the_space_is_fixed() -> None:
    spec = parse_spec(MINIMAL + "hidden_size = 64\nbatch_size = 32")
    assert list(spec.space.domains) == ["dropout"]
    assert (spec.model.hidden_size, spec.training.batch_size) == (64, 32)


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("trials=9", "trials", 9),
        ("trials = 9", "trials", 9),
        ("training.epochs=5", "training.epochs", 5),
        ("model.learning_rate=1e-4", "model.learning_rate", 1e-4),
        ("training.early_stopping.patience=2", "training.early_stopping.patience", 2),
        ("sampler=random", "sampler", "random"),
        ('sampler="random"', "sampler", "random"),
        ("objective=val_loss", "objective", "val_loss"),
        ("name=quick-2", "name", "quick-2"),
        ("data.validation=0.25", "data.validation", 0.25),
        ("data.validation=250", "data.validation", 250),
    ],
)
def test_an_override_wins_over_the_file(override: str, key: str, expected: object) -> None:
    value: object = parse_spec(MINIMAL, [override])
    for name in key.split("."):
        value = getattr(value, name)
    assert value == expected


def test_overrides_reach_into_the_space() -> None:
    spec = parse_spec(MINIMAL, ["space.dropout.high=0.2", "space.hidden_size=[32, 64]"])
    assert spec.space.domains == {"dropout": FloatRange(0.0, 0.2), "hidden_size": Choices((32, 64))}


def test_the_last_override_wins() -> None:
    assert parse_spec(MINIMAL, ["trials=4", "trials=5"]).trials == 5


def test_a_file_is_read_with_its_overrides_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert read_spec_file(path, ["trials=8"]).trials == 8
    with pytest.raises(SpecError, match=r"mine\.toml: sampler"):
        read_spec_file(path, ["sampler=none"])


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_sweep_that_ships_is_one(path: Path) -> None:
    spec = read_spec_file(path)
    assert spec.name == path.stem
    assert spec.target > 0
    assert parse_spec(to_toml(spec)) == spec


def test_the_grid_that_ships_has_enough_points_on_keras_tuner() -> None:
    spec = read_spec_file(SWEEPS / "grid.toml")
    assert (spec.engine, spec.sampler) == (Engine.KERAS_TUNER, "grid")
    assert spec.target == len(spec.space.grid()) >= 18
    assert {"hidden_size", "learning_rate", "dropout"} <= spec.space.domains.keys()


def test_the_bayesian_sweep_that_ships_searches_the_declared_ranges() -> None:
    spec = read_spec_file(SWEEPS / "bayesian.toml")
    assert (spec.engine, spec.sampler) == (Engine.OPTUNA, "tpe")
    assert spec.space.domains == {
        "hidden_size": IntRange(32, 512, log=True),
        "learning_rate": FloatRange(1e-4, 1e-2, log=True),
        "dropout": FloatRange(0.0, 0.5),
    }


def test_the_order_of_the_space_comes_back_too() -> None:
    # Samplers that replay a sequence draw the parameters in this order.
    spec = parse_spec(MINIMAL + "learning_rate = { low = 1e-4, high = 1e-2, log = true }\nbatch_size = [32, 64]")
    assert list(parse_spec(to_toml(spec)).space.domains) == list(spec.space.domains)


CONDITIONAL = """
name = "both"
trials = 3
[model]
kernel_size = 5
[space]
architecture = ["mlp", "cnn"]
filters = [4, 8]
hidden_size = [8]
batch_normalization = [false, true]
"""


def test_what_is_fixed_for_one_architecture_leaves_the_other_alone() -> None:
    spec = parse_spec(CONDITIONAL)
    convolutional = spec.trial(
        0, {"architecture": "cnn", "filters": 4, "hidden_size": 8, "batch_normalization": True}
    ).hyperparameters
    assert (convolutional.kernel_size, convolutional.filters) == (5, 4)
    plain = spec.trial(1, {"architecture": "mlp", "hidden_size": 8, "batch_normalization": False}).hyperparameters
    assert plain == Hyperparameters(hidden_size=8)
    assert plain.inactive == ()


def test_a_list_of_points_of_one_architecture_drops_what_was_fixed_for_the_other() -> None:
    spec = parse_spec(CONDITIONAL)
    points: tuple[Point, ...] = ({"architecture": "mlp", "hidden_size": 8, "batch_normalization": False, "seed": 3},)
    listed = spec.with_points("few", points)
    assert listed.trial(0, points[0]).hyperparameters == Hyperparameters(hidden_size=8)
    both = (*points, {"architecture": "cnn", "filters": 4, "hidden_size": 8, "batch_normalization": True, "seed": 3})
    assert spec.with_points("few", both).model == spec.model


def test_a_conditional_sweep_comes_back_from_its_text() -> None:
    spec = parse_spec(CONDITIONAL)
    assert parse_spec(to_toml(spec)) == spec


def test_the_trainers_settings_are_fixed_and_searched_by_their_names() -> None:
    spec = parse_spec(
        """
name = "moved"
trials = 3
[training]
schedule = "cosine"
augmentation = { rotation = 10 }
[space]
shift = { low = 0, high = 3 }
warmup = 1
zoom = 0.1
ema = [0.0, 0.99]
"""
    )
    trial = spec.trial(0, {"shift": 2.5, "ema": 0.99})
    assert trial.training.augmentation == Augmentation(shift=2.5, rotation=10, zoom=0.1)
    assert (trial.training.schedule, trial.training.warmup, trial.training.ema) == ("cosine", 1.0, 0.99)
    assert parse_spec(to_toml(spec)) == spec
