"""The explanation of a prediction, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_core.arrays import Floats


@dataclass(frozen=True, eq=False)
class PredictionExplanation:
    """The explanation of the probabilities of one image.

    Args:
        probabilities: shape ``(10,)``.
        activations: of the last hidden layer, after its normalisation and activation function, so 0 or more after a
            ReLU; shape ``(units,)``, empty if there is no such layer.
        saliency: shape ``(28, 28)``: gradient of the predicted class's log-probability, times the pixel; positive
            where ink increases that probability.
    """

    probabilities: Floats
    activations: Floats
    saliency: Floats
