"""Readers of the file formats of MNIST-like data: IDX files, gzipped or not, and Keras's ``.npz``.

The IDX format is described at the end of LeCun, Cortes and Burges, "The MNIST database of handwritten digits":
two zero bytes, a type code, the number of dimensions, the dimensions as big-endian 32-bit integers, the data.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from mnist_core.arrays import Bytes
from mnist_core.data.images import LabelledImages
from mnist_core.errors import DataError

UBYTE = 0x08
# Twice the largest of the MNIST-like sets, the training images of EMNIST by class.
MAX_EXPANDED_BYTES = 1 << 30


def read_idx(path: Path, dimensions: int) -> bytes:
    """Read an IDX file for :func:`parse_idx`, and decompress it if its name ends in ``.gz``.

    At most one byte more than the size in the header is read, even if a compressed stream would expand to more.

    Args:
        path: the file.
        dimensions: 3 for images, 1 for labels.

    Raises:
        DataError: the file cannot be read, its compressed stream is truncated or altered, or its header states more
            than ``MAX_EXPANDED_BYTES`` for a compressed file.
    """
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(_header_size(dimensions))
            stated = _stated_size(header, dimensions)
            if packed:
                _check_expanded_size(str(path), stated)
            # Python allocates the requested size, which may be wrong in the header.
            return header + file.read(stated + 1 if packed else min(stated + 1, path.stat().st_size))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: incomplete gzip file ({error}). Download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _header_size(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _stated_size(header: bytes, dimensions: int) -> int:
    """Number of bytes after the header; 0 if the header is invalid, which :func:`parse_idx` reports."""
    if len(header) < _header_size(dimensions) or header[:4] != bytes((0, 0, UBYTE, dimensions)):
        return 0
    return math.prod(struct.unpack(f">{dimensions}I", header[4:]))


def _check_expanded_size(name: str, size: int) -> None:
    if size > MAX_EXPANDED_BYTES:
        raise DataError(
            f"{name}: compressed data that expands to {size:,} bytes: expected {MAX_EXPANDED_BYTES:,} or fewer. If you "
            "trust the file, decompress it first"
        )


def verify(name: str, content: bytes, sha256: str, remedy: str = "") -> None:
    """Check decompressed content by its digest.

    Args:
        name: of the file, for the error.
        content: the decompressed file.
        sha256: the expected digest, 64 hexadecimal digits.
        remedy: the end of the error.

    Raises:
        DataError: the content is not the expected one.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise DataError(f"{name}: altered content: expected SHA-256 {sha256}, received {actual}{remedy}")


def parse_idx(path: Path, content: bytes, dimensions: int) -> Bytes:
    """Decode an IDX file of unsigned bytes.

    Args:
        path: for the errors.
        content: the decompressed file.
        dimensions: 3 for images, 1 for labels.

    Raises:
        DataError: the header is not that of such a file, or its size differs from that of the data.
    """
    header = _header_size(dimensions)
    if len(content) < header and content[:4] == bytes((0, 0, UBYTE, dimensions)):
        raise DataError(f"{path}: truncated: it ends within its header of {header} bytes. Download it again")
    if content[:4] != bytes((0, 0, UBYTE, dimensions)):
        raise DataError(
            f"{path}: not an IDX file of {dimensions}-dimensional bytes: expected it to begin with "
            f"{bytes((0, 0, UBYTE, dimensions)).hex()}, received {content[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected, actual = math.prod(shape), len(content) - header
    if expected != actual:
        raise DataError(
            f"{path}: {'truncated' if actual < expected else 'too long'}: its header states {expected:,} bytes "
            f"of data, received {f'{actual:,}' if actual < expected else 'more'}. Download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_npz(path: Path, part: str) -> LabelledImages:
    """Read one part of an ``.npz`` file with the keys of ``keras.datasets.mnist``.

    Args:
        path: the file.
        part: ``"train"`` or ``"test"``; the other part is not read.

    Raises:
        DataError: the file cannot be read, is altered or has no keys ``x_…`` and ``y_…``, or a compressed array
            expands to more than ``MAX_EXPANDED_BYTES``.
    """
    keys = (f"x_{part}", f"y_{part}")
    try:
        # Opened here, because NumPy leaves a file open that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            present = [key for key in keys if key in archive.files]
            for key in present:
                _check_member(path, archive, key)
            arrays = {key: archive[key] for key in present}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DataError:
        raise
    # NumPy raises many kinds of exceptions for broken archives.
    except Exception as error:
        raise DataError(f"{path}: incomplete .npz archive ({type(error).__name__}). Download it again") from error
    if missing := [key for key in keys if not isinstance(arrays.get(key), np.ndarray)]:
        raise DataError(f"{path}: expected the arrays {', '.join(keys)}, {', '.join(missing)} is missing")
    images, labels = (arrays[key] for key in keys)
    return labelled(path, images, _as_bytes(path, labels))


def _check_member(path: Path, archive: NpzFile, key: str) -> None:
    """Refuse a compressed array that expands too far. zipfile reads no more of a member than its entry states."""
    entries = archive.zip.infolist() if archive.zip else []
    for entry in (entry for entry in entries if entry.filename in (key, f"{key}.npy")):
        if entry.compress_type != zipfile.ZIP_STORED:
            _check_expanded_size(f"{path}: {key}", entry.file_size)


def _as_bytes(path: Path, labels: npt.NDArray[np.generic]) -> Bytes:
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels: expected integers from 0 to 9, received {labels.dtype}")
    if no_bytes := [label for label in np.unique(labels) if not 0 <= label <= 255]:
        raise DataError(f"{path}: labels: expected 0 to 9, received {no_bytes[0]}")
    return labels.astype(np.uint8)


def labelled(path: Path, images: Bytes, labels: Bytes) -> LabelledImages:
    """The arrays of a file or folder as labelled images, with its name in the errors.

    Raises:
        DataError: shapes, dtypes or labels are not those of labelled images.
    """
    try:
        return LabelledImages(images, labels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
