"""Custom models and data, and the refusals of those that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from mnist_core.data.sources import DataSource, Origin, load_arrays
from mnist_core.errors import DataError, ParameterError, SpecError
from mnist_core.functions import load_function
from mnist_core.models.custom import CustomModel
from search.domains import Choices, FloatRange, IntRange
from search.preflight import check_function
from search.spec_file import parse_spec, to_toml

HEAD = 'name = "own"\ntrials = 3\n'
CUSTOM = """
name = "own"
trials = 3
[model]
function = "tests.helpers.custom_parts:softmax"
rate = 0.1
[space]
units = { low = 4, high = 64, log = true }
batch_size = [32, 64]
"""


def test_a_sweep_of_a_custom_model_searches_its_arguments_and_the_trainers_settings() -> None:
    spec = parse_spec(CUSTOM)
    check_function(spec)
    assert dict(spec.space.domains) == {"units": IntRange(4, 64, log=True), "batch_size": Choices((32, 64))}
    trial = spec.trial(0, {"units": 5, "batch_size": 32})
    assert trial.hyperparameters == CustomModel("tests.helpers.custom_parts:softmax", {"rate": 0.1, "units": 5})
    assert trial.training.batch_size == 32
    assert parse_spec(to_toml(spec)) == spec
    assert spec.space.parse({"units": "5", "batch_size": "64", "filters": "3"}) == {"units": 5, "batch_size": 64}


def test_a_model_may_be_named_in_one_word() -> None:
    spec = parse_spec(
        HEAD + 'model = "tests.helpers.custom_parts:softmax"\n[space]\nunits = [4]\nrate = { low = 0.1, high = 1 }'
    )
    check_function(spec)
    assert spec.model == CustomModel("tests.helpers.custom_parts:softmax")
    assert spec.space.domains["rate"] == FloatRange(0.1, 1.0)
    assert parse_spec(to_toml(spec)) == spec


@pytest.mark.parametrize("name", ["with_a_seed_of_its_own", "typed_for_checkers_alone"])
def test_a_name_that_is_not_used_and_a_type_that_cannot_be_had_are_no_obstacle(name: str) -> None:
    check_function(parse_spec(f'{HEAD}model = "tests.helpers.custom_parts:{name}"\n[space]\nunits = [4]'))


def test_conditions_of_the_factory_do_not_hold_for_a_custom_model() -> None:
    text = HEAD + 'model = "tests.helpers.custom_parts:anything"\n[space]\narchitecture = ["a", "b"]\nfilters = [1, 2]'
    spec = parse_spec(text)
    check_function(spec)
    assert {"architecture": "a", "filters": 2} in spec.space
    assert len(spec.space.branches) == 1


def test_listed_points_of_a_custom_model_come_back_from_their_text() -> None:
    text = (
        'name = "own"\nengine = "listed"\nsampler = "listed"\nmodel = "tests.helpers.custom_parts:softmax"\n'
        "[[points]]\nunits = 4\nrate = 0.5\nseed = 3\n[[points]]\nunits = 8\nrate = 1\nseed = 4\n"
    )
    spec = parse_spec(text)
    check_function(spec)
    assert spec.trial(1, spec.points[1]).hyperparameters == CustomModel(
        "tests.helpers.custom_parts:softmax", {"units": 8, "rate": 1.0}
    )
    assert spec.trial(1, spec.points[1]).seed == 4
    assert parse_spec(to_toml(spec)) == spec


@pytest.mark.parametrize(
    ("function", "space", "words"),
    [
        ("own_parts", "units = [4]", ["expected 'package.module:function'", "'own_parts'"]),
        ("own_party:softmax", "units = [4]", ["own_party:softmax", "cannot be imported", "ModuleNotFoundError"]),
        ("tests.helpers.custom_parts:sofmax", "units = [4]", ["has no 'sofmax'", "did you mean 'softmax'"]),
        ("tests.helpers.custom_parts:a_number", "units = [4]", ["expected a function, found int"]),
        ("tests.helpers.custom_parts:softmax", "unit = [4]", ["unit: ", "no such argument", "did you mean 'units'"]),
        ("tests.helpers.custom_parts:softmax", "rate = [0.1]", ["units: ", "needs it", "[space]"]),
        ("tests.helpers.custom_parts:softmax", "units = [4.5]", ["units: ", "takes int, the sweep gives float"]),
        (
            "tests.helpers.custom_parts:softmax",
            "units = [4]\nrate = [1, 2]",
            ["rate: ", "takes float", "write 1.0 for 1"],
        ),
        ("tests.helpers.custom_parts:softmax", 'units = ["many"]', ["units: ", "takes int, the sweep gives str"]),
        (
            "tests.helpers.custom_parts:with_own_epochs",
            "units = [4]\nepochs = [2]",
            ["epochs: ", "recorded for another parameter"],
        ),
        (
            "tests.helpers.custom_parts:softmax",
            "units = [4]\ninput_shape = [28]",
            ["input_shape: ", "receives the size of the images"],
        ),
        ("builtins:dict", "units = [4]", ["builtins:dict", "arguments cannot be read"]),
    ],
)
def test_what_does_not_fit_the_function_is_refused_in_one_line(function: str, space: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        check_function(parse_spec(f'{HEAD}model = "{function}"\n[space]\n{space}'))
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[model]\nfunction = 3\n[space]\nunits = [4]", ["model.function", "3"]),
        ('[model]\nfunction = "a:b"\nunits = [4]\n[space]\nrate = [0.1]', ["model.units", "[4]"]),
        ('[model]\nfunction = "a:b"\nbatch_size = 4\n[space]\nrate = [0.1]', ["model.batch_size", "4"]),
        ('[model]\nfunction = "a:b"\nunits = 4\n[space]\nunits = [4]', ["space.units", "[model]", "keep one"]),
        ('model = "a:b"\n[space]\nunits = [4, "x"]', ["space.units", "all of one type"]),
        ('model = "a:b"\n[space]\nunits = [[4]]', ["space.units", "all of one type"]),
        ('model = "a:b"', ["[space]", "at least one parameter"]),
        ("[data]\nfunction = 3\n[space]\ndropout = [0.1]", ["data.function", "3"]),
    ],
)
def test_what_is_no_sweep_of_an_own_model_is_refused_in_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(HEAD + text)
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_an_own_model_is_built_for_the_shape_of_the_images() -> None:
    model = CustomModel("tests.helpers.custom_parts:softmax", {"units": 3}).build((12, 12))
    assert model.input_shape == (None, 12, 12)
    assert isinstance(model.optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("not_a_model", ["expected a compiled Keras model", "returned dict"]),
        ("ending_its_process", ["expected a model or an exception", "ended its process (exit code 0)"]),
        ("not_compiled", ["expected a compiled Keras model", "not compiled"]),
        ("of_three_classes", ["to (None, 10)", "to (None, 3)"]),
        ("with_an_own_layer", ["Keras can load by itself", "Doubled of tests.helpers.custom_parts"]),
        ("with_a_lambda", ["Keras can load by itself", "a lambda"]),
        ("with_a_layer_of_another_library", ["Keras can load by itself", "Garment of keras_garments"]),
        (
            "subclassed",
            ["Keras can load by itself", "Subclassed of tests.helpers.custom_parts", "keras.Model(inputs, outputs)"],
        ),
        ("with_own_steps", ["Keras can load by itself", "OwnSteps of tests.helpers.custom_parts"]),
        ("with_logits", ["expected probabilities", "make a softmax the last layer"]),
        ("with_an_average_of_its_own", ["use_ema: ", "set ema in [training]"]),
    ],
)
def test_a_function_that_returns_something_else_is_named(name: str, words: list[str]) -> None:
    with pytest.raises(ParameterError) as refusal:
        CustomModel(f"tests.helpers.custom_parts:{name}", {"units": 3}).build()
    assert [
        word for word in [f"function tests.helpers.custom_parts:{name}: ", *words] if word not in str(refusal.value)
    ] == []


# Data


@pytest.mark.parametrize("name", ["stripes", "stripes_in_pairs"])
def test_own_data_has_its_two_parts(name: str) -> None:
    source = DataSource(Origin.FUNCTION, function=f"tests.helpers.custom_parts:{name}")
    training, test = source.load_training(), source.load_test()
    assert (len(training), len(test)) == (400, 100)
    assert training.shape == (12, 12)
    assert training.labels.dtype == np.uint8
    assert source.location == f"tests.helpers.custom_parts:{name}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("floats", ["train images: expected uint8 (n, height, width)", "float32 (400, 12, 12)"]),
        ("too_few", ["expected x_train, y_train, x_test, y_test", "returned 3 values"]),
        ("a_dictionary", ["expected x_train, y_train, x_test, y_test", "returned dict"]),
        ("nothing", ["expected x_train, y_train, x_test, y_test", "returned NoneType"]),
        ("broken", ["the cable is out"]),
        ("without_data", ["it raised SystemExit: no data"]),
        ("missing", ["has no 'missing'"]),
    ],
)
def test_own_data_that_is_none_is_refused_in_one_line(name: str, words: list[str]) -> None:
    with pytest.raises(DataError) as refusal:
        load_arrays(f"tests.helpers.custom_parts:{name}", "train")
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in [f"function tests.helpers.custom_parts:{name}: ", *words] if word not in message] == []


def test_modules_of_the_working_directory_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def answer(): return 42")
    monkeypatch.setattr(sys, "path", list(sys.path))  # which is given back as it was
    assert load_function("only_here:answer")() == 42


def test_a_module_that_exits_when_it_is_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit('usage: script.py FOLDER')")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ParameterError, match=r"cannot be imported: SystemExit: usage: script.py FOLDER"):
        load_function("script:build")
