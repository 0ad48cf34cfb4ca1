"""A few digits as text."""

from __future__ import annotations

import numpy as np

from mnist_core.data.images import LabelledImages

MARGIN = 4
INK = 96
# By whether the upper and the lower pixel have ink.
BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def preview(data: LabelledImages, count: int = 4) -> str:
    """Images spread over the set, side by side, two pixels to a character, each above its label.

    Args:
        data: at least ``count`` images.
        count: how many to show.
    """
    chosen = np.linspace(0, len(data) - 1, count).astype(int)
    height, width = data.shape
    margin = MARGIN if min(height, width) > 2 * MARGIN else 0
    ink = data.images[chosen, margin : height - margin, margin : width - margin] >= INK
    if ink.shape[1] % 2:
        ink = np.pad(ink, ((0, 0), (0, 1), (0, 0)))
    rows = [
        "  ".join("".join(BLOCKS[bool(top), bool(bottom)] for top, bottom in zip(*pair, strict=True)) for pair in line)
        for line in zip(*(zip(image[0::2], image[1::2], strict=True) for image in ink), strict=True)
    ]
    labels = "  ".join(f"{label:^{ink.shape[2]}}" for label in data.labels[chosen])
    return "\n".join([*rows, labels])
