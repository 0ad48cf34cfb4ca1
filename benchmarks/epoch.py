"""CPU seconds an epoch: the compiled trainer, Keras's ``fit``, and the products alone, on one thread.

For networks of several widths and batches of several sizes, without validation. ``fit`` runs as it comes, and with all
steps of the epoch in one execution. The products are the matrix products and convolutions of the same network for the
same batches, without any copy: a lower bound. All take turns in one process, so that other load on the machine affects
all of them; CPU times of medians are compared. Then the trainer and ``fit`` train the 128-unit network with six seeds
each, and their validation accuracies are compared.

    MNIST_DATA=FOLDER python benchmarks/epoch.py [--network mlp|cnn] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common import SEED, machine, whole_mnist

from mnist_core import runtime

runtime.configure(threads=1)

import keras
import numpy as np
from bare_products import bare_epoch

from mnist_core.data.images import LabelledImages, Split, split
from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from mnist_core.training.compiled_epoch import CompiledEpoch, CompiledEvaluation, ResidentImages, ResidentSplit

BATCHES = (32, 128, 1024)
WIDTHS = {"mlp": (64, 128, 256, 512, 1024), "cnn": (8, 16, 32)}
IMAGES = {"mlp": 12_288, "cnn": 2_048}
ROUNDS = 5
EPOCHS = 5
SEEDS = 6


@dataclass(frozen=True)
class Row:
    """CPU seconds an epoch, medians of all rounds.

    Args:
        network: ``mlp`` with one hidden layer, or ``cnn`` with two blocks of two convolutions, normalised.
        width: units of the hidden layer, or filters of the first block.
    """

    network: str
    width: int
    batch: int
    products: float
    trainer: float
    fit: float
    fit_in_one_execution: float


def hyperparameters(network: str, width: int) -> Hyperparameters:
    if network == "mlp":
        return Hyperparameters(hidden_size=width)
    return Hyperparameters("cnn", filters=width, convolutions=2, batch_normalization=True)


def new_model(values: Hyperparameters, seed: int = SEED) -> keras.Model:
    runtime.reset(seed)
    return build_model(values)


def fit_epoch(model: keras.Model, data: LabelledImages, batch: int) -> Callable[[], object]:
    images, labels = data.images, data.labels.astype(np.int32)
    return lambda: model.fit(images, labels, batch, epochs=1, verbose=0)


def one_execution(model: keras.Model, steps: int) -> keras.Model:
    model.compile(model.optimizer, loss=model.loss, metrics=["accuracy"], steps_per_execution=steps)
    return model


def compiled_epoch(model: keras.Model, data: ResidentImages, batch: int) -> Callable[[], object]:
    epoch, rng = CompiledEpoch(model, data, batch), np.random.default_rng(SEED)
    return lambda: epoch(rng)


def measure(network: str, width: int, batch: int, data: LabelledImages) -> Row:
    values, steps = hyperparameters(network, width), math.ceil(len(data) / batch)
    contenders = {
        "products": bare_epoch(new_model(values), batch, steps),
        "trainer": compiled_epoch(new_model(values), ResidentImages.load(data), batch),
        "fit": fit_epoch(new_model(values), data, batch),
        "fit_in_one_execution": fit_epoch(one_execution(new_model(values), steps), data, batch),
    }
    for action in contenders.values():
        action()  # tracing and first touches
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, action in contenders.items():
            times[name].append(cpu_seconds(action))
    return Row(network, width, batch, **{name: statistics.median(values) for name, values in times.items()})


def cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


HEAD = "network  width  batch   products   trainer       fit  one execution   trainer/products   fit/trainer"


def line(row: Row) -> str:
    milliseconds = [1000 * value for value in (row.products, row.trainer, row.fit, row.fit_in_one_execution)]
    times = "{:8.0f}ms {:7.0f}ms {:7.0f}ms {:12.0f}ms".format(*milliseconds)
    ratios = f"{row.trainer / row.products:18.2f} {row.fit / row.trainer:13.2f}"
    return f"{row.network:<7} {row.width:6} {row.batch:6} {times} {ratios}"


# Accuracies


def compare_accuracies(data: Split) -> dict[str, list[float]]:
    """Validation accuracy after the last of some epochs, for each seed."""
    resident, values = ResidentSplit.load(data), Hyperparameters(hidden_size=128)
    found: dict[str, list[float]] = {"fit": [], "trainer": []}
    for seed in range(SEED, SEED + SEEDS):
        model = new_model(values, seed)
        fit_epochs(model, data)
        found["fit"].append(CompiledEvaluation(model, resident.validation)().accuracy)
        model = new_model(values, seed)
        epoch, rng = CompiledEpoch(model, resident.train, 128), np.random.default_rng(seed)
        for _ in range(EPOCHS):
            epoch(rng)
        found["trainer"].append(CompiledEvaluation(model, resident.validation)().accuracy)
    return found


def fit_epochs(model: keras.Model, data: Split) -> None:
    model.fit(data.train.images, data.train.labels.astype(np.int32), 128, epochs=EPOCHS, verbose=0)


def print_accuracies(found: dict[str, list[float]]) -> None:
    print(f"\nvalidation accuracy after {EPOCHS} epochs, 128 units, seeds {SEED} to {SEED + SEEDS - 1}")
    for name, values in found.items():
        print(f"  {name:<8} {statistics.mean(values):.4f}  ({', '.join(f'{value:.4f}' for value in values)})")
    one, other = (statistics.mean(values) for values in found.values())
    spread = statistics.mean(statistics.stdev(values) for values in found.values())
    print(f"  the means differ by {abs(one - other):.4f}; by chance alone they would by about")
    print(f"  {spread * math.sqrt(2 / SEEDS):.4f} (one standard error of the difference)")


def main(networks: Sequence[str], path: Path | None) -> None:
    training = whole_mnist().load_training()
    print(f"{machine()}\nCPU time of an epoch, median of {ROUNDS} rounds, one thread")
    rows = []
    for network in networks:
        data = training.take(np.arange(IMAGES[network]))
        print(f"\n{IMAGES[network]:,} images an epoch\n{HEAD}")
        for width in WIDTHS[network]:
            for batch in BATCHES:
                rows.append(measure(network, width, batch, data))
                print(line(rows[-1]), flush=True)
    accuracies = compare_accuracies(split(training, 6000, seed=SEED)) if "mlp" in networks else {}
    if accuracies:
        print_accuracies(accuracies)
    if path:
        content = {"machine": machine(), "rows": [asdict(row) for row in rows], "accuracies": accuracies}
        path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=tuple(WIDTHS), help="measure only this one")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args()
    main([chosen.network] if chosen.network else list(WIDTHS), chosen.json)
