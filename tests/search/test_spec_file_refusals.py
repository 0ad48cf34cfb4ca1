"""Refusals of sweep files, each in one line with the place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_core.errors import SpecError
from search.spec_file import parse_spec, read_spec_file

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
        (with_head("[training]\nshift = 1.0"), ["training.shift: expected in [training.augmentation]"]),
        (with_head("[model]\nbatch_size = 32"), ["model.batch_size: expected in [training]"]),
        (with_head("[training]\nhidden_size = 32"), ["training.hidden_size: expected in [model]"]),
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
        (with_space("hidden_size = { values = 5 }"), ["space.hidden_size: expected a list of values", "5"]),
        (
            with_space("hidden_size = { low = 1, high = 5, values = [1] }"),
            ["space.hidden_size: expected a list"],
        ),
        (
            with_head('objective = "val_loss"').replace("dropout", "label_smoothing"),
            ["space.label_smoothing: part of val_loss", "'val_accuracy'"],
        ),
        (
            with_head('objectives = ["val_accuracy:max", "val_loss:min"]').replace("dropout", "l2"),
            ["space.l2: part of val_loss", "'val_accuracy'"],
        ),
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
        (with_head('trial_timeout = "10 minutes"'), ["trial_timeout: expected a time such as 90s", "'10 minutes'"]),
        (with_head('trial_timeout = ""'), ["trial_timeout", "''"]),
        (with_head("trial_timeout = 0"), ["trial_timeout", "received 0"]),
        (with_head("trial_timeout = -1.5"), ["trial_timeout", "-1.5"]),
        (with_head("trial_timeout = inf"), ["trial_timeout", "inf"]),
        (with_head("trial_timeout = nan"), ["trial_timeout", "nan"]),
        (with_head("trial_timeout = true"), ["trial_timeout", "True"]),
        (with_head("trial_timeout = [3]"), ["trial_timeout", "[3]"]),
        (with_head("trial_timeout = 1" + 400 * "0"), ["trial_timeout", "expected a time"]),
        (with_head('[stop]\ntime = "soon"'), ["stop.time: expected a time such as 90s", "'soon'"]),
        (with_head("[stop]\ntime = 0"), ["stop.time", "received 0"]),
        (with_head("[stop]\ntime = nan"), ["stop.time", "nan"]),
        (with_head("[stop]\nepochs = 0"), ["stop.epochs: expected a number of epochs, 1 or more, received 0"]),
        (with_head("[stop]\nepochs = 2.5"), ["stop.epochs", "2.5"]),
        (with_head("[stop]\nplateau = -3"), ["stop.plateau: expected a number of trials, 1 or more, received -3"]),
        (with_head("[stop]\nplateau = true"), ["stop.plateau", "True"]),
        (with_head("[stop]\ntarget = nan"), ["stop.target: expected a value of the objective", "nan"]),
        (with_head("[stop]\ntarget = 0"), ["stop.target", "received 0"]),
        (with_head('[stop]\ntarget = "0.9"'), ["stop.target", "'0.9'"]),
        (with_head("[stop]\ntarget = 98.5"), ["stop.target: expected an accuracy, at most 1, received 98.5"]),
        (with_head('objective = "val_loss"\n[stop]\ntarget = 1' + 400 * "0"), ["stop.target", "the objective"]),
        (with_head("[stop]\nepoch = 5"), ["stop.epoch: unknown key", "did you mean 'epochs'"]),
        (with_head("stop = 5"), ["stop: expected a table, received 5"]),
        (
            with_head('objectives = ["val_accuracy:max", "model_size:min"]\n[stop]\ntarget = 0.9'),
            ["stop.target: expected one objective"],
        ),
        (
            with_head('objectives = ["val_accuracy:max", "model_size:min"]\n[stop]\nplateau = 3'),
            ["stop.plateau: expected one objective"],
        ),
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
def test_a_text_that_is_no_sweep_is_refused_in_one_line(text: str, words: list[str]) -> None:
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
        parse_spec(HEAD + SPACE, [override])
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.toml: cannot be read .*No such file"):
        read_spec_file(tmp_path / "gone.toml")


def test_a_folder_is_no_sweep_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec_file(tmp_path)


def test_a_binary_file_is_no_sweep_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"model\.keras: cannot be read") as refusal:
        read_spec_file(path)
    assert "\n" not in str(refusal.value)


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
