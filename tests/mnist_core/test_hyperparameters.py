from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from mnist_core.errors import MnistSearchError, ParameterError
from mnist_core.hyperparameters import (
    PARAMETER_TYPES,
    TRAINER_TYPES,
    Augmentation,
    EarlyStopping,
    Hyperparameters,
    ModelConfig,
    TrainingConfig,
)
from mnist_core.models.custom import CustomModel

# class, argument, what is expected, first and last good value, values just outside
INTEGERS = [
    (Hyperparameters, "hidden_layers", "an integer from 0 to 16", 0, 16, [-1, 17]),
    (Hyperparameters, "hidden_size", "an integer from 1 to 16384", 1, 16384, [0, -8, 16385]),
    (Hyperparameters, "filters", "an integer from 1 to 1024", 1, 1024, [0, 1025]),
    (Hyperparameters, "kernel_size", "an integer from 1 to 15", 1, 15, [0, 16]),
    (Hyperparameters, "blocks", "an integer from 1 to 5", 1, 5, [0, 6]),
    (Hyperparameters, "convolutions", "an integer from 1 to 4", 1, 4, [0, 5]),
    (EarlyStopping, "patience", "an integer from 1 to 100000", 1, 100_000, [0, -1, 100_001]),
    (TrainingConfig, "epochs", "an integer from 1 to 100000", 1, 100_000, [0, -1, 100_001]),
    (TrainingConfig, "batch_size", "an integer from 1 to 65536", 1, 65_536, [0, -1, 65_537]),
]
REALS = [
    (Hyperparameters, "learning_rate", "a number in (0, 10]", 5e-324, 10.0, [0, 0.0, -1e-3, 10.000001, 11]),
    (Hyperparameters, "dropout", "a number in [0, 1)", 0.0, math.nextafter(1, 0), [-1e-9, 1, 1.0, 1.5]),
    (Hyperparameters, "l2", "a number in [0, 1]", 0.0, 1.0, [-1e-9, 1.0000001]),
    (Hyperparameters, "weight_decay", "a number in [0, 10]", 0.0, 10.0, [-1e-9, 10.000001]),
    (Hyperparameters, "max_norm", "a number in [0, 1000]", 0.0, 1000.0, [-1e-9, 1000.0001]),
    (Hyperparameters, "label_smoothing", "a number in [0, 1)", 0.0, math.nextafter(1, 0), [-1e-9, 1.0]),
    (Hyperparameters, "block_dropout", "a number in [0, 1)", 0.0, math.nextafter(1, 0), [-1e-9, 1.0]),
    (TrainingConfig, "warmup", "a number in [0, 1000]", 0.0, 1000.0, [-1e-9, 1000.0001]),
    (TrainingConfig, "ema", "a number in [0, 1)", 0.0, math.nextafter(1, 0), [-1e-9, 1.0]),
    (Augmentation, "shift", "a number in [0, 100]", 0.0, 100.0, [-1e-9, 100.001]),
    (Augmentation, "rotation", "a number in [0, 180]", 0.0, 180.0, [-1e-9, 180.001]),
    (Augmentation, "zoom", "a number in [0, 1)", 0.0, math.nextafter(1, 0), [-1e-9, 1.0]),
    (Augmentation, "shear", "a number in [0, 60]", 0.0, 60.0, [-1e-9, 60.001]),
    (EarlyStopping, "min_delta", "a number in [0, 1e+06]", 0.0, 1e6, [-1e-9, 1e6 + 1]),
]
WORDS = [
    (Hyperparameters, "architecture", "transformer", "unknown value 'transformer' (known: cnn, mlp)"),
    (Hyperparameters, "architecture", "mpl", "unknown value 'mpl' (did you mean 'mlp'?)"),
    (Hyperparameters, "architecture", "MLP ", "unknown value 'MLP ' (known: cnn, mlp)"),
    (Hyperparameters, "architecture", None, "unknown value None (known: cnn, mlp)"),
    (Hyperparameters, "pooling", "maximum", "unknown value 'maximum' (did you mean 'max'?)"),
    (TrainingConfig, "schedule", "cosin", "unknown value 'cosin' (did you mean 'cosine'?)"),
    (EarlyStopping, "monitor", "val_acc", "unknown value 'val_acc' (did you mean 'val_accuracy'?)"),
    (EarlyStopping, "monitor", "xyz", "unknown value 'xyz' (known: accuracy, loss, val_accuracy, val_loss)"),
]


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [(cls, name, value) for cls, name, _, low, high, _ in INTEGERS + REALS for value in (low, high)],
)
def test_both_ends_of_a_range_are_accepted(cls: type, name: str, value: float) -> None:
    assert getattr(cls(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("cls", "name", "expected", "value"),
    [
        (cls, name, expected, value)
        for cls, name, expected, _, _, outside in INTEGERS
        for value in [*outside, 4.0, "4", None, True, math.nan, math.inf, np.int64(4)]
    ]
    + [
        (cls, name, expected, value)
        for cls, name, expected, _, _, outside in REALS
        for value in [*outside, "0.5", None, True, False, math.nan, math.inf, -math.inf, [0.5]]
    ],
)
def test_a_value_out_of_range_or_of_another_type_is_refused_with_the_expected_range(
    cls: type, name: str, expected: str, value: Any
) -> None:
    with pytest.raises(ParameterError) as caught:
        cls(**{name: value})
    assert str(caught.value) == f"{name}: expected {expected}, received {value!r}"


@pytest.mark.parametrize(("cls", "name", "value", "message"), WORDS)
def test_an_unknown_word_is_refused_with_the_nearest_known_one(cls: type, name: str, value: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        cls(**{name: value})
    assert str(caught.value) == f"{name}: {message}"


@pytest.mark.parametrize("name", ["learning_rate", "l2"])
def test_an_integer_is_accepted_as_a_number(name: str) -> None:
    assert getattr(Hyperparameters(**{name: 1}), name) == 1


def test_a_numpy_float_is_accepted_as_a_number() -> None:
    assert Hyperparameters(dropout=np.float64(0.25)).dropout == 0.25


def test_the_error_is_a_project_error_and_a_value_error() -> None:
    with pytest.raises(MnistSearchError):
        Hyperparameters(dropout=2)
    with pytest.raises(ValueError, match="dropout"):
        Hyperparameters(dropout=2)


def test_the_defaults_are_one_hidden_layer_of_128_units() -> None:
    assert dataclasses.asdict(Hyperparameters()) == {
        "architecture": "mlp",
        "hidden_layers": 1,
        "hidden_size": 128,
        "learning_rate": 1e-3,
        "dropout": 0.0,
        "batch_normalization": False,
        "l2": 0.0,
        "weight_decay": 0.0,
        "max_norm": 0.0,
        "label_smoothing": 0.0,
        "filters": 32,
        "kernel_size": 3,
        "blocks": 2,
        "convolutions": 1,
        "pooling": "max",
        "block_dropout": 0.0,
    }


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_boolean_is_true_or_false(value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        Hyperparameters(batch_normalization=value)
    assert str(caught.value) == f"batch_normalization: expected true or false, received {value!r}"


def test_a_parameter_that_the_architecture_does_not_have_is_inactive() -> None:
    values = Hyperparameters(filters=8, blocks=3, dropout=0.5)
    assert values.inactive == ("filters", "blocks")
    assert "filters" not in values.active_values()
    convolutional = Hyperparameters("cnn", filters=8, blocks=3, dropout=0.5)
    assert convolutional.inactive == ()
    assert convolutional.active_values() == dataclasses.asdict(convolutional)


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "val_loss", "val_accuracy"])
def test_every_curve_can_be_monitored(monitor: str) -> None:
    assert EarlyStopping(monitor=monitor).monitor == monitor


@pytest.mark.parametrize("values", [Hyperparameters(), EarlyStopping(), Augmentation(), TrainingConfig()])
def test_values_are_frozen_equal_by_content_and_hashable(values: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(values, dataclasses.fields(values)[0].name, 3)
    assert len({values, type(values)()}) == 1


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ParameterError, match="hidden_size"):
        dataclasses.replace(Hyperparameters(), hidden_size=0)


def test_parameter_types_are_those_of_the_defaults() -> None:
    assert {name: type(value) for name, value in dataclasses.asdict(Hyperparameters()).items()} == PARAMETER_TYPES


def test_trainer_types_are_those_of_its_settings() -> None:
    settings = TrainingConfig().flat()
    assert {name: type(settings[name]) for name in TRAINER_TYPES} == TRAINER_TYPES


def test_settings_of_trainer_and_augmentation_are_replaced_by_their_names() -> None:
    config = TrainingConfig(epochs=3).with_values({"batch_size": 32, "shift": 2, "ema": 0.5})
    assert config == TrainingConfig(epochs=3, batch_size=32, ema=0.5, augmentation=Augmentation(shift=2))
    with pytest.raises(ParameterError, match="zoom"):
        config.with_values({"zoom": 2})


# As configs of a model


def test_replacing_values_removes_those_of_another_architecture() -> None:
    fixed = Hyperparameters("cnn", filters=8, hidden_size=16)
    assert fixed.with_values({"hidden_size": 32}) == Hyperparameters("cnn", filters=8, hidden_size=32)
    assert fixed.with_values({"architecture": "mlp"}) == Hyperparameters("mlp", hidden_size=16)
    assert Hyperparameters(filters=8).with_values({"architecture": "cnn"}) == Hyperparameters("cnn", filters=8)


def test_values_that_one_of_the_architectures_has_are_kept() -> None:
    fixed = Hyperparameters("mlp", filters=8)
    assert fixed.without_inactive(["mlp", "cnn"]) == fixed
    assert fixed.without_inactive(["mlp"]) == Hyperparameters("mlp")


def test_a_replaced_value_is_checked() -> None:
    with pytest.raises(ParameterError, match="dropout: expected a number"):
        Hyperparameters().with_values({"dropout": 1.5})


def test_images_are_checked_for_convolutions_alone() -> None:
    Hyperparameters("mlp", blocks=5).check_images((6, 5))
    with pytest.raises(ParameterError, match="6 × 5 pixels"):
        Hyperparameters("cnn", blocks=3).check_images((6, 5))


def test_structures_are_equal_where_only_rates_differ() -> None:
    values = Hyperparameters("cnn", learning_rate=0.1, dropout=0.2, block_dropout=0.1)
    same = dataclasses.replace(values, learning_rate=0.01, dropout=0.3, block_dropout=0.4)
    assert values.structure == same.structure
    others = [{"dropout": 0.0}, {"block_dropout": 0.0}, {"l2": 0.1}, {"weight_decay": 0.1}, {"label_smoothing": 0.1}]
    others += [{"max_norm": 2.0}, {"hidden_size": 7}, {"filters": 9}, {"pooling": "average"}, {"architecture": "mlp"}]
    assert [other for other in others if values.with_values(other).structure == values.structure] == []
    assert CustomModel("package.module:function").structure is None


@pytest.mark.parametrize(
    "config",
    [Hyperparameters(hidden_size=4), CustomModel("tests.helpers.custom_parts:softmax", {"units": 3})],
    ids=lambda config: type(config).__name__,
)
def test_every_config_builds_a_compiled_model(config: ModelConfig) -> None:
    model = config.build((12, 12))
    assert (model.input_shape, model.output_shape, model.compiled) == ((None, 12, 12), (None, 10), True)


def test_the_arguments_of_a_custom_model_are_replaced_or_added() -> None:
    config = CustomModel("package.module:function", {"units": 3, "rate": 0.1})
    changed = CustomModel("package.module:function", {"units": 4, "rate": 0.1, "depth": 2})
    assert config.with_values({"units": 4, "depth": 2}) == changed
    assert (config.architecture, config.inactive, config.without_inactive([])) == (None, (), config)
