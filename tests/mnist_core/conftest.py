"""Tiny data in the file formats of MNIST."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnist_core.arrays import Bytes
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import FILES

EncodeIdx = Callable[[Bytes], bytes]
WriteFolder = Callable[..., Path]


def _encode_idx(array: Bytes) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def encode_idx() -> EncodeIdx:
    """An array of bytes as the content of an IDX file."""
    return _encode_idx


@pytest.fixture(scope="session")
def tiny() -> LabelledImages:
    """Sixty images of noise, 6 × 5 pixels, six of each class."""
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 5), dtype=np.uint8)
    return LabelledImages(images, np.arange(60, dtype=np.uint8) % 10)


@pytest.fixture(scope="session")
def tiny_test() -> LabelledImages:
    """Twenty other images like those."""
    images = np.random.default_rng(1).integers(0, 256, (20, 6, 5), dtype=np.uint8)
    return LabelledImages(images, np.arange(20, dtype=np.uint8) % 10)


@pytest.fixture(scope="session")
def idx_contents(tiny: LabelledImages, tiny_test: LabelledImages) -> dict[str, bytes]:
    """The tiny data as the four files of MNIST, not compressed, by name."""
    contents = {}
    for part, data in (("train", tiny), ("test", tiny_test)):
        for name, array in zip(FILES[part], (data.images, data.labels), strict=True):
            contents[name] = _encode_idx(array)
    return contents


@pytest.fixture(scope="session")
def write_folder(idx_contents: dict[str, bytes]) -> WriteFolder:
    """A function that writes the four files of MNIST, or some of them, into a new folder."""

    def write(
        folder: Path, names: tuple[str, ...] = tuple(idx_contents), spelling: str = "-idx", suffix: str = ""
    ) -> Path:
        folder.mkdir(parents=True)
        for name in names:
            content = idx_contents[name]
            path = folder / f"{name.replace('-idx', spelling)}{suffix}"
            path.write_bytes(gzip.compress(content) if suffix == ".gz" else content)
        return folder

    return write
