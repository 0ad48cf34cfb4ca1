"""What users said of predictions: one line of JSON each, only ever appended to.

A folder with such a file is a data set to evaluate on: its images, and the labels that users gave.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mnist_core.data import LabelledImages
from mnist_core.errors import DataError

FILE = "feedback.jsonl"
SHAPE = (28, 28)


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

    image: npt.NDArray[np.uint8]
    guess: int
    truth: int
    model: str
    at: str


def append_feedback(folder: Path, feedback: Feedback) -> None:
    """Add one line to the folder's file, whole or not at all, and see it to the disk.

    Raises:
        OSError: it cannot be written.
    """
    record = {
        "at": feedback.at,
        "model": feedback.model,
        "guess": feedback.guess,
        "truth": feedback.truth,
        "pixels": base64.b64encode(feedback.image.tobytes()).decode(),
    }
    with (folder / FILE).open("ab", buffering=0) as file:
        file.write(json.dumps(record).encode() + b"\n")  # one call: lines of several processes do not mix
        os.fsync(file.fileno())


def read_feedback(path: Path) -> LabelledImages:
    """The images of a feedback file with the labels that users gave.

    Raises:
        DataError: unreadable, or a line is not one that was written here.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    images, labels = [], []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            images.append(np.frombuffer(base64.b64decode(record["pixels"]), np.uint8).reshape(SHAPE))
            labels.append(np.uint8(record["truth"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(f"{path}: line {number}: expected feedback of 28 × 28 pixels; delete that line") from error
    if not images:
        raise DataError(f"{path}: expected one line of feedback or more, found none")
    return LabelledImages(np.stack(images), np.array(labels))
