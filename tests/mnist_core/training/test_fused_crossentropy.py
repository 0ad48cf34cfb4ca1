from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from mnist_core.training.fused_crossentropy import fused_crossentropy

LOGITS = np.random.default_rng(0).normal(size=(50, 10)).astype("float32") * 10
LABELS = np.arange(50, dtype=np.int32) % 10


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    """Operations are deterministic, as in a worker."""
    before = config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    yield
    if not before:
        config.disable_op_determinism()


def loss_and_gradient() -> tf.types.experimental.ConcreteFunction:
    def compute(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return loss, tape.gradient(loss, logits)

    specs = tf.TensorSpec((None, 10), tf.float32), tf.TensorSpec((None,), tf.int32)
    return tf.function(compute).get_concrete_function(*specs)


def uses_kernel(function: tf.types.experimental.ConcreteFunction) -> bool:
    return "SparseSoftmaxCrossEntropyWithLogits" in {one.type for one in function.graph.get_operations()}


def test_the_kernel_gives_the_loss_and_the_gradient_of_the_composed_operations_and_the_same_bits_again() -> None:
    composed = loss_and_gradient()
    with fused_crossentropy():
        fused = loss_and_gradient()
    assert (uses_kernel(composed), uses_kernel(fused)) == (False, True)
    results = [function(tf.constant(LOGITS), tf.constant(LABELS)) for function in (composed, fused, fused)]
    for one, other, again in zip(*results, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(other, again)


def test_operations_are_deterministic_again_after_the_block_and_after_an_error() -> None:
    with contextlib.suppress(ZeroDivisionError), fused_crossentropy():
        assert not config.is_op_determinism_enabled()
        raise ZeroDivisionError
    assert config.is_op_determinism_enabled()


def test_a_process_without_determinism_stays_without() -> None:
    config.disable_op_determinism()
    with fused_crossentropy():
        assert uses_kernel(loss_and_gradient())
    assert not config.is_op_determinism_enabled()


def test_nothing_changes_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    with fused_crossentropy():
        assert not uses_kernel(loss_and_gradient())
