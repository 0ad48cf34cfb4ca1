"""From pictures to what is said of them: the digit, how sure, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from serving.preprocessing import Bytes, as_mnist

if TYPE_CHECKING:
    from mnist_core.models.predictor import PredictionExplanation

SURE = 0.7
"""Confidence below which the answer is "not sure"."""
DECIMALS = 4


class Predictor(Protocol):
    """A model that is ready to answer, from any thread."""

    def probabilities(self, images: Bytes) -> npt.NDArray[np.float32]:
        """Class probabilities, shape ``(n, 10)``, of images of shape ``(n, 28, 28)``, uint8."""

    def explain(self, image: Bytes) -> PredictionExplanation:
        """How an image of shape ``(28, 28)``, uint8, led to its probabilities."""


@dataclass(frozen=True)
class Recognition:
    """What is said of one picture.

    Args:
        digit: the likeliest; None where nothing is drawn.
        confidence: its probability, 0 where nothing is drawn.
        sure: whether the confidence is 0.7 or more.
        probabilities: of the ten digits; none where nothing is drawn.
    """

    digit: int | None = None
    confidence: float = 0.0
    sure: bool = False
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Explained:
    """What is said of one picture, and how it came to that.

    Args:
        recognition: what is said.
        version: of the model that said it.
        pixels: the 28 × 28 image that the network was given, 0–255; none where nothing is drawn.
        activations: of the network's last hidden layer, 0 or more.
        saliency: 28 × 28 numbers from -1 to 1: how much the ink there speaks for the digit, or against it.
    """

    recognition: Recognition
    version: str
    pixels: tuple[tuple[int, ...], ...] = ()
    activations: tuple[float, ...] = ()
    saliency: tuple[tuple[float, ...], ...] = ()


def recognise(predictor: Predictor, pictures: Sequence[Bytes]) -> list[Recognition]:
    """Recognise one digit in each picture of grey levels, of any size; all in one call of the network."""
    images = [as_mnist(picture) for picture in pictures]
    drawn = [image for image in images if image is not None]
    answers = iter(predictor.probabilities(np.stack(drawn)) if drawn else ())
    return [Recognition() if image is None else conclude(next(answers)) for image in images]


def explain(predictor: Predictor, picture: Bytes, version: str) -> Explained:
    """Recognise the digit in one picture with the model of that version, and say how."""
    image = as_mnist(picture)
    if image is None:
        return Explained(Recognition(), version)
    explanation = predictor.explain(image)
    return Explained(
        recognition=conclude(explanation.probabilities),
        version=version,
        pixels=_rows(image),
        activations=tuple(explanation.activations.round(DECIMALS).tolist()),
        saliency=_rows((explanation.saliency / max(np.abs(explanation.saliency).max(), 1e-9)).round(2)),
    )


def conclude(probabilities: npt.NDArray[np.float32]) -> Recognition:
    """What is said of an image with these probabilities, shape ``(10,)``."""
    digit = int(probabilities.argmax())
    # As doubles: float32 would be written out with all of its digits.
    rounded = tuple(probabilities.astype(np.float64).round(DECIMALS).tolist())
    return Recognition(digit, rounded[digit], rounded[digit] >= SURE, rounded)


def _rows(array: npt.NDArray[np.generic]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, array.tolist()))
