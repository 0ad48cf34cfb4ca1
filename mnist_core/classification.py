"""Metrics of a classifier from its probabilities and the true labels, each with its confidence interval.

Intervals are of 95%. The accuracy's is Wilson's score interval (Wilson 1927); the others are percentiles of a seeded
bootstrap over the images, less its estimate of their bias (Efron and Tibshirani 1993, chapter 10), which matters for
the calibration error alone. They cover the choice of the images, not the randomness of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Indices, Labels, Probabilities
from mnist_core.data.images import CLASSES
from mnist_core.errors import DataError, NonFiniteError

CONFIDENCE = 0.95
RESAMPLES = 1000
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassMetrics:
    """The metrics of one class.

    Args:
        label: 0–9.
        images: number of images of this class.
        precision: share of the images predicted as this class that belong to it; 0 if there are none.
        recall: share of the images of this class that were predicted as it.
        f1: harmonic mean of precision and recall.
    """

    label: int
    images: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ConfusedPair:
    """A digit that was predicted as another.

    Args:
        label: the true digit.
        predicted: the predicted digit.
        count: number of images.
        share: of all images of ``label``, in [0, 1].
    """

    label: int
    predicted: int
    count: int
    share: float

    def __str__(self) -> str:
        return f"{self.label} predicted as {self.predicted} ({self.count})"


def confused_pairs(confusion: Sequence[Sequence[int]]) -> list[ConfusedPair]:
    """All pairs of digits that were confused, the most frequent first.

    Args:
        confusion: counts, a row for each true class, a column for each predicted class.
    """
    pairs = [
        ConfusedPair(label, predicted, count, count / sum(row))
        for label, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if label != predicted and count
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))


@dataclass(frozen=True)
class Evaluation:
    """All metrics of one model on one set of images.

    Args:
        images: number of images.
        accuracy: share predicted correctly; Wilson interval.
        macro_precision: mean over the classes; bootstrap interval, like all that follow.
        macro_recall: mean over the classes.
        macro_f1: mean over the classes.
        log_loss: mean negative log-probability of the true class, nats.
        calibration_error: expected calibration error, ``CALIBRATION_BINS`` equal bins of the highest probability
            (Guo et al. 2017).
        classes: one entry for each class.
        confusion: counts, a row for each true class, a column for each predicted class.
    """

    images: int
    accuracy: Estimate
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def errors(self) -> int:
        """The number of images that were not predicted correctly."""
        return self.images - sum(row[label] for label, row in enumerate(self.confusion))

    def headline(self) -> dict[str, Estimate]:
        """The metrics over all classes, by name."""
        return {
            "accuracy": self.accuracy,
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
        }

    def confused(self, count: int | None = None) -> list[ConfusedPair]:
        """The confused pairs, the most frequent first; at most ``count``."""
        return confused_pairs(self.confusion)[:count]


def evaluate_predictions(probabilities: Probabilities, labels: Labels, seed: int = 0) -> Evaluation:
    """All metrics of a classifier.

    Args:
        probabilities: shape ``(n, 10)``, each row adding up to 1.
        labels: shape ``(n,)``, 0–9.
        seed: of the bootstrap.

    Raises:
        DataError: the shapes do not match.
        NonFiniteError: a probability is infinite or not a number.
    """
    if probabilities.shape != (len(labels), CLASSES) or not len(labels):
        raise DataError(
            f"probabilities: expected shape ({len(labels)}, {CLASSES}), one row or more, received {probabilities.shape}"
        )
    if not np.isfinite(probabilities).all():
        bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise NonFiniteError(f"probabilities: expected finite numbers, received others for {bad:,} of {len(labels):,}")
    # Imported here because it takes half a second, and most commands do not need it.
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    names = np.arange(CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=names, zero_division=0)
    resampled = _Resampled(probabilities, labels, seed)
    return Evaluation(
        images=len(labels),
        accuracy=wilson(int((predicted == labels).sum()), len(labels)),
        **resampled.estimates(),
        classes=tuple(
            ClassMetrics(int(name), int(support[name]), float(precision[name]), float(recall[name]), float(f1[name]))
            for name in names
        ),
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(labels, predicted, labels=names)),
    )


def wilson(successes: int, trials: int) -> Estimate:
    """The share of successes with Wilson's score interval."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


