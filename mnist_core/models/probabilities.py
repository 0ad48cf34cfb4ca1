"""A check that the outputs of a model are probabilities."""

from __future__ import annotations

import numpy as np

from mnist_core.arrays import Images, Probabilities

# Ten numbers rounded to bfloat16, each by up to 0.4%.
TOLERANCE = 1e-2
SOFTMAX = "make a softmax the last layer (its loss then has from_logits=False)"


def probe_images(shape: tuple[int, int]) -> Images:
    """Two images to test a model with, one without ink and one full of ink: shape ``(2, height, width)``, uint8."""
    blank = np.zeros(shape, np.uint8)
    return np.stack([blank, ~blank])


def probability_fault(scores: Probabilities) -> str | None:
    """The reason why scores are not probabilities, with a remedy; None if they are.

    Args:
        scores: outputs of a model, shape ``(n, classes)``. NaN is no probability.
    """
    sums = scores.sum(axis=1, dtype=np.float64)
    proper = (scores >= 0).all(axis=1) & np.isclose(sums, 1, atol=TOLERANCE)
    if proper.all():
        return None
    first = int(np.flatnonzero(~proper)[0])
    remedy = f"; {SOFTMAX}" if np.isfinite(sums[first]) else ""
    return (
        f"expected probabilities that add up to 1, received scores from {scores[first].min():.3g} to "
        f"{scores[first].max():.3g} with the sum {sums[first]:.3g}{remedy}"
    )
