"""Seconds an epoch: the compiled trainer, ``model.fit``, and the matrix products alone, on one thread.

The 128-unit network, batches of 128, 54,000 training and 6,000 validation images of MNIST, validation included.
The three take turns in one process, so that other load on the machine affects all of them; medians are compared.
Then the first two train with six seeds each, and their validation accuracies are compared.

    MNIST_DATA=FOLDER python benchmarks/epoch.py
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

from common import SEED, machine, whole_mnist

from mnist_core import runtime

runtime.configure(threads=1)

import keras
import numpy as np
import tensorflow as tf

from mnist_core.data.images import Split, split
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.training.compiled_epoch import CompiledEpoch, CompiledEvaluation, ResidentSplit

BATCH = 128
ROUNDS = 7
EPOCHS = 5
SEEDS = 6
PIXELS, UNITS, CLASSES = 784, 128, 10


def new_model(seed: int) -> keras.Model:
    runtime.reset(seed)
    return build_model(Hyperparameters(hidden_size=UNITS))


def fit_epochs(model: keras.Model, data: Split, epochs: int) -> list[float]:
    history = model.fit(
        data.train.images,
        data.train.labels,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(data.validation.images, data.validation.labels),
        verbose=0,
    )
    return history.history["val_accuracy"]


def compiled_epochs(model: keras.Model, data: ResidentSplit, seed: int) -> Callable[[], float]:
    epoch, evaluate = CompiledEpoch(model, data.train, BATCH), CompiledEvaluation(model, data.validation)
    rng = np.random.default_rng(seed)

    def run() -> float:
        epoch(rng)
        return evaluate().accuracy

    return run


def multiplications(steps: int, validation: int) -> Callable[[], float]:
    """The matrix products of an epoch and nothing else.

    For each batch two forward products, two for the gradients of the kernels, one for that of the hidden layer;
    then the forward products of the validation images.
    """
    x, w1, w2 = tf.random.normal((BATCH, PIXELS)), tf.random.normal((PIXELS, UNITS)), tf.random.normal((UNITS, CLASSES))
    xv = tf.random.normal((validation, PIXELS))
    dz, dh = tf.random.normal((BATCH, CLASSES)), tf.random.normal((BATCH, UNITS))

    @tf.function
    def run() -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(steps):
            # Each product depends on the result of the last one, so that none is left out or moved out of the loop.
            zero = total * 0.0
            h = tf.matmul(x, w1 + zero)
            z = tf.matmul(h, w2)
            dw2 = tf.matmul(h, dz, transpose_a=True)
            back = tf.matmul(dz + zero, w2, transpose_b=True)
            dw1 = tf.matmul(x, dh + zero, transpose_a=True)
            total += z[0, 0] + dw2[0, 0] + back[0, 0] + dw1[0, 0]
        return total + tf.matmul(tf.matmul(xv, w1), w2)[0, 0]

    return lambda: float(run())


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    data = split(whole_mnist().load_training(), 6000, seed=SEED)
    resident = ResidentSplit.load(data)
    print(f"{machine()}\n")
    by_fit = new_model(SEED)
    contenders: dict[str, Callable[[], object]] = {
        "model.fit": lambda: fit_epochs(by_fit, data, 1),
        "compiled epoch": compiled_epochs(new_model(SEED), resident, SEED),
        "matrix products alone": multiplications(math.ceil(len(data.train) / BATCH), len(data.validation)),
    }
    for action in contenders.values():
        action()  # tracing and first touches
    times = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, action in contenders.items():
            times[name].append(seconds(action))
    print(f"seconds an epoch, median of {ROUNDS} rounds (minimum to maximum)")
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"  {name:<22} {median[name]:.3f}  ({min(values):.3f} to {max(values):.3f})")
    compiled = median["compiled epoch"]
    print(f"compiled is {median['model.fit'] / compiled:.2f} times as fast as fit (at least 2.5 wanted)")
    print(f"compiled takes {compiled / median['matrix products alone']:.2f} times the bound (at most 2.2 wanted)\n")

    print(f"validation accuracy after {EPOCHS} epochs, seeds {SEED} to {SEED + SEEDS - 1}")
    found: dict[str, list[float]] = {"model.fit": [], "compiled epoch": []}
    for seed in range(SEED, SEED + SEEDS):
        found["model.fit"].append(fit_epochs(new_model(seed), data, EPOCHS)[-1])
        run = compiled_epochs(new_model(seed), resident, seed)
        found["compiled epoch"].append([run() for _ in range(EPOCHS)][-1])
    for name, values in found.items():
        print(f"  {name:<22} {statistics.mean(values):.4f}  ({', '.join(f'{value:.4f}' for value in values)})")
    means = [statistics.mean(values) for values in found.values()]
    spread = statistics.mean(statistics.stdev(values) for values in found.values())
    print(f"  the means differ by {abs(means[0] - means[1]):.4f}; by chance alone they would by about")
    print(f"  {spread * math.sqrt(2 / SEEDS):.4f} (one standard error of the difference)")


if __name__ == "__main__":
    main()
