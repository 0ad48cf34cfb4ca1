from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from mnist_core.data.images import Split
from mnist_core.hyperparameters import Augmentation, Hyperparameters, TrainingConfig
from mnist_core.metrics import TrainingResult
from mnist_core.runtime import reset
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentSplit, prepare
from mnist_core.training.function_cache import CAPACITY, MAX_BYTES, FunctionCache, Traced
from mnist_core.training.trainer import train
from mnist_core.training.weight_average import WeightAverage

OFFSET = tf.constant([100.0])


def adding(variable: tf.Variable, other: tf.Tensor = OFFSET) -> Callable[[], Traced]:
    """Traces ``variable += 1``, which returns the new value and a constant."""
    return tf.function(lambda: variable.assign_add([1.0]) + other).get_concrete_function


def variable(value: float) -> tf.Variable:
    return tf.Variable([value])


def never() -> Traced:
    raise AssertionError("traced again")


def test_a_function_is_traced_once_and_works_on_the_variables_of_each_caller() -> None:
    cache, one, other = FunctionCache(), variable(1.0), variable(5.0)
    first = cache.bind("key", [one], [OFFSET], adding(one))
    second = cache.bind("key", [other], [OFFSET], never)
    assert [float(call()[0]) for call in (first, second, first, second)] == [102.0, 106.0, 103.0, 107.0]
    assert (float(one[0]), float(other[0])) == (3.0, 7.0)


def test_another_key_and_no_key_are_traced() -> None:
    cache, one = FunctionCache(), variable(1.0)
    cache.bind("key", [one], [OFFSET], adding(one))
    for key in ("another", None, None):
        with pytest.raises(AssertionError, match="traced again"):
            cache.bind(key, [one], [OFFSET], never)
    cache.bind(None, [one], [OFFSET], adding(one))
    assert len(cache) == 1


def test_a_function_that_reads_something_unknown_is_not_kept() -> None:
    cache, one, unknown = FunctionCache(), variable(1.0), variable(2.0)
    assert float(cache.bind("key", [one], [OFFSET], adding(one, unknown))()[0]) == 4.0
    cache.bind("key", [one], [], adding(one, tf.random.normal([1000])))
    assert len(cache) == 0


def test_the_functions_that_were_used_last_are_kept() -> None:
    cache, one = FunctionCache(), variable(1.0)
    for key in range(CAPACITY):
        cache.bind(key, [one], [OFFSET], adding(one))
    cache.bind(0, [one], [OFFSET], never)
    cache.bind("new", [one], [OFFSET], adding(one))
    assert len(cache) == CAPACITY
    cache.bind(0, [one], [OFFSET], never)
    with pytest.raises(AssertionError, match="traced again"):
        cache.bind(1, [one], [OFFSET], never)


def test_large_variables_are_not_held_by_many_functions() -> None:
    cache, one = FunctionCache(), variable(1.0)
    # A function holds the variables of two models, float32.
    third = tf.Variable(tf.zeros([MAX_BYTES // 24 - 1]))
    for key in range(4):
        cache.bind(key, [one, third], [OFFSET], adding(one))
    assert len(cache) == 3
    cache.bind("too large", [one, *[third] * 4], [OFFSET], adding(one))
    assert len(cache) == 3


# Trainings

BASE = Hyperparameters(hidden_size=12, dropout=0.2, batch_normalization=True)
OTHER_VALUES = replace(BASE, learning_rate=0.02, dropout=0.4)
CONFIG = TrainingConfig(epochs=2, batch_size=100, schedule="cosine", ema=0.9)


def trained(values: Hyperparameters, data: ResidentSplit, seed: int = 3) -> tuple[TrainingResult, list[np.ndarray]]:
    reset(seed)
    model = values.build()
    return train(model, data, CONFIG, seed, structure=values.structure), model.get_weights()


def test_a_training_repeats_to_the_last_bit_after_others_in_the_same_process(small_split: Split) -> None:
    alone, weights = trained(OTHER_VALUES, ResidentSplit.load(small_split))
    data = ResidentSplit.load(small_split)
    before, _ = trained(BASE, data, seed=1)
    after, same_weights = trained(OTHER_VALUES, data)
    assert (len(data.train.functions), len(data.validation.functions)) == (1, 1)
    assert after == alone
    assert after.history != before.history
    for one, other in zip(weights, same_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_epochs_of_other_settings_are_traced_separately(small_split: Split) -> None:
    data = ResidentSplit.load(small_split).train
    values = Hyperparameters(hidden_layers=0)
    settings = [
        (100, Augmentation(), None, False),
        (50, Augmentation(), None, False),
        (100, Augmentation(shift=1), None, False),
        (100, Augmentation(), 0.9, False),
        (100, Augmentation(), 0.5, False),
        (100, Augmentation(), None, True),
    ]
    for batch_size, augmentation, momentum, scheduled in settings * 2:
        model = values.build()
        prepare(model, data)
        average = WeightAverage(model, momentum) if momentum else None
        CompiledEpoch(model, data, batch_size, augmentation, average, scheduled, values.structure)
    assert len(data.functions) == len(settings)


def test_any_structure_but_none_is_one(small_split: Split) -> None:
    data = ResidentSplit.load(small_split).train
    values = Hyperparameters(hidden_layers=0)
    for batch_size in (100, 50):
        CompiledEpoch(values.build(), data, batch_size, structure=0)
    assert len(data.functions) == 2


def test_a_kept_function_keeps_no_model(small_split: Split) -> None:
    data = ResidentSplit.load(small_split)
    reset(0)
    model = BASE.build()
    CompiledEpoch(model, data.train, 100, structure=BASE.structure)
    assert len(data.train.functions) == 1
    gone = weakref.ref(model)
    del model
    reset(0)
    gc.collect()
    assert gone() is None
