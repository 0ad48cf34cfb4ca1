"""Test accuracy of the configurations that the sweeps led to, trained on the whole of MNIST with several seeds.

54,000 images to train, 6,000 to choose the epoch by, and the 10,000 test images once for each finished training.
With --keep a finished training is not repeated, so that a long measurement may be interrupted. The ensemble is the
mean of the probabilities of the seeds of ``cnn``.

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
from search.executors.local import usable_cores

runtime.configure(threads=usable_cores())

import numpy as np
import numpy.typing as npt

from mnist_core.classification import wilson
from mnist_core.data.images import LabelledImages, split
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from mnist_core.models.factory import build_model
from mnist_core.models.saved_model import predict
from mnist_core.training.compiled_epoch import ResidentSplit
from mnist_core.training.trainer import train


@dataclass(frozen=True)
class Recipe:
    """A configuration, its training settings, the number of seeds, and the mean test accuracy that is wanted."""

    model: Hyperparameters
    training: TrainingConfig
    seeds: int
    wanted: float


def cosine(epochs: int, augmentation: Augmentation, ema: float = 0.99, monitor: str = "val_accuracy") -> TrainingConfig:
    """Settings that train all epochs with a cosine schedule after one epoch of warm-up."""
    patient = EarlyStopping(monitor, patience=epochs)
    return TrainingConfig(epochs, 128, patient, "cosine", warmup=1, ema=ema, augmentation=augmentation)


AUGMENTATION = Augmentation(shift=2.0, rotation=12, zoom=0.12, shear=6)
WEAK_AUGMENTATION = Augmentation(shift=1.5, rotation=8, zoom=0.1, shear=5)


def small_cnn(filters: int, seeds: int) -> Recipe:
    """Three blocks of one convolution each, without a hidden layer before the probabilities."""
    network = Hyperparameters(
        "cnn",
        hidden_layers=0,
        filters=filters,
        blocks=3,
        learning_rate=1e-2,
        batch_normalization=True,
        weight_decay=0.01,
    )
    return Recipe(network, cosine(30, Augmentation(shift=1, rotation=5, zoom=0.05)), seeds, wanted=0.99)


RECIPES = {
    "mlp": Recipe(
        Hyperparameters(hidden_size=1024, learning_rate=2e-3, dropout=0.4, weight_decay=0.02),
        cosine(30, Augmentation(), ema=0.999),
        seeds=3,
        wanted=0.984,
    ),
    "mlp-augmented": Recipe(
        Hyperparameters(hidden_layers=2, hidden_size=144, learning_rate=4e-3, batch_normalization=True),
        cosine(30, WEAK_AUGMENTATION),
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
            dropout=0.4,
            block_dropout=0.1,
        ),
        # With four mistakes in a thousand images, the accuracy hardly distinguishes epochs.
        cosine(24, AUGMENTATION, monitor="val_loss"),
        seeds=3,
        wanted=0.9955,
    ),
    "cnn-4-filters": small_cnn(4, seeds=3),
    "cnn-3-filters": small_cnn(3, seeds=1),
}
ENSEMBLE, ENSEMBLE_SEEDS, ENSEMBLE_WANTED = "ensemble", 3, 0.997


@dataclass(frozen=True)
class Trained:
    """The result of a training, as it is kept."""

    val_accuracy: float
    best_epoch: int
    seconds: float
    weights: int
    probabilities: npt.NDArray[np.float32]

    def save(self, path: Path) -> None:
        values = {name: value for name, value in vars(self).items() if name != "probabilities"}
        np.savez_compressed(path, values=json.dumps(values), probabilities=self.probabilities)

    @classmethod
    def load(cls, path: Path) -> Trained:
        with np.load(path) as archive:
            return cls(**json.loads(str(archive["values"])), probabilities=archive["probabilities"])


def run(recipe: Recipe, seed: int, data: ResidentSplit, test: LabelledImages) -> Trained:
    started = time.perf_counter()
    runtime.reset(seed)
    model = build_model(recipe.model)
    result = train(model, data, recipe.training, seed)
    took = time.perf_counter() - started
    probabilities = predict(model, test.images)
    return Trained(result.best.val_accuracy, result.best_epoch, took, model.count_params(), probabilities)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The data, and the folder in which finished trainings are kept."""

    data: ResidentSplit
    test: LabelledImages
    folder: Path
    epochs: int | None

    def trained(self, name: str, seed: int) -> Trained:
        """The training of a recipe with a seed, run unless it was kept."""
        recipe = RECIPES[name]
        if self.epochs:
            patient = replace(recipe.training.early_stopping, patience=self.epochs)
            training = replace(recipe.training, epochs=self.epochs, early_stopping=patient)
            recipe = replace(recipe, training=training)
        path = self.folder / f"{name}-{recipe.training.epochs}-{seed}.npz"
        if not path.exists():
            run(recipe, seed, self.data, self.test).save(path)
        return Trained.load(path)

    def accuracy(self, probabilities: npt.NDArray[np.float32]) -> float:
        return float((probabilities.argmax(axis=1) == self.test.labels).mean())

    def measure(self, name: str, seeds: int) -> None:
        """Print the test accuracy of a recipe with each seed, and the mean."""
        values = []
        for seed in range(seeds):
            result = self.trained(name, seed)
            values.append(self.accuracy(result.probabilities))
            if not seed:
                print(f"{name}: {result.weights:,} weights")
            line = f"test {values[-1]:.4f}  validation {result.val_accuracy:.4f}  best epoch {result.best_epoch}"
            print(f"  seed {seed}  {line}  {result.seconds / 60:.1f} minutes", flush=True)
        print(f"  mean    test {statistics.mean(values):.4f}  ({RECIPES[name].wanted:.4f} wanted)", flush=True)

    def measure_ensemble(self, seeds: int) -> None:
        """Print the test accuracy of the mean of several CNNs."""
        mean = np.mean([self.trained("cnn", seed).probabilities for seed in range(seeds)], axis=0)
        share = wilson(round(self.accuracy(mean) * len(self.test)), len(self.test))
        print(f"{ENSEMBLE} of {seeds} CNNs: test {share.value:.4f}  ({ENSEMBLE_WANTED:.4f} wanted)")
        print(f"  95% interval {share.low:.4f} to {share.high:.4f}", flush=True)


def main() -> None:
    known = [*RECIPES, ENSEMBLE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"{', '.join(known)}; all")
    parser.add_argument("--seeds", type=int, help="number of seeds, instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="number of epochs, instead of the recipe's")
    parser.add_argument("--keep", type=Path, help="folder for finished trainings")
    options = parser.parse_args()
    if unknown := [name for name in options.recipes if name not in known]:
        parser.error(f"unknown recipe {unknown[0]!r}; expected {', '.join(known)}")
    source = whole_mnist()
    data, test = ResidentSplit.load(split(source.load_training(), 6000, seed=0)), source.load_test()
    print(f"{machine()}; {usable_cores()} threads\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        measurement = Measurement(data, test, folder, options.epochs)
        for name in options.recipes or known:
            if name == ENSEMBLE:
                measurement.measure_ensemble(options.seeds or ENSEMBLE_SEEDS)
            else:
                measurement.measure(name, options.seeds or RECIPES[name].seeds)


if __name__ == "__main__":
    main()
