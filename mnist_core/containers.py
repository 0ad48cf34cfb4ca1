"""Reading the containers that MNIST-like data comes in: IDX files, gzipped or not, and Keras's ``.npz``.

The IDX format is described at the end of LeCun, Cortes and Burges, "The MNIST database of handwritten digits":
two zero bytes, a type code, the number of dimensions, the dimensions as big-endian 32-bit integers, the data.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnist_core.data import LabelledImages
from mnist_core.errors import DataError

UBYTE = 0x08

Bytes = npt.NDArray[np.uint8]


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: the file cannot be read, or its compressed stream is cut or altered.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}). Fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def verify(name: str, content: bytes, sha256: str, remedy: str = "") -> None:
    """Check decompressed content against its digest; ``name`` and ``remedy`` go into the error.

    Raises:
        DataError: it is not the expected content.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise DataError(f"{name}: altered content: expected SHA-256 {sha256}, received {actual}{remedy}")


def parse_idx(path: Path, content: bytes, dimensions: int) -> Bytes:
    """Decode an IDX file of unsigned bytes.

    Args:
        path: named in errors.
        content: the decompressed file.
        dimensions: 3 for images, 1 for labels.

    Raises:
        DataError: the header is not that of such a file, or the data is longer or shorter than it says.
    """
    header = 4 + 4 * dimensions
    if len(content) < header and content[:4] == bytes((0, 0, UBYTE, dimensions)):
        raise DataError(f"{path}: truncated: it ends within its header of {header} bytes. Fetch it again")
    if content[:4] != bytes((0, 0, UBYTE, dimensions)):
        raise DataError(
            f"{path}: not an IDX file of {dimensions}-dimensional bytes: expected it to begin with "
            f"{bytes((0, 0, UBYTE, dimensions)).hex()}, received {content[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected, actual = math.prod(shape), len(content) - header
    if expected != actual:
        raise DataError(
            f"{path}: {'truncated' if actual < expected else 'too long'}: its header promises {expected:,} bytes "
            f"of data, received {actual:,}. Fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_npz(path: Path, part: str) -> LabelledImages:
    """One part of an ``.npz`` with the keys of ``keras.datasets.mnist``.

    Args:
        path: the archive.
        part: ``"train"`` or ``"test"``; the other part is not read.

    Raises:
        DataError: unreadable, altered, or without the keys ``x_…`` and ``y_…``.
    """
    keys = (f"x_{part}", f"y_{part}")
    try:
        # Opened here: NumPy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys if key in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    # NumPy has a different exception for each way in which an archive can be broken, and none of its own.
    except Exception as error:
        raise DataError(f"{path}: not a whole .npz archive ({type(error).__name__}). Fetch it again") from error
    if missing := [key for key in keys if not isinstance(arrays.get(key), np.ndarray)]:
        raise DataError(f"{path}: expected the arrays {', '.join(keys)}, {', '.join(missing)} is missing")
    images, labels = (arrays[key] for key in keys)
    return labelled(path, images, _as_bytes(path, labels))


def _as_bytes(path: Path, labels: npt.NDArray[np.generic]) -> Bytes:
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels: expected integers from 0 to 9, received {labels.dtype}")
    if no_bytes := [label for label in np.unique(labels) if not 0 <= label <= 255]:
        raise DataError(f"{path}: labels: expected 0 to 9, received {no_bytes[0]}")
    return labels.astype(np.uint8)


def labelled(path: Path, images: Bytes, labels: Bytes) -> LabelledImages:
    """The arrays of a file or folder as labelled images, with its name in the error where they are none.

    Raises:
        DataError: shapes, dtypes or labels are not those of labelled images.
    """
    try:
        return LabelledImages(images, labels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
