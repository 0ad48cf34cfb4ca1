"""The feedback file: users' corrections of predictions, one line of JSON each, to which lines are only appended.

A folder with such a file is a data set to evaluate on: its images, and the labels that users gave. In a folder with
IDX files it is ignored: a folder has one test set.
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
from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "feedback.jsonl"
SHAPE = (28, 28)
MAX_BYTES = 100_000_000
"""Maximum size of the file: some 85,000 lines."""
BLOCK_BYTES = 4096
_one_writer = threading.Lock()


@dataclass(frozen=True, eq=False)
class Feedback:
    """One prediction and the true label.

    Args:
        image: the input of the network, shape ``(28, 28)``, uint8.
        guess: the predicted label, 0–9.
        truth: the label that the user gave, 0–9.
        model: the version of the model.
        at: the time of the feedback, ISO 8601.
    """

    image: Images
    guess: int
    truth: int
    model: str
    at: str


def append_feedback(folder: Path, feedback: Feedback) -> None:
    """Append one line to the folder's file, completely or not at all, and sync it to the disk.

    Safe with any number of threads and processes. An incomplete line of an earlier crash is removed first.

    Raises:
        OSError: the file cannot be written, or would grow beyond ``MAX_BYTES`` (``EFBIG``); it is unchanged.
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
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        rest = _unended_line(file)
        complete = file.seek(0, os.SEEK_END) - len(rest)
        if rest and _parsed(rest) is not None:
            line, complete = b"\n" + line, complete + len(rest)
        elif rest:
            file.truncate(complete)
        if complete + len(line) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it would grow beyond {MAX_BYTES:,} bytes: move it away", str(path))
        try:
            _write_all(file, line)
        except BaseException:
            file.truncate(complete)
            raise


def _write_all(file: io.RawIOBase, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) or 0 :]  # a disk that is nearly full may write a part
    os.fsync(file.fileno())


def _unended_line(file: io.RawIOBase) -> bytes:
    """The bytes after the last newline: none unless a write was interrupted."""
    rest, start = b"", file.seek(0, os.SEEK_END)
    while start and b"\n" not in rest:
        step = min(start, BLOCK_BYTES)
        start = file.seek(start - step)
        rest = (file.read(step) or b"") + rest
    return rest.rpartition(b"\n")[2]


def _parsed(line: bytes) -> tuple[Images, np.uint8] | None:
    """Image and label of a line; None if it is not a line of feedback."""
    try:
        record = json.loads(line)
        image = np.frombuffer(base64.b64decode(record["pixels"]), np.uint8).reshape(SHAPE)
        truth = record["truth"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # NumPy would round 3.7 down, and take true for 1.
    return (image, np.uint8(truth)) if type(truth) is int and 0 <= truth < CLASSES else None


def read_feedback(path: Path) -> LabelledImages:
    """Read the images of a feedback file with the labels that users gave.

    A last line without a newline was never acknowledged; it is left out if it is incomplete.

    Raises:
        DataError: the file cannot be read, or has a line that is no feedback.
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
            raise DataError(
                f"{path}: line {number}: expected feedback of 28 × 28 pixels with a truth from 0 to 9; delete that line"
            )
    if not parsed:
        raise DataError(f"{path}: expected one line of feedback or more, found none")
    images, labels = zip(*parsed, strict=True)
    return LabelledImages(np.stack(images), np.array(labels))
