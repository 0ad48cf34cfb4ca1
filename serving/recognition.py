"""Recognition of the digit in a picture: its class, its confidence and an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Bytes
from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat

MIN_SURE_CONFIDENCE = 0.7
"""Confidence below which a recognition is marked as not sure."""
DECIMALS = 4


class Predictor(Protocol):
    """A model that is ready for predictions from any thread."""

    @property
    def runtime(self) -> ExportFormat:
        """Format of the file that predicts."""

    @property
    def explains_quickly(self) -> bool:
        """False if an explanation can take seconds."""

    def probabilities(self, images: Bytes) -> npt.NDArray[np.float32]:
        """Class probabilities, shape ``(n, 10)``, of images of shape ``(n, 28, 28)``, uint8."""

    def explain(self, image: Bytes) -> PredictionExplanation:
        """Probabilities, activations and saliency of an image of shape ``(28, 28)``, uint8."""

    def close(self) -> None:
        """End what explanations have started, as other processes; there are no more of them."""


@dataclass(frozen=True)
class Recognition:
    """The digit recognised in one picture.

    Args:
        digit: the most probable class; None if nothing is drawn.
        confidence: its probability; 0 if nothing is drawn.
        sure: true if the confidence is 0.7 or more.
        probabilities: of the ten digits; empty if nothing is drawn.
    """

    digit: int | None = None
    confidence: float = 0.0
    sure: bool = False
    probabilities: tuple[float, ...] = ()

    @classmethod
    def from_probabilities(cls, probabilities: npt.NDArray[np.float32]) -> Recognition:
        """The most probable of ten classes with these probabilities, shape ``(10,)``."""
        digit = int(probabilities.argmax())
        # As doubles: float32 would be written out with all of its digits.
        rounded = tuple(probabilities.astype(np.float64).round(DECIMALS).tolist())
        return cls(digit, rounded[digit], rounded[digit] >= MIN_SURE_CONFIDENCE, rounded)


@dataclass(frozen=True)
class Explanation:
    """The digit recognised in one picture, with the network's input and inner values.

    Args:
        recognition: the digit.
        version: of the model that recognised it.
        pixels: the network's input, 28 × 28 grey levels, 0–255; empty if nothing is drawn.
        activations: of the network's last hidden layer, 0 or more.
        saliency: 28 × 28 numbers from -1 to 1: how much the ink there raises the digit's probability, or lowers it.
    """

    recognition: Recognition
    version: str
    pixels: tuple[tuple[int, ...], ...] = ()
    activations: tuple[float, ...] = ()
    saliency: tuple[tuple[float, ...], ...] = ()


def recognise(predictor: Predictor, images: Sequence[Bytes | None]) -> list[Recognition]:
    """Recognise the digit in each image with one call of the network.

    Args:
        predictor: recognises them.
        images: of shape ``(28, 28)``, uint8; None where nothing is drawn.
    """
    drawn = [image for image in images if image is not None]
    probabilities = iter(predictor.probabilities(np.stack(drawn)) if drawn else ())
    return [Recognition() if image is None else Recognition.from_probabilities(next(probabilities)) for image in images]


def explain_image(predictor: Predictor, image: Bytes | None, version: str) -> Explanation:
    """Recognise the digit in one image with the model of that version, and explain it.

    Args:
        predictor: recognises it.
        image: of shape ``(28, 28)``, uint8; None if nothing is drawn.
        version: of the predictor's model.
    """
    if image is None:
        return Explanation(Recognition(), version)
    explanation = predictor.explain(image)
    strongest = max(np.abs(explanation.saliency).max(), 1e-9)
    return Explanation(
        recognition=Recognition.from_probabilities(explanation.probabilities),
        version=version,
        pixels=_rows(image),
        activations=tuple(explanation.activations.round(DECIMALS).tolist()),
        saliency=_rows((explanation.saliency / strongest).round(2)),
    )


def _rows(array: npt.NDArray[np.generic]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, array.tolist()))
