"""Sweep files: read, written, overridden and refused."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.errors import SpecError
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from search.domains import Choices, Domain, FloatRange, IntRange
from search.space import Point, Space
from search.spec import OBJECTIVES, PRUNERS, SAMPLERS, DataSpec, Engine, SweepSpec
from search.spec_file import parse_spec, read_spec, to_toml

SWEEPS = Path(__file__).parents[2] / "experiments" / "sweeps"

seeded = settings(derandomize=True, database=None, deadline=None, max_examples=150)

INTS = {"hidden_layers": (0, 16), "hidden_size": (1, 16384), "batch_size": (1, 65536)}
FLOATS = {"learning_rate": (1e-6, 10.0), "dropout": (0.0, 0.9), "l2": (0.0, 1.0)}


@st.composite
def ranges(draw: st.DrawFn, name: str) -> Domain:
    """A range of a parameter within what the model factory takes."""
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
    """Any sweep, in which what is searched is not fixed as well."""
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
        objective=draw(st.sampled_from(OBJECTIVES)),
        trials=draw(st.integers(1, 999)),
        seed=draw(st.integers(0, 2**31 - 1)),
        data=DataSpec(validation, draw(st.integers(0, 2**31 - 1)), draw(st.sampled_from(["", "0f" * 32]))),
        model=Hyperparameters(**{name: draw(value) for name, value in fixed.items() if name not in names}),  # type: ignore[arg-type]
        training=TrainingConfig(draw(st.integers(1, 999)), batch_size, stopping),
    )


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


def test_what_is_not_said_has_its_default() -> None:
    space = Space({"dropout": FloatRange(0.0, 0.5)})
    assert parse_spec(MINIMAL) == SweepSpec("small", space, Engine.OPTUNA, "tpe", trials=3)


def test_whole_numbers_are_numbers_too() -> None:
    spec = parse_spec('name = "n"\ntrials = 1\n[space]\ndropout = { low = 0, high = 0.5 }\nl2 = [0, 1]')
    assert spec.space.domains == {"dropout": FloatRange(0.0, 0.5), "l2": Choices((0.0, 1.0))}
    assert [type(value) for _, value in spec.space.corners()] == [float] * 4


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


SPACE = "[space]\ndropout = { low = 0.0, high = 0.5 }\n"
HEAD = 'name = "bad"\ntrials = 3\n'


def with_head(line: str) -> str:
    return HEAD + line + "\n" + SPACE


def with_space(line: str) -> str:
    return HEAD + "[space]\n" + line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["name", "expected a name"]),
        ("name = bad", ["not TOML", "line 1"]),
        ("trials: 3", ["not TOML"]),
        ("trials = 3\n" + SPACE, ["name", "received none"]),
        ('name = "a b"\ntrials = 3\n' + SPACE, ["name", "'a b'"]),
        ('name = "../up"\ntrials = 3\n' + SPACE, ["name", "'../up'"]),
        ("name = 7\ntrials = 3\n" + SPACE, ["name", "7"]),
        (HEAD, ["[space]", "at least one parameter"]),
        (HEAD + "[space]\nhidden_size = 64", ["[space]", "at least one parameter"]),
        (with_head("trails = 4"), ["trails: unknown key", "did you mean 'trials'"]),
        (with_head("[modle]\nl2 = 0.0"), ["modle: unknown key", "did you mean 'model'"]),
        (with_head("[model]\nhiden_size = 3"), ["model.hiden_size: unknown key", "did you mean 'hidden_size'"]),
        (with_head("[training]\nepoch = 3"), ["training.epoch: unknown key", "did you mean 'epochs'"]),
        (with_head("[data]\nvalidaton = 0.1"), ["data.validaton: unknown key", "did you mean 'validation'"]),
        (
            with_head("[training]\nearly_stoping = { patience = 2 }"),
            ["training.early_stoping: unknown key", "did you mean 'early_stopping'"],
        ),
        (
            with_head("[training]\nearly_stopping = { patiense = 2 }"),
            ["training.early_stopping.patiense: unknown key", "did you mean 'patience'"],
        ),
        (with_head("[training]\nearly_stopping = 3"), ["early_stopping", "expected a table", "3"]),
        (
            with_head('[training]\nearly_stopping = { monitor = "acuracy" }'),
            ["training.early_stopping.monitor", "did you mean 'accuracy'"],
        ),
        (with_head("[training]\nearly_stopping = { patience = 0 }"), ["training.early_stopping.patience", "0"]),
        (with_head("model = 3"), ["model", "expected a table", "3"]),
        (HEAD + "space = 3", ["space", "expected a table", "3"]),
        (with_head('engine = "optune"'), ["engine", "'optune'", "did you mean 'optuna'"]),
        (with_head("engine = 3"), ["engine", "3", "keras-tuner"]),
        (with_head('sampler = "tp"'), ["sampler", "'optuna'", "'tp'", "did you mean 'tpe'"]),
        (with_head('sampler = "bayesian"'), ["sampler", "engine 'optuna' has no sampler 'bayesian'", "tpe"]),
        (with_head('engine = "keras-tuner"\nsampler = "tpe"'), ["engine 'keras-tuner' has no sampler 'tpe'", "grid"]),
        (with_head('engine = "keras-tuner"'), ["engine 'keras-tuner' has no sampler 'tpe'"]),
        (with_head("sampler = 3"), ["sampler", "3"]),
        (with_head('pruner = "hyperbend"'), ["pruner", "'hyperbend'", "did you mean 'hyperband'"]),
        (
            with_head('engine = "keras-tuner"\nsampler = "random"\npruner = "median"'),
            ["engine 'keras-tuner' has no pruner 'median'", "none"],
        ),
        (with_head('objective = "accuracy"'), ["objective", "'accuracy'", "val_accuracy"]),
        (with_head('objective = "test_accuracy"'), ["objective", "'test_accuracy'", "val_accuracy"]),
        (with_head("objective = []"), ["objective", "[]"]),
        ('name = "bad"\n' + SPACE, ["trials", "'tpe'", "received none"]),
        ('name = "bad"\ntrials = -1\n' + SPACE, ["trials", "-1"]),
        ('name = "bad"\ntrials = 1.5\n' + SPACE, ["trials", "1.5"]),
        ('name = "bad"\ntrials = true\n' + SPACE, ["trials", "True"]),
        ('name = "bad"\ntrials = "3"\n' + SPACE, ["trials", "'3'"]),
        (with_head("seed = -1"), ["seed", "-1"]),
        (with_head("seed = 4294967296"), ["seed", "4294967296"]),
        (with_head("seed = 0.5"), ["seed", "0.5"]),
        (with_head("[data]\nseed = -1"), ["data.seed", "-1"]),
        (with_head("[data]\nvalidation = 1.0"), ["data.validation", "1.0"]),
        (with_head("[data]\nvalidation = 0"), ["data.validation", "received 0"]),
        (with_head('[data]\nvalidation = "10%"'), ["data.validation", "'10%'"]),
        (with_head("[data]\nvalidation = true"), ["data.validation", "True"]),
        (with_head('[data]\ndigest = "abc"'), ["data.digest", "64 hexadecimal", "'abc'"]),
        (with_head("[data]\ndigest = 5"), ["data.digest", "5"]),
        (with_head('[model]\nhidden_size = "64"'), ["model.hidden_size", "integer", "'64'"]),
        (with_head("[model]\nhidden_size = 0"), ["model.hidden_size", "0"]),
        (with_head("[model]\nlearning_rate = 0.0"), ["model.learning_rate", "0.0"]),
        (with_head('[model]\narchitecture = "mlpp"'), ["model.architecture", "'mlpp'", "did you mean 'mlp'"]),
        (with_head("[training]\nepochs = 0"), ["training.epochs", "0"]),
        (with_head("[training]\nbatch_size = 0"), ["training.batch_size", "0"]),
        (with_head("[model]\ndropout = 0.1"), ["space.dropout", "[model]", "keep one"]),
        (
            with_head("[training]\nbatch_size = 64") + "batch_size = [32, 64]",
            ["space.batch_size", "[training]", "keep one"],
        ),
        (
            with_head("[training]\naugmentation = { shfit = 2 }"),
            ["training.augmentation.shfit", "did you mean 'shift'"],
        ),
        (with_head("[training]\naugmentation = { zoom = 2.0 }"), ["training.augmentation.zoom", "2.0"]),
        (with_head("[training]\naugmentation = true"), ["augmentation", "expected a table", "True"]),
        (with_head('[training]\nschedule = "cosin"'), ["training.schedule", "did you mean 'cosine'"]),
        (
            with_head("[training]\naugmentation = { shift = 2 }") + "shift = [1.0, 2.0]",
            ["space.shift", "[training.augmentation]", "keep one"],
        ),
        (with_head("[model]\nblocks = 3"), ["model.blocks", "architecture 'mlp' has no such parameter"]),
        (with_space("filters = [8, 16]"), ["space.filters", "architecture 'mlp' has no such parameter"]),
        (
            with_space('architecture = ["mlp"]\nkernel_size = [3, 5]'),
            ["space.kernel_size", "architecture 'mlp' has no such parameter"],
        ),
        (with_space("batch_normalization = [0, 1]"), ["space.batch_normalization", "true or false", "0"]),
        (with_space("batch_normalization = { low = 0, high = 1 }"), ["space.batch_normalization", "true and false"]),
        (with_space("dropuot = { low = 0.0, high = 0.5 }"), ["space.dropuot", "did you mean 'dropout'"]),
        (with_space("seed = [3, 5]"), ["space.seed", "no such parameter"]),
        (with_space("epochs = [3, 5]"), ["space.epochs", "no such parameter"]),
        (with_space("epochs = 3"), ["space.epochs", "no such parameter"]),
        (with_space("dropout = { low = 0.5, high = 0.1 }"), ["space.dropout", "low = 0.5", "high = 0.1"]),
        (with_space("dropout = { low = 0.0 }"), ["space.dropout", "high missing"]),
        (with_space("dropout = {}"), ["space.dropout", "low and high missing"]),
        (with_space("dropout = { low = 0.0, hihg = 0.5 }"), ["space.dropout", "hihg", "did you mean 'high'"]),
        (with_space('dropout = { low = "0", high = 0.5 }'), ["space.dropout", "a number", "'0'"]),
        (with_space("dropout = { low = 0.0, high = 0.5, log = true }"), ["space.dropout", "log", "low = 0.0"]),
        (with_space("dropout = { low = 0.1, high = 0.5, log = 1 }"), ["space.dropout", "true or false", "1"]),
        (with_space("dropout = { low = 0.0, high = 0.5, step = 0.0 }"), ["space.dropout", "step above 0"]),
        (
            with_space("dropout = { low = 0.1, high = 0.5, step = 0.1, log = true }"),
            ["space.dropout", "either log or step"],
        ),
        (with_space("dropout = { low = 0.0, high = inf }"), ["space.dropout", "finite", "inf"]),
        (with_space("dropout = { low = nan, high = 0.5 }"), ["space.dropout", "finite", "nan"]),
        (with_space("dropout = { low = 0.0, high = 1.0 }"), ["space.dropout", "1.0"]),
        (with_space("learning_rate = [0.1, 20.0]"), ["space.learning_rate", "20.0"]),
        (with_space("hidden_size = { low = 1.0, high = 8 }"), ["space.hidden_size", "integers", "1.0"]),
        (with_space("hidden_size = { low = 0, high = 8 }"), ["space.hidden_size", "0"]),
        (
            with_space("hidden_size = { low = 8, high = 64, step = 8, log = true }"),
            ["space.hidden_size", "either log or step"],
        ),
        (with_space("hidden_size = []"), ["space.hidden_size", "at least one value"]),
        (with_space("hidden_size = [8, 16, 8]"), ["space.hidden_size", "8 more than once"]),
        (with_space("hidden_size = [8, 16.0]"), ["space.hidden_size", "an integer", "16.0"]),
        (with_space('hidden_size = [8, "16"]'), ["space.hidden_size", "an integer", "'16'"]),
        (with_space("hidden_size = [8, true]"), ["space.hidden_size", "an integer", "True"]),
        (HEAD + SPACE + 'hidden_size = "64"', ["hidden_size", "integer", "'64'"]),
        (with_space("architecture = { low = 1, high = 2 }"), ["space.architecture", "list of words"]),
        (with_space('architecture = ["mlp", "rnn"]'), ["space.architecture", "'rnn'"]),
        (
            'name = "bad"\nsampler = "grid"\n[space]\nlearning_rate = { low = 1e-4, high = 1e-2, log = true }',
            ["space.learning_rate", "a grid needs values", "learning_rate = [0.0001, …, 0.01]"],
        ),
        ('name = "bad"\nsampler = "grid"\n' + SPACE, ["space.dropout", "a grid needs values", "or give it a step"]),
        (
            'name = "bad"\nsampler = "grid"\n[space]\nhidden_size = { low = 1, high = 1000 }\n'
            "batch_size = { low = 1, high = 1000 }",
            ["[space]", "at most 100,000", "1,000,000"],
        ),
    ],
)
def test_what_is_not_a_sweep_is_refused_in_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(text, source="my.toml")
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in ["my.toml: ", *words] if word not in message] == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trials", ["--set", "key=value", "'trials'"]),
        ("=3", ["--set", "key=value", "'=3'"]),
        (".trials=3", ["--set", "key=value"]),
        ("training..epochs=3", ["--set", "key=value"]),
        ("trials.more=3", ["--set trials.more=3", "trials is a value"]),
        ("trials=many", ["trials", "'many'"]),
        ("trials=", ["trials", "''"]),
        ("trails=3", ["trails: unknown key", "did you mean 'trials'"]),
        ("training.epoch=3", ["training.epoch: unknown key", "did you mean 'epochs'"]),
        ("space.dropout.high=2", ["space.dropout", "2.0"]),
    ],
)
def test_an_override_that_is_none_is_refused_in_one_line(override: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(MINIMAL, [override])
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.toml: cannot be read .*No such file"):
        read_spec(tmp_path / "gone.toml")


def test_a_folder_is_no_sweep_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path)


def test_a_binary_file_is_no_sweep_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"model\.keras: cannot be read") as refusal:
        read_spec(path)
    assert "\n" not in str(refusal.value)


def test_a_file_is_read_with_its_overrides_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert read_spec(path, ["trials=8"]).trials == 8
    with pytest.raises(SpecError, match=r"mine\.toml: sampler"):
        read_spec(path, ["sampler=none"])


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_sweep_that_ships_is_one(path: Path) -> None:
    spec = read_spec(path)
    assert spec.name == path.stem
    assert spec.target > 0
    assert parse_spec(to_toml(spec)) == spec


def test_the_grid_that_ships_has_enough_points_on_keras_tuner() -> None:
    spec = read_spec(SWEEPS / "grid.toml")
    assert (spec.engine, spec.sampler) == (Engine.KERAS_TUNER, "grid")
    assert spec.target == len(spec.space.grid()) >= 18
    assert {"hidden_size", "learning_rate", "dropout"} <= spec.space.domains.keys()


def test_the_bayesian_sweep_that_ships_searches_the_declared_ranges() -> None:
    spec = read_spec(SWEEPS / "bayesian.toml")
    assert (spec.engine, spec.sampler) == (Engine.OPTUNA, "tpe")
    assert spec.space.domains == {
        "hidden_size": IntRange(32, 512, log=True),
        "learning_rate": FloatRange(1e-4, 1e-2, log=True),
        "dropout": FloatRange(0.0, 0.5),
    }


def test_the_order_of_the_space_comes_back_too() -> None:
    # Samplers that replay a sequence draw the parameters in this order.
    space = "learning_rate = { low = 1e-4, high = 1e-2, log = true }\nbatch_size = [32, 64]\ndropout = [0.0, 0.1]"
    spec = parse_spec(with_space(space))
    assert list(parse_spec(to_toml(spec)).space.domains) == list(spec.space.domains)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("hidden_size = { low = 1, high = 1000000000 }", "1,000,000,000"),
        ("dropout = { low = 0.0, high = 0.5, step = 1e-9 }", "500,000,001"),
    ],
)
def test_a_grid_beyond_memory_is_refused_before_it_is_listed(line: str, size: str) -> None:
    with pytest.raises(SpecError, match=f"a grid of at most 100,000 points, received {size}"):
        parse_spec(f'name = "x"\nsampler = "grid"\n[space]\n{line}')


@pytest.mark.parametrize("key", ["name", "sampler", "seed", "trials", "engine"])
def test_a_value_written_as_a_table_is_refused(key: str) -> None:
    head = "" if key == "name" else 'name = "x"\n'
    with pytest.raises(SpecError, match=f"{key}: expected a value, received a table"):
        parse_spec(f"{head}[{key}]\nx = 1\n[space]\ndropout = [0.0, 0.1]")


@pytest.mark.parametrize(
    "tables",
    ["[model]\nlearning_rate = {}\n[space]\ndropout = [0.0]", "[space]\nlearning_rate = [{}]"],
    ids=["fixed", "searched"],
)
def test_a_number_beyond_all_numbers_is_refused(tables: str) -> None:
    with pytest.raises(SpecError, match="learning_rate"):
        parse_spec('name = "x"\ntrials = 1\n' + tables.format("1" + 400 * "0"))


def test_nesting_beyond_all_depth_is_no_sweep() -> None:
    with pytest.raises(SpecError, match="not TOML"):
        parse_spec("name = " + 5000 * "[")


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
    assert plain.idle == ()


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
