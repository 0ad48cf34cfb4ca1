"""Where the network is wrong: its most confident mistakes, and the digits it takes for each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mnist_core.data import CLASSES
from mnist_core.insight.network import Array, Labels


@dataclass(frozen=True)
class ConfusedPair:
    """One digit taken for another.

    Args:
        label: what it is.
        predicted: what it was taken for.
        count: how often.
        share: of all images of ``label``, in [0, 1].
    """

    label: int
    predicted: int
    count: int
    share: float


def confident_mistakes(probabilities: Array, labels: Labels, count: int = 25) -> npt.NDArray[np.intp]:
    """Images that were taken for another digit, the most probable prediction first.

    Args:
        probabilities: shape ``(n, 10)``.
        labels: shape ``(n,)``, 0–9.
        count: how many at most.

    Returns:
        Indices, at most ``count``.
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:count]


def confused_pairs(probabilities: Array, labels: Labels) -> list[ConfusedPair]:
    """Every pair of digits that was confused, the most frequent first."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(CLASSES))
    pairs = [
        ConfusedPair(label, predicted, int(counts[label, predicted]), float(counts[label, predicted] / row.sum()))
        for label, row in enumerate(counts)
        for predicted in range(CLASSES)
        if label != predicted and counts[label, predicted]
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))
