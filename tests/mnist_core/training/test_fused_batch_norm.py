from __future__ import annotations

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from mnist_core.data.images import LabelledImages, Split
from mnist_core.runtime import reset
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentImages
from mnist_core.training.fused_batch_norm import fused_batch_norm

FUSED = "FusedBatchNormV3"
BATCH = 33
IMAGES = 100  # three batches, and one of a single image


def flat(normalisation: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [keras.layers.Flatten(), keras.layers.Dense(6), normalisation]


def convolved(normalisation: keras.layers.Layer) -> list[keras.layers.Layer]:
    convolution = keras.layers.Conv2D(3, 3, strides=2)
    return [keras.layers.Reshape((28, 28, 1)), convolution, normalisation, keras.layers.Flatten()]


def nested(normalisation: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [keras.Sequential([keras.Input((28, 28)), *convolved(normalisation)])]


Parts = Callable[[keras.layers.Layer], list[keras.layers.Layer]]


def compiled(middle: list[keras.layers.Layer]) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            *middle,
            keras.layers.ReLU(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return model


def network(parts: Parts, **options: object) -> keras.Model:
    reset(0)
    return compiled(parts(keras.layers.BatchNormalization(**options)))


def operations(model: keras.Model) -> list[str]:
    """Types of the operations in a forward step."""
    spec = tf.TensorSpec((None, 28, 28), tf.float32)
    graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(spec).graph
    return [operation.type for operation in graph.get_operations()]


@pytest.fixture
def images(small_split: Split) -> LabelledImages:
    return small_split.train.take(np.arange(IMAGES))


FUSIBLE: dict[str, dict[str, object]] = {"plain": {}, "other_numbers": {"momentum": 0.5, "epsilon": 0.1}}
LEFT_TO_KERAS: dict[str, dict[str, object]] = {
    "small_epsilon": {"epsilon": 1e-6},
    "without_offset": {"center": False},
    "without_scale": {"scale": False},
    "renorm": {"renorm": True},
    "not_trained": {"trainable": False},
    "bfloat16": {"dtype": "mixed_bfloat16"},
    "float64": {"dtype": "float64"},
}


def branched(parts: Parts, options_of: dict[str, dict[str, object]]) -> keras.Model:
    """A network with a branch for each set of options, its normalisation named after them."""
    reset(0)
    pixels, branches = keras.Input((28, 28)), []
    for name, options in options_of.items():
        x = pixels
        for layer in [*parts(keras.layers.BatchNormalization(name=name, **options)), keras.layers.Flatten()]:
            x = layer(x)
        branches.append(x)
    return compiled([keras.Model(pixels, keras.layers.Concatenate()(branches))])


def fused_layers(model: keras.Model) -> set[str]:
    """Names of the normalisations that the kernel computes in a forward step."""
    spec = tf.TensorSpec((None, 28, 28), tf.float32)
    graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(spec).graph
    kernels = [operation.name for operation in graph.get_operations() if operation.type == FUSED]
    # The scope of a call is the layer's name and the number of the call.
    return {kernel.split("/")[-2].rpartition("_")[0] for kernel in kernels}


@pytest.mark.parametrize("parts", [flat, convolved, nested])
@pytest.mark.parametrize("options_of", [FUSIBLE, LEFT_TO_KERAS], ids=["fused", "left to Keras"])
def test_an_epoch_computes_what_keras_computes(
    images: LabelledImages, parts: Parts, options_of: dict[str, dict[str, object]]
) -> None:
    ours, theirs = branched(parts, options_of), branched(parts, options_of)
    with fused_batch_norm(ours):
        assert fused_layers(ours) == (set(FUSIBLE) if options_of is FUSIBLE else set())
    CompiledEpoch(ours, ResidentImages.load(images), BATCH)(np.random.default_rng(0))
    order = np.random.default_rng(0).permutation(IMAGES)
    for start in range(0, IMAGES, BATCH):
        chosen = order[start : start + BATCH]
        theirs.train_on_batch(images.images[chosen], images.labels[chosen].astype(int))
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-3, atol=2e-5, err_msg=mine.path)


def test_normalisation_of_another_axis_than_the_last_is_left_to_keras() -> None:
    model = network(convolved, axis=1)
    with fused_batch_norm(model):
        assert FUSED not in operations(model)


def test_the_model_is_unchanged_after_the_block_and_after_an_error() -> None:
    model = network(convolved)
    with contextlib.suppress(ZeroDivisionError), fused_batch_norm(model):
        assert FUSED in operations(model)
        raise ZeroDivisionError
    assert FUSED not in operations(model)


def test_a_layer_that_is_used_twice_is_fused_twice() -> None:
    shared = keras.layers.BatchNormalization()
    x = pixels = keras.Input((28, 28, 1))
    model = keras.Model(pixels, shared(keras.layers.ReLU()(shared(x))))
    with fused_batch_norm(model):
        graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.TensorSpec((2, 28, 28, 1)))
    assert [operation.type for operation in graph.graph.get_operations()].count(FUSED) == 2
    assert "call" not in vars(shared)


def test_without_training_the_moving_moments_are_used() -> None:
    model = network(convolved)
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 28, 28)).astype("float32")
    with fused_batch_norm(model):
        inside = model(pictures, training=False).numpy()
    np.testing.assert_array_equal(inside, model(pictures, training=False).numpy())
