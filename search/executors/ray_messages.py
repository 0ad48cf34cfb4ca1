"""The values that travel between the driver and the actors of a Ray cluster."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mnist_core.arrays import Bytes, Images
from mnist_core.data.images import LabelledImages
from mnist_core.errors import ModelError
from mnist_core.metrics import EpochMetrics
from search.trial import TrialResult

Files = tuple[tuple[str, bytes], ...]
"""Files of a folder: pairs of a relative path and its content."""


@dataclass(frozen=True)
class EpochEnd:
    """The end of an epoch. Where trials can be pruned, the actor then waits for a decision."""

    epoch: int
    metrics: EpochMetrics


@dataclass(frozen=True)
class Done:
    """The end of a trial, with the files of its model."""

    result: TrialResult
    files: Files


@dataclass(frozen=True)
class ObjectStoreImages:
    """Training images from the object store: a source of data for a worker.

    Args:
        images: shape ``(n, height, width)``, uint8.
        labels: shape ``(n,)``, uint8.
        location: where the driver has read them.
    """

    images: Images
    labels: Bytes
    location: str

    def load_training(self) -> LabelledImages:
        """Return the images and labels."""
        return LabelledImages(self.images, self.labels)


def read_files(folder: Path) -> Files:
    """Read all files of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((path.relative_to(folder).as_posix(), path.read_bytes()) for path in found)


def unpack(done: Done, folder: Path) -> TrialResult:
    """Write the files of a trial into a folder that does not exist yet, and return its result with the model there.

    Raises:
        ModelError: the model's file is not the one that was saved, or a path leads out of the folder.
        OSError: a file cannot be written.
    """
    model = done.result.model
    if model is None:
        return done.result
    root = folder.resolve()
    for name, content in done.files:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ModelError(f"{name}: expected a path within the model's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    digest = hashlib.sha256((root / model.file).read_bytes()).hexdigest()
    if digest != model.sha256:
        raise ModelError(f"{model.file}: altered on its way: expected SHA-256 {model.sha256}, received {digest}")
    return replace(done.result, model=replace(model, folder=folder))
