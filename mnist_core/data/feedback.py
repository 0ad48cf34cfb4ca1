"""What users said of predictions: one line of JSON each, only ever appended to.

A folder with such a file is a data set to evaluate on: its images, and the labels that users gave. Beside files of
MNIST it is not looked at: a folder has one test set.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_core.arrays import Images
from mnist_core.data.images import LabelledImages
from mnist_core.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "feedback.jsonl"
SHAPE = (28, 28)
MAX_BYTES = 100_000_000
"""Size that the file does not grow beyond: some 85,000 lines."""
BLOCK_BYTES = 4096
_one_writer = threading.Lock()


@dataclass(frozen=True, eq=False)
class Feedback:
    """One prediction and what it should have been.

    Args:
        image: as the network was given it, shape ``(28, 28)``, uint8.
        guess: the label predicted, 0–9.
        truth: the label that the user gave, 0–9.
        model: the version that guessed.
        at: when, ISO 8601.
    """

    image: Images
    guess: int
    truth: int
    model: str
    at: str


def append_feedback(folder: Path, feedback: Feedback) -> None:
    """Add one line to the folder's file, whole or not at all, and see it to the disk.

    Safe with any number of threads and processes. What an earlier crash left of a line is removed first.

    Raises:
        OSError: it cannot be written, or the file would grow beyond ``MAX_BYTES`` (``EFBIG``); the file is as it was.
    """
    record = {
        "at": feedback.at,
        "model": feedback.model,
        "guess": feedback.guess,
        "truth": feedback.truth,
        "pixels": base64.b64encode(feedback.image.tobytes()).decode(),
    }
    line = json.dumps(record).encode() + b"\n"
    path = folder / FILE
    with _one_writer, path.open("a+b", buffering=0) as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file
        rest = _unended_line(file)
        whole = file.seek(0, os.SEEK_END) - len(rest)
        if rest and _parsed(rest) is not None:
            line, whole = b"\n" + line, whole + len(rest)
        elif rest:
            file.truncate(whole)
        if whole + len(line) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it would grow beyond {MAX_BYTES:,} bytes: move it away", str(path))
        try:
            _write_whole(file, line)
        except BaseException:
            file.truncate(whole)
            raise


def _write_whole(file: io.RawIOBase, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) or 0 :]  # a disk that is nearly full takes a part
    os.fsync(file.fileno())


def _unended_line(file: io.RawIOBase) -> bytes:
    """What follows the last newline: nothing, where the file is as it was written here."""
    rest, start = b"", file.seek(0, os.SEEK_END)
    while start and b"\n" not in rest:
        step = min(start, BLOCK_BYTES)
        start = file.seek(start - step)
        rest = (file.read(step) or b"") + rest
    return rest.rpartition(b"\n")[2]


def _parsed(line: bytes) -> tuple[Images, np.uint8] | None:
    """Image and label of a line; None where it is not one that was written here."""
    try:
        record = json.loads(line)
        image = np.frombuffer(base64.b64decode(record["pixels"]), np.uint8).reshape(SHAPE)
        return image, np.uint8(record["truth"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def read_feedback(path: Path) -> LabelledImages:
    """The images of a feedback file with the labels that users gave.

    A last line that does not end was never acknowledged, and is left out where it is not whole.

    Raises:
        DataError: unreadable, or a line is not one that was written here.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    parsed = []
    for number, line in enumerate(lines, start=1):
        if (pair := _parsed(line)) is not None:
            parsed.append(pair)
        elif number < len(lines):
            raise DataError(f"{path}: line {number}: expected feedback of 28 × 28 pixels; delete that line")
    if not parsed:
        raise DataError(f"{path}: expected one line of feedback or more, found none")
    images, labels = zip(*parsed, strict=True)
    return LabelledImages(np.stack(images), np.array(labels))
