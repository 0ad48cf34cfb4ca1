"""Seconds an epoch of a convolutional network with augmentation: the compiled trainer, and ``model.fit``.

16 filters of 3 × 3 pixels, two blocks of two convolutions, batches of 128, on one thread. ``fit`` is fed by
``tf.data``, which shuffles, augments the images by the same function, and prefetches. Both take turns in one process;
medians are compared. The bound is the time of the multiplications alone, at the speed of a large matrix product that
is measured in between.

    MNIST_DATA=FOLDER python benchmarks/cnn_epoch.py [IMAGES]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from common import SEED, machine, whole_mnist

from mnist_core import runtime

runtime.configure(threads=1)

import keras
import numpy as np
import tensorflow as tf

from mnist_core.data.images import LabelledImages
from mnist_core.hyperparameters import Augmentation, Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.training.augmentation import augment
from mnist_core.training.compiled_epoch import CompiledEpoch, ResidentImages

IMAGES = 12_800
BATCH = 128
ROUNDS = 5
NETWORK = Hyperparameters("cnn", filters=16, convolutions=2, batch_normalization=True)
AUGMENTATION = Augmentation(shift=2, rotation=10, zoom=0.1)
MATRIX = 1024


def new_model() -> keras.Model:
    runtime.reset(SEED)
    return build_model(NETWORK)


def fit_epoch(model: keras.Model, data: LabelledImages, augmentation: Augmentation) -> Callable[[], object]:
    seeds = tf.data.Dataset.counter().map(lambda step: tf.cast(tf.stack([SEED, step]), tf.int32))
    batches = tf.data.Dataset.from_tensor_slices((data.images, data.labels.astype(np.int32)))
    batches = batches.shuffle(len(data), seed=SEED).batch(BATCH)
    if augmentation:
        batches = tf.data.Dataset.zip(batches, seeds).map(lambda xy, seed: (augment(xy[0], augmentation, seed), xy[1]))
    batches = batches.prefetch(tf.data.AUTOTUNE)
    return lambda: model.fit(batches, epochs=1, shuffle=False, verbose=0)


def compiled_epoch(model: keras.Model, data: LabelledImages, augmentation: Augmentation) -> Callable[[], object]:
    epoch, rng = CompiledEpoch(model, ResidentImages.load(data), BATCH, augmentation), np.random.default_rng(SEED)
    return lambda: epoch(rng)


def matrix_product() -> Callable[[], object]:
    a = tf.random.stateless_normal((MATRIX, MATRIX), (SEED, 0))
    product = tf.function(lambda x: tf.matmul(x, x))
    return lambda: product(a).numpy()


def multiplications(model: keras.Model) -> int:
    """Multiply-adds of one forward pass of one image."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    data = whole_mnist().load_training().take(np.arange(images))
    print(f"{machine()}\n{images:,} images an epoch, one thread")
    contenders = {
        "model.fit, augmented": fit_epoch(new_model(), data, AUGMENTATION),
        "compiled, augmented": compiled_epoch(new_model(), data, AUGMENTATION),
        "model.fit": fit_epoch(new_model(), data, Augmentation()),
        "compiled": compiled_epoch(new_model(), data, Augmentation()),
        "matrix product": matrix_product(),
    }
    for action in contenders.values():
        action()  # tracing and first touches
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, action in contenders.items():
            times[name].append(seconds(action))
    median = {name: statistics.median(values) for name, values in times.items()}
    for name in list(contenders)[:-1]:
        print(f"  {name:<24} {median[name]:.3f} s  ({min(times[name]):.3f} to {max(times[name]):.3f})")
    for kind in (", augmented", ""):
        gain = median[f"model.fit{kind}"] / median[f"compiled{kind}"]
        print(f"compiled{kind}: {gain:.2f} times as fast as fit")
    speed = 2 * MATRIX**3 / median["matrix product"]
    # Forward once; backward twice, for the kernels and for the inputs.
    bound = 3 * 2 * multiplications(new_model()) * images / speed
    print(f"a matrix product runs at {speed / 1e9:.0f} GFLOP/s; at that the multiplications take {bound:.3f} s,")
    print(f"{100 * bound / median['compiled, augmented']:.0f}% of the compiled epoch with augmentation")


if __name__ == "__main__":
    main()
