"""Which units answer to which digit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mnist_core.data.images import CLASSES
from mnist_core.interpretation.network import Array, Labels


def class_means(answers: Array, labels: Labels) -> Array:
    """The mean answer of each unit to each digit.

    Args:
        answers: shape ``(n, units)``, float32.
        labels: shape ``(n,)``, 0–9.

    Returns:
        Shape ``(10, units)``, float32; NaN for a digit that is not among the labels.
    """
    means = np.full((CLASSES, answers.shape[1]), np.nan, dtype=np.float32)
    for digit in np.unique(labels):
        means[digit] = answers[labels == digit].mean(axis=0)
    return means


def order_by_class(means: Array) -> npt.NDArray[np.intp]:
    """Units in the order of the digit that each answers to most, those that tell it apart best first.

    A unit tells its digit apart by as much as its mean answer to it lies above its mean answer to the second best,
    in standard deviations of all its means. Units that never answer come last.

    Args:
        means: shape ``(10, units)``; NaN for digits that are missing.

    Returns:
        Shape ``(units,)``: indices of units.
    """
    known = means[~np.isnan(means).any(axis=1)]
    digits = np.flatnonzero(~np.isnan(means).any(axis=1))
    ranked = np.sort(known, axis=0)
    spread = known.std(axis=0)
    lead = (ranked[-1] - ranked[-2]) if len(known) > 1 else ranked[-1]
    apart = np.divide(lead, spread, out=np.zeros_like(spread), where=spread > 0)
    favourite = digits[known.argmax(axis=0)]
    return np.lexsort((-apart, favourite, spread == 0))


def one_image_per_class(labels: Labels, probabilities: Array) -> npt.NDArray[np.intp]:
    """For each digit that is there, the first image that was recognised, else the first image.

    Args:
        labels: shape ``(n,)``, 0–9.
        probabilities: shape ``(n, 10)``.
    """
    recognised = probabilities.argmax(axis=1) == labels
    chosen = []
    for digit in np.unique(labels):
        images = np.flatnonzero(labels == digit)
        chosen.append(images[recognised[images].argmax()])
    return np.array(chosen, dtype=np.intp)
