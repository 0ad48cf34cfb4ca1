"""The points, the images, the network and the times of epochs: the same for all contenders of ``benchmarks/sweep.py``.

Each contender is a program of its own that runs in a folder with the file ``task.json``.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Task:
    """Points of a grid, and how each is trained.

    Args:
        grid: values of each parameter; the points are all their combinations.
        epochs: of each trial.
        batch_size: images.
        images: file in NumPy's format, with ``x_train``, ``y_train``, ``x_validation`` and ``y_validation``.
    """

    grid: dict[str, list[float]]
    epochs: int
    batch_size: int
    images: str

    @classmethod
    def read(cls) -> Task:
        """Read the task of the current folder."""
        return cls(**json.loads(Path("task.json").read_text()))

    def load(self) -> Arrays:
        """Load the images and labels."""
        with np.load(self.images) as file:
            return dict(file)


def build(hidden_size: int, learning_rate: float, dropout: float) -> keras.Model:
    """Build a compiled network of one hidden layer."""
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(hidden_size, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class EpochTimes(keras.callbacks.Callback):
    """Append a line for each epoch to a file: a name of the trial, seconds since 1970, validation accuracy."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._trial = path, ""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._trial = uuid.uuid4().hex

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self._path.open("a") as file:
            file.write(f"{self._trial} {time.time()} {(logs or {})['val_accuracy']}\n")


def fit_options(task: Task, data: Arrays, folder: Path, *callbacks: keras.callbacks.Callback) -> dict[str, Any]:
    """The arguments of ``fit`` after images and labels: all epochs are trained, and the best weights restored."""
    stop = keras.callbacks.EarlyStopping("val_accuracy", patience=task.epochs, restore_best_weights=True)
    return {
        "validation_data": (data["x_validation"], data["y_validation"]),
        "batch_size": task.batch_size,
        "epochs": task.epochs,
        "callbacks": [stop, EpochTimes(folder / "epochs.txt"), *callbacks],
        "verbose": 0,
    }
