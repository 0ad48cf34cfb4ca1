"""Test accuracy of what the sweeps led to: each recipe from the start, on the whole of MNIST, with several seeds.

54,000 images to train, 6,000 to choose the epoch by, and the 10,000 test images once for each finished training.
With --keep a training that is done is not done again, so that a long measurement may be taken in pieces; the
ensemble is the mean of what was kept of the five seeds of ``cnn``.

    MNIST_DATA=FOLDER python benchmarks/accuracy.py [RECIPE ...] [--seeds N] [--epochs N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from common import machine, whole_mnist

from mnist_core import runtime
from search.local_executor import usable_cores

runtime.configure(threads=usable_cores())

import numpy as np
import numpy.typing as npt

from mnist_core.compiled import ResidentSplit
from mnist_core.data import LabelledImages, split
from mnist_core.evaluation import wilson
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from mnist_core.model import build_model
from mnist_core.saved_model import predict
from mnist_core.training import train


@dataclass(frozen=True)
class Recipe:
    """A configuration, how it is trained, how many seeds its mean is over, and what is wanted of that."""

    model: Hyperparameters
    training: TrainingConfig
    seeds: int
    wanted: float


def cosine(epochs: int, augmentation: Augmentation, ema: float = 0.99) -> TrainingConfig:
    """To the end of all epochs, down a cosine after one epoch of warm-up."""
    patient = EarlyStopping(patience=epochs)
    return TrainingConfig(epochs, 128, patient, "cosine", warmup=1, ema=ema, augmentation=augmentation)


MOVED = Augmentation(shift=2.0, rotation=12, zoom=0.12, shear=6)
MOVED_LITTLE = Augmentation(shift=1.5, rotation=8, zoom=0.1, shear=5)

RECIPES = {
    "mlp": Recipe(
        Hyperparameters(hidden_size=1024, learning_rate=2e-3, dropout=0.4, weight_decay=0.02),
        cosine(30, Augmentation(), ema=0.999),
        seeds=3,
        wanted=0.984,
    ),
    "mlp-augmented": Recipe(
        Hyperparameters(hidden_layers=2, hidden_size=144, learning_rate=4e-3, batch_normalization=True),
        cosine(30, MOVED_LITTLE),
        seeds=3,
        wanted=0.989,
    ),
    "cnn": Recipe(
        Hyperparameters(
            "cnn",
            filters=16,
            convolutions=2,
            blocks=3,
            hidden_size=128,
            learning_rate=4e-3,
            batch_normalization=True,
            weight_decay=0.02,
            dropout=0.3,
        ),
        cosine(30, MOVED),
        seeds=3,
        wanted=0.9955,
    ),
    "small-cnn": Recipe(
        Hyperparameters(
            "cnn", hidden_layers=0, filters=4, blocks=3, learning_rate=1e-2, batch_normalization=True, weight_decay=0.01
        ),
        cosine(30, Augmentation(shift=1, rotation=5, zoom=0.05)),
        seeds=3,
        wanted=0.99,
    ),
}
ENSEMBLE, ENSEMBLE_SEEDS, ENSEMBLE_WANTED = "ensemble", 5, 0.997


@dataclass(frozen=True)
class Trained:
    """What is kept of a training."""

    val_accuracy: float
    best_epoch: int
    seconds: float
    weights: int
    probabilities: npt.NDArray[np.float32]

    def save(self, path: Path) -> None:
        facts = {name: value for name, value in vars(self).items() if name != "probabilities"}
        np.savez_compressed(path, facts=json.dumps(facts), probabilities=self.probabilities)

    @classmethod
    def load(cls, path: Path) -> Trained:
        with np.load(path) as archive:
            return cls(**json.loads(str(archive["facts"])), probabilities=archive["probabilities"])


def run(recipe: Recipe, seed: int, data: ResidentSplit, test: LabelledImages) -> Trained:
    started = time.perf_counter()
    runtime.start_afresh(seed)
    model = build_model(recipe.model)
    result = train(model, data, recipe.training, seed)
    took = time.perf_counter() - started
    said = predict(model, test.images)
    return Trained(result.best.val_accuracy, result.best_epoch, took, model.count_params(), said)


def accuracy(said: npt.NDArray[np.float32], test: LabelledImages) -> float:
    return float((said.argmax(axis=1) == test.labels).mean())


def show(name: str, found: list[Trained], test: LabelledImages, wanted: float) -> None:
    values = [accuracy(one.probabilities, test) for one in found]
    print(
        f"{name}: {found[0].weights:,} weights, {sum(one.seconds for one in found) / len(found) / 60:.1f} minutes each"
    )
    for seed, (one, value) in enumerate(zip(found, values, strict=True)):
        print(f"  seed {seed}  test {value:.4f}  validation {one.val_accuracy:.4f}  best epoch {one.best_epoch}")
    print(f"  mean    test {statistics.mean(values):.4f}  ({wanted:.4f} wanted)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"{', '.join([*RECIPES, ENSEMBLE])}; all")
    parser.add_argument("--seeds", type=int, help="how many, instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="how many, instead of the recipe's")
    parser.add_argument("--keep", type=Path, help="folder for what is done")
    options = parser.parse_args()
    chosen = options.recipes or [*RECIPES, ENSEMBLE]
    if unknown := [name for name in chosen if name not in {*RECIPES, ENSEMBLE}]:
        parser.error(f"unknown recipe {unknown[0]!r}; expected {', '.join([*RECIPES, ENSEMBLE])}")
    source = whole_mnist()
    data, test = ResidentSplit.load(split(source.load_training(), 6000, seed=0)), source.load_test()
    print(f"{machine()}; {usable_cores()} threads\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)

        def trained(name: str, seed: int) -> Trained:
            recipe = RECIPES[name]
            if options.epochs:
                patient = EarlyStopping(patience=options.epochs)
                recipe = replace(
                    recipe, training=replace(recipe.training, epochs=options.epochs, early_stopping=patient)
                )
            path = folder / f"{name}-{recipe.training.epochs}-{seed}.npz"
            if not path.exists():
                run(recipe, seed, data, test).save(path)
            return Trained.load(path)

        for name in [name for name in chosen if name in RECIPES]:
            found = [trained(name, seed) for seed in range(options.seeds or RECIPES[name].seeds)]
            show(name, found, test, RECIPES[name].wanted)
        if ENSEMBLE in chosen:
            members = [trained("cnn", seed) for seed in range(options.seeds or ENSEMBLE_SEEDS)]
            mean = np.mean([one.probabilities for one in members], axis=0)
            share = wilson(round(accuracy(mean, test) * len(test)), len(test))
            print(f"ensemble of {len(members)} CNNs: test {share.value:.4f}  ({ENSEMBLE_WANTED:.4f} wanted)")
            print(f"  95% interval {share.low:.4f} to {share.high:.4f}")


if __name__ == "__main__":
    main()
