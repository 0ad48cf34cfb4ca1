"""Small values for tests of searchers, executors and sweeps. Worker processes import this module by its name."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnist_core.data.sources import DataSource, Origin
from mnist_core.hyperparameters import Hyperparameters, TrainingConfig
from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Finished
from search.resume import ResumeState
from search.space import Point
from search.spec import DataSpec, SweepSpec
from search.trial import Outcome, SavedModel, Trial, TrialResult, TrialState
from search.worker import WorkerContext

DISK_FULL = 13
"""Number of the trials that find no space for their model."""


def save_keras(model: Any, folder: Path) -> SavedModel:
    """Write ``model.keras`` into a new folder.

    Raises:
        OSError: always for a trial of number ``DISK_FULL``, after half a file.
    """
    folder.mkdir(parents=True)
    file = folder / "model.keras"
    if folder.name.startswith(f"{DISK_FULL}-"):
        file.write_bytes(b"half a model")
        raise OSError(errno.ENOSPC, "No space left on device")
    model.save(file)
    content = file.read_bytes()
    return SavedModel(folder, file.name, hashlib.sha256(content).hexdigest(), len(content), model.count_params())


def write_archive(path: Path, images: int = 1000, seed: int = 0) -> Path:
    """Write an archive of synthetic digits with Keras's keys; its test set is broken on purpose.

    Args:
        path: of the file, ending in ``.npz``.
        images: number of training images, 28 × 28 pixels, a tenth of each class: noise with a bright square whose
            place tells the class.
        seed: of the noise.
    """
    labels = np.arange(images, dtype=np.uint8) % 10
    pixels = np.random.default_rng(seed).integers(0, 128, (images, 28, 28), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[8 * row : 8 * row + 6, 7 * column : 7 * column + 6] = 255
    np.savez_compressed(path, x_train=pixels, y_train=labels, x_test=np.zeros(0), y_test=np.zeros(0))
    return path


def context_of(data: Path, staging: Path, digest: str | None = None) -> WorkerContext:
    """Return the context of workers that train on an archive, 200 images held out.

    Args:
        data: the archive.
        staging: folder for the files of the trials.
        digest: SHA-256 that the workers expect of the training images; None expects those of the archive.
    """
    source = DataSource(Origin.GIVEN, data)
    expected = digest or source.load_training().digest
    return WorkerContext(source, expected, DataSpec(validation=200), save_keras, staging)


def small_trial(number: int, epochs: int = 2, **hyperparameters: Any) -> Trial:
    """Return a trial of a second: few units, few steps, no early stopping before its end."""
    settings = {"hidden_size": 8, **hyperparameters}
    return Trial(number, settings, Hyperparameters(**settings), TrainingConfig(epochs, batch_size=200), seed=7)


def metrics_of(value: float) -> EpochMetrics:
    """Return an epoch whose validation accuracy is ``value``."""
    return EpochMetrics(loss=1 - value, accuracy=value, val_loss=1 - value, val_accuracy=value)


def result_of(value: float, state: TrialState = TrialState.COMPLETE, epochs: int = 2) -> TrialResult:
    """Return the end of a trial whose curve rises to ``value``; a failed one has a curve and no best epoch."""
    history = tuple(metrics_of(value * epoch / epochs) for epoch in range(1, epochs + 1))
    if state is TrialState.FAILED:
        return TrialResult(state, history=history, error="ValueError: it went wrong")
    reason = StopReason.PRUNED if state is TrialState.PRUNED else StopReason.BUDGET
    return TrialResult(state, history=history, best_epoch=epochs, stop_reason=reason)


def outcome_of(value: float, state: TrialState = TrialState.COMPLETE) -> Outcome:
    """Return the outcome of :func:`result_of` in a sweep of one objective, the validation accuracy."""
    return Outcome(state, () if state is TrialState.FAILED else (value,), (value / 2, value))


def history_of(
    spec: SweepSpec, finished: Mapping[int, tuple[Point, TrialResult]], unfinished: Sequence[Trial] = ()
) -> ResumeState:
    """Return the state of a sweep whose finished trials are given by number."""
    past = [Finished(spec.trial(number, point), result) for number, (point, result) in finished.items()]
    return ResumeState(past, unfinished)
