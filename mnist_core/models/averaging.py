"""An ensemble as one model: the mean of its members' probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def average_model(members: Sequence[keras.Model]) -> keras.Model:
    """Combine models into one whose probabilities are the mean of theirs.

    Args:
        members: two or more, all from pixels ``(n, height, width)`` to probabilities ``(n, classes)``. They become
            layers of the new model and are renamed.

    Returns:
        A functional model with the same input and output shapes; it is not compiled.
    """
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"  # two layers of a model cannot have the same name
    pixels = keras.Input(members[0].input_shape[1:], name="pixels")
    mean = keras.layers.Average(name="probabilities")([member(pixels) for member in members])
    return keras.Model(pixels, mean, name="ensemble")
