from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.runtime import reset
from mnist_core.training.fused_adam import fused_adam

KERNEL = "ResourceApplyAdam"
STEPS = 40
SHAPES = ((6, 4), (4,))
Optimizer = Callable[[], keras.optimizers.Optimizer]


class Subclass(keras.optimizers.Adam):
    """An optimizer that may do anything in its updates."""


def excluding() -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def scaled() -> keras.optimizers.Optimizer:
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01, clipnorm=0.1), initial_scale=4.0, dynamic_growth_steps=2
    )


FUSED: dict[str, Optimizer] = {
    "plain": lambda: keras.optimizers.Adam(0.01),
    "other numbers": lambda: keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.99, epsilon=0.01),
    "a beta_1 near 1": lambda: keras.optimizers.Adam(0.1, beta_1=0.999),
    "a schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, STEPS)),
    "weight decay": excluding,
    "global clipnorm": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.05),
    "gradient accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "an average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=5),
    "loss scaling": scaled,
}
LEFT_TO_KERAS: dict[str, Optimizer] = {
    "AMSGrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "a subclass": lambda: Subclass(0.01),
    "a beta_1 too near 1": lambda: keras.optimizers.Adam(0.01, beta_1=0.9999),
    "a beta_2 too near 1": lambda: keras.optimizers.Adam(0.01, beta_2=0.9999),
    "a beta that float32 rounds to 1": lambda: keras.optimizers.Adam(0.01, beta_2=1 - 1e-9),
    "a beta of 1": lambda: keras.optimizers.Adam(0.01, beta_1=1.0),
    "SGD": lambda: keras.optimizers.SGD(0.01),
}


def variables_of(dtype: str = "float32") -> list[keras.Variable]:
    rng = np.random.default_rng(0)
    names = ("kernel", "bias")
    return [keras.Variable(rng.normal(size=size), dtype=dtype, name=n) for size, n in zip(SHAPES, names, strict=True)]


def gradients() -> list[list[np.ndarray]]:
    """The gradients of each step: of all sizes, and some that are zero until late, as those of a rare pixel."""
    rng = np.random.default_rng(1)
    steps = []
    for step in range(STEPS):
        kernel, bias = (rng.normal(size=size) * 10.0 ** rng.integers(-9, 2, size) for size in SHAPES)
        kernel[0] *= step > STEPS // 2
        steps.append([kernel.astype(np.float32), bias.astype(np.float32)])
    return steps


def stepper(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> tf.types.experimental.ConcreteFunction:
    """The optimizer's step from gradients, traced here and now."""
    optimizer.build(variables)
    specs = [tf.TensorSpec(variable.shape, tf.float32) for variable in variables]
    return tf.function(lambda *given: optimizer.apply(list(given), variables)).get_concrete_function(*specs)


@dataclass(frozen=True)
class Outcome:
    """The values after all steps, and the types of the operations of a step."""

    weights: list[np.ndarray]
    state: list[np.ndarray]
    operations: list[str]


def after_all_steps(make: Optimizer, fused: bool, dtype: str = "float32") -> Outcome:
    reset(0)
    optimizer, variables = make(), variables_of(dtype)
    optimizer.build(variables)
    with fused_adam(optimizer) if fused else contextlib.nullcontext():
        step = stepper(optimizer, variables)
    for given in gradients():
        step(*map(tf.constant, given))
    weights, state = ([np.asarray(one.value) for one in part] for part in (variables, optimizer.variables))
    return Outcome(weights, state, operations(step))


def operations(function: tf.types.experimental.ConcreteFunction) -> list[str]:
    definition = function.graph.as_graph_def()
    inner = [node.op for part in definition.library.function for node in part.node_def]
    return [*inner, *(node.op for node in definition.node)]


@pytest.mark.parametrize("name", FUSED)
def test_the_kernel_computes_what_keras_computes_up_to_rounding(name: str) -> None:
    ours, theirs = after_all_steps(FUSED[name], fused=True), after_all_steps(FUSED[name], fused=False)
    assert KERNEL in ours.operations
    assert KERNEL not in theirs.operations
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        # Values about 1; steps of 0.01 that were off by 1e-5 of their size would be noticed.
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=3e-7)
    for one, other in zip(ours.state, theirs.state, strict=True):
        # The kernel's 1 - 0.999 is a float32.
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "dtype"),
    [*((make, "float32") for make in LEFT_TO_KERAS.values()), (FUSED["plain"], "float64"), (FUSED["plain"], "float16")],
    ids=[*LEFT_TO_KERAS, "float64", "float16"],
)
def test_what_the_kernel_does_not_fit_is_left_to_keras(make: Optimizer, dtype: str) -> None:
    ours, theirs = (after_all_steps(make, fused, dtype) for fused in (True, False))
    assert KERNEL not in ours.operations
    for one, other in zip(ours.weights + ours.state, theirs.weights + theirs.state, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rate_that_is_set_between_steps_is_followed() -> None:
    optimizer, variables = keras.optimizers.Adam(0.1), variables_of()
    optimizer.build(variables)
    with fused_adam(optimizer):
        step = stepper(optimizer, variables)
    optimizer.learning_rate = 0.0
    before = variables[0].numpy()
    step(*map(tf.constant, gradients()[-1]))
    np.testing.assert_array_equal(variables[0].numpy(), before)
    optimizer.learning_rate = 0.5
    step(*map(tf.constant, gradients()[-1]))
    # Twice the same gradient: each step is the rate.
    np.testing.assert_allclose(np.abs(variables[0].numpy() - before).max(), 0.5, rtol=1e-4)


def test_a_sparse_gradient_is_left_to_keras() -> None:
    results = []
    for context in (fused_adam, lambda _: contextlib.nullcontext()):
        optimizer, (table, _) = keras.optimizers.Adam(0.01), variables_of()
        optimizer.build([table])
        with context(optimizer):
            rows = tf.IndexedSlices(tf.ones((2, 4)), tf.constant([1, 3]), tf.constant([6, 4]))
            tf.function(lambda: optimizer.apply([rows], [table])).get_concrete_function()()  # noqa: B023
        results.append(table.numpy())
    np.testing.assert_array_equal(*results)


def test_the_optimizer_is_unchanged_after_the_block_and_after_an_error() -> None:
    optimizer, variables = scaled(), variables_of()
    optimizer.build(variables)
    with contextlib.suppress(ZeroDivisionError), fused_adam(optimizer):
        assert KERNEL in operations(stepper(optimizer, variables))
        raise ZeroDivisionError
    assert KERNEL not in operations(stepper(optimizer, variables))


def test_a_model_that_is_saved_after_fused_steps_goes_on_like_one_of_keras(tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(size=(32, 5)).astype("float32")
    labels = np.arange(32) % 3
    models = []
    for context in (fused_adam, lambda _: contextlib.nullcontext()):
        reset(0)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="softmax")])
        model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        with context(model.optimizer):
            model.fit(images, labels, 8, epochs=2, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
        assert int(model.optimizer.iterations) == 8
        model.fit(images, labels, 8, epochs=4, initial_epoch=2, shuffle=False, verbose=0)
        models.append(model)
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