class _Resampled:
    """The headline metrics except the accuracy, on the images and on bootstrap samples of them."""

    def __init__(self, probabilities: Probabilities, labels: Labels, seed: int) -> None:
        predicted = probabilities.argmax(axis=1)
        self._count = len(labels)
        self._cells = labels.astype(np.intp) * CLASSES + predicted
        true = probabilities[np.arange(self._count), labels].astype(np.float64)
        self._losses = -np.log(np.clip(true, np.finfo(np.float32).eps, 1.0))
        confidence = probabilities.max(axis=1)
        self._bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
        self._gaps = confidence.astype(np.float64) - (predicted == labels)
        self._rng = np.random.default_rng(seed)

    def estimates(self) -> dict[str, Estimate]:
        point = self._metrics(np.ones(self._count))
        tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
        share = np.full(self._count, 1 / self._count)
        # The number of times that each image is drawn: a mean over the drawn images depends on nothing else.
        drawn = np.array([self._metrics(self._rng.multinomial(self._count, share)) for _ in range(RESAMPLES)])
        # Of the five metrics, only the log loss has no maximum.
        unbiased = np.clip(drawn - (drawn.mean(axis=0) - point), 0, [1, 1, 1, np.inf, 1])
        lows, highs = np.percentile(unbiased, tails, axis=0)
        names = ("macro_precision", "macro_recall", "macro_f1", "log_loss", "calibration_error")
        return {
            name: Estimate(float(value), float(low), float(high))
            for name, value, low, high in zip(names, point, lows, highs, strict=True)
        }

    def _metrics(self, weights: npt.NDArray[Any]) -> tuple[float, ...]:
        confusion = np.bincount(self._cells, weights, CLASSES * CLASSES).reshape(CLASSES, CLASSES)
        hits, rows, columns = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        present = rows > 0  # a class without images has no recall
        precision = hits / np.maximum(columns, 1)
        recall = hits / np.maximum(rows, 1)
        f1 = 2 * hits / np.maximum(rows + columns, 1)
        gaps = np.abs(np.bincount(self._bins, weights * self._gaps, CALIBRATION_BINS)).sum() / self._count
        return (
            float(precision[present].mean()),
            float(recall[present].mean()),
            float(f1[present].mean()),
            float(weights @ self._losses / self._count),
            float(gaps),
        )


@dataclass(frozen=True)
class PairedTest:
    """A comparison of two classifiers on the same images.

    Args:
        first_only: number of images that only the first predicted correctly.
        second_only: number of images that only the second predicted correctly.
        p_value: of McNemar's exact test, two-sided: probability of counts at least as uneven if both are equally
            accurate.
    """

    first_only: int
    second_only: int
    p_value: float


def mcnemar(first: Labels, second: Labels, labels: Labels) -> PairedTest:
    """McNemar's test in its exact, binomial form (McNemar 1947).

    Args:
        first: predicted classes of one classifier, shape ``(n,)``.
        second: predicted classes of the other on the same images, shape ``(n,)``.
        labels: true classes, shape ``(n,)``.
    """
    from scipy.stats import binomtest

    first_only = int(((first == labels) & (second != labels)).sum())
    second_only = int(((second == labels) & (first != labels)).sum())
    differing = first_only + second_only
    return PairedTest(first_only, second_only, float(binomtest(first_only, differing).pvalue) if differing else 1.0)


def paired_lower_bound(first_only: int, second_only: int, images: int, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound of the difference in accuracy between two classifiers, first less second.

    The score bound for the difference of paired proportions (Tango 1998, Statistics in Medicine 17, 891–908): the
    smallest difference that the score test does not reject. It is valid for few differing images; without any,
    it is ``-z² / (n + z²)``.

    Args:
        first_only: number of images that only the first predicted correctly.
        second_only: number of images that only the second predicted correctly.
        images: number of all images, 1 or more.
        confidence: probability that the bound lies below the true difference.

    Returns:
        A difference of accuracies as a share, in [-1, 1].
    """
    quantile = NormalDist().inv_cdf(confidence)
    low, high = -1.0, (first_only - second_only) / images
    for _ in range(50):  # halves the range to about 2e-15
        middle = (low + high) / 2
        if _score_excess(first_only, second_only, images, middle, quantile) >= 0:
            low = middle
        else:
            high = middle
    return low


def _score_excess(first_only: int, second_only: int, images: int, difference: float, quantile: float) -> float:
    """The score less its quantile for this true difference, times its standard error."""
    # The most likely share of images that only the second predicts correctly, given the difference.
    a = 2 * images
    b = -first_only - second_only + (a - first_only + second_only) * difference
    c = -second_only * difference * (1 - difference)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = images * (2 * share + difference * (1 - difference))
    return first_only - second_only - images * difference - quantile * math.sqrt(max(0.0, variance))


def confident_mistakes(probabilities: Probabilities, labels: Labels, count: int = 25) -> Indices:
    """Indices of the wrongly predicted images, the highest probability first; at most ``count``."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order][:count]
