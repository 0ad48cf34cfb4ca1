"""Calibration: confidence against accuracy, computed and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mnist_core.arrays import Floats, Labels
from mnist_core.classification import CALIBRATION_BINS
from mnist_core.data.images import LabelledImages
from mnist_core.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Confidence against accuracy, in bins of equal width over [0, 1]; empty bins are left out.

    Args:
        confidence: mean probability of the predicted digit in each bin.
        accuracy: share of correct predictions in each bin.
        counts: number of images in each bin.
    """

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of accuracy and confidence over all images, in [0, 1]."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.counts))


def calibration_curve(probabilities: Floats, labels: Labels) -> CalibrationCurve:
    """Compute accuracy by the probability of the predicted digit.

    Args:
        probabilities: shape ``(n, 10)``.
        labels: shape ``(n,)``, 0–9.
    """
    from sklearn.calibration import calibration_curve

    confidence = np.clip(probabilities.max(axis=1).astype(np.float64), 0, 1)
    correct = probabilities.argmax(axis=1) == labels
    accuracy, mean_confidence = calibration_curve(correct, confidence, pos_label=True, n_bins=CALIBRATION_BINS)
    # The same bins as those of scikit-learn, which does not return their counts.
    counts = np.bincount(
        np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], confidence), minlength=CALIBRATION_BINS
    )
    return CalibrationCurve(mean_confidence, accuracy, counts[counts > 0])


def draw_calibration(data: LabelledImages, probabilities: Floats) -> Figure:
    """Draw confidence against accuracy, and the number of images by confidence."""
    curve = calibration_curve(probabilities, data.labels)
    figure = new_figure(5.6, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], ":", color="grey", label="perfect calibration")
    upper.plot(curve.confidence, curve.accuracy, "o-", label="the network")
    title = f"Reliability: expected calibration error {curve.error:.2%}"
    upper.set(title=title, ylabel="share of correct predictions", ylim=(0, 1.03), xlim=(0, 1.01))
    upper.legend()
    lower.bar(curve.confidence, curve.counts, width=0.6 / CALIBRATION_BINS)
    lower.set(yscale="log", ylabel="images (log)", xlabel="probability of the predicted digit")
    return figure
