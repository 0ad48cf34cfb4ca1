"""Labelled images, their digest, their split into training and validation, and a preview as text.

:mod:`mnist_core.data.sources` decides where they come from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Bytes, Images, Indices
from mnist_core.data.stratified import divide_by_class
from mnist_core.errors import DataError

CLASSES = 10

PREVIEW_MARGIN = 4
PREVIEW_INK = 96
# Keys: the upper pixel has ink, the lower pixel has ink.
PREVIEW_CELLS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Raw images with their labels.

    Args:
        images: shape ``(n, height, width)``, uint8, 0 is background.
        labels: shape ``(n,)``, uint8, 0–9.

    Raises:
        DataError: shapes, dtypes or labels are not as above.
    """

    images: Images
    labels: Bytes

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3 or not self.images.size:
            raise DataError(f"images: expected uint8 (n, height, width), received {_describe(self.images)}")
        if self.labels.dtype != np.uint8 or self.labels.shape != self.images.shape[:1]:
            raise DataError(f"labels: expected uint8 ({len(self.images)},), received {_describe(self.labels)}")
        if self.labels.max() >= CLASSES:
            raise DataError(f"labels: expected 0 to {CLASSES - 1}, received {self.labels.max()}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shape, pixels and labels: the same for the same content in any container."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def take(self, indices: Indices) -> LabelledImages:
        """The images at ``indices``, in that order."""
        return LabelledImages(self.images[indices], self.labels[indices])


def _describe(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} {array.shape}"


@dataclass(frozen=True)
class Split:
    """Images to train on and images to validate on; none is in both."""

    train: LabelledImages
    validation: LabelledImages


def validation_count(total: int, validation: int | float) -> int:
    """The number of ``total`` images that are held out for ``validation``, a count or a share in (0, 1).

    Raises:
        DataError: one side has fewer images than there are classes.
    """
    if total < 2 * CLASSES:
        raise DataError(f"data.validation: {total} images are too few to divide, expected {2 * CLASSES} or more")
    if isinstance(validation, float) and not 0 < validation < 1:
        raise DataError(f"data.validation: expected a share between 0 and 1, received {validation!r}")
    count = round(total * validation) if isinstance(validation, float) else validation
    if not CLASSES <= count <= total - CLASSES:
        raise DataError(
            f"data.validation: expected {CLASSES} to {total - CLASSES} of {total:,} images, received {validation!r} "
            f"({count:,} images)"
        )
    return count


def split(data: LabelledImages, validation: int | float, seed: int) -> Split:
    """Hold out a seeded, stratified part: both sides have the same proportions of classes.

    Args:
        data: the images to divide.
        validation: held-out images: a count (int), or a share in (0, 1) (float).
        seed: the same seed, data and ``validation`` give the same split.

    Raises:
        DataError: ``validation`` leaves too few images on one side.
    """
    count = validation_count(len(data), validation)
    try:
        train, held_out = divide_by_class(data.labels, count, seed)
    except ValueError as error:
        raise DataError(f"data.validation: {len(data):,} images cannot be split by class: {error}") from error
    return Split(data.take(train), data.take(held_out))


def preview(data: LabelledImages, count: int = 4) -> str:
    """A few images as text: evenly chosen, side by side, two pixels in a character, each above its label.

    Args:
        data: the images; with fewer than ``count``, some are repeated.
        count: number of images to show.
    """
    chosen = np.linspace(0, len(data) - 1, count).astype(int)
    height, width = data.shape
    margin = PREVIEW_MARGIN if min(height, width) > 2 * PREVIEW_MARGIN else 0
    ink = data.images[chosen, margin : height - margin, margin : width - margin] >= PREVIEW_INK
    if ink.shape[1] % 2:
        ink = np.pad(ink, ((0, 0), (0, 1), (0, 0)))
    rows = [
        "  ".join(
            "".join(PREVIEW_CELLS[bool(top), bool(bottom)] for top, bottom in zip(*pair, strict=True)) for pair in line
        )
        for line in zip(*(zip(image[0::2], image[1::2], strict=True) for image in ink), strict=True)
    ]
    labels = "  ".join(f"{label:^{ink.shape[2]}}" for label in data.labels[chosen])
    return "\n".join([*rows, labels])
