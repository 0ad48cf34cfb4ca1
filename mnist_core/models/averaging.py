"""Several models as one, which gives the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def average_model(members: Sequence[keras.Model]) -> keras.Model:
    """One model whose probabilities are the mean of its members'.

    Args:
        members: two or more, all from pixels ``(n, height, width)`` to probabilities ``(n, classes)``. They become
            parts of the new model and are renamed.

    Returns:
        A functional model of the same inputs and outputs, to predict with; it is not compiled.
    """
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"  # two layers of a model cannot have one name
    pixels = keras.Input(members[0].input_shape[1:], name="pixels")
    mean = keras.layers.Average(name="probabilities")([member(pixels) for member in members])
    return keras.Model(pixels, mean, name="ensemble")
