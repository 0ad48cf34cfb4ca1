"""Preprocessing of a picture to an image like MNIST's; the same for the page's canvas, uploads and the API.

MNIST was made by scaling each digit to fit 20 × 20 pixels, with grey levels from anti-aliasing, and placing its
centre of mass at the centre of 28 × 28 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to
document recognition", section III.A). A digit of MNIST stays as it is, or nearly so.
``benchmarks/preprocessing.py`` measures the effect on accuracy.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from mnist_core.arrays import Bytes

SIDE, BOX, CENTRE = 28, 20, 14
MIN_CONTRAST = 25
"""Grey levels, of 255, by which the strongest ink has to differ from the paper; below, nothing is drawn."""
MIN_INK = 0.1
"""Share of the full ink from which a pixel counts as ink for cropping."""
STROKE_SIDE = 4 * BOX
"""Long side, in pixels, at which strokes are measured and thickened."""
MIN_STROKE = 2.3
"""Stroke width, in pixels of the 20 × 20 box, below which strokes are thickened. A quarter of MNIST's are thinner."""

Ink: TypeAlias = npt.NDArray[np.float32]


def to_mnist_image(picture: Bytes) -> Bytes | None:
    """Crop, scale and centre the digit of a picture as in MNIST.

    Args:
        picture: grey levels, shape ``(height, width)``, uint8; one digit, dark on light or light on dark.

    Returns:
        Shape ``(28, 28)``, uint8, 0 is background; None if nothing is drawn.
    """
    ink = _ink(picture)
    if ink is None:
        return None
    cropped = _cropped(ink)
    strokes = _resized(cropped, STROKE_SIDE) if max(ink.shape) > STROKE_SIDE else cropped
    digit = _resized(_cropped(_thickened(strokes)), BOX)
    return np.rint(255 * _centred(digit / digit.max())).astype(np.uint8)


def _ink(picture: Bytes) -> Ink | None:
    """Ink from 0 (paper) to 1, dark on light or light on dark; None if there is none.

    The paper has the border's median grey level. The variation along the border is noise, not ink.
    """
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(np.float32)
    # Sorting takes a tenth of the time of NumPy's percentiles on so few.
    paper = np.sort(border)[len(border) // 2]
    noise = 2 * np.sort(np.abs(border - paper))[3 * len(border) // 4]
    lighter, darker = picture.max() - paper, paper - picture.min()
    strongest = max(lighter, darker) - noise
    if strongest < MIN_CONTRAST:
        return None
    difference = picture - paper if lighter >= darker else paper - picture
    ink: Ink = np.clip((difference - noise) / strongest, 0, 1).astype(np.float32)
    return ink


def _cropped(ink: Ink) -> Ink:
    rows, columns = (np.flatnonzero((ink > MIN_INK).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: Ink, side: int) -> Ink:
    """Scale the ink so that its long side has ``side`` pixels, anti-aliased."""
    height, width = ink.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return ink
    scaled = Image.fromarray(np.ascontiguousarray(ink)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(scaled).clip(0, 1)  # bicubic scaling overshoots


def _thickened(ink: Ink) -> Ink:
    """Widen thin strokes, which scaling to 20 × 20 would make faint."""
    unit = max(ink.shape) / BOX
    ink = np.pad(ink / ink.max(), 1)
    # A stroke's area is its length times its width; its edges are twice its length.
    width = 2 * ink.sum() / np.hypot(*np.gradient(ink)).sum() / unit
    radius = (MIN_STROKE - width) / 2 * unit
    if radius < 0.5:
        return ink
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    thick: Ink = ndimage.grey_dilation(np.pad(ink, reach), footprint=np.hypot(y, x) <= radius)
    return thick


def _centred(ink: Ink) -> Ink:
    """Centre the mass of the ink in 28 × 28, to the nearest pixel, and cut off what lies beyond the edge."""
    total = ink.sum()
    field = np.zeros((3 * SIDE, 3 * SIDE), np.float32)
    # Large enough for the ink wherever its centre of mass lies.
    top, left = (
        SIDE + CENTRE - int(np.rint(np.arange(ink.shape[axis]) @ ink.sum(axis=1 - axis) / total)) for axis in (0, 1)
    )
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return field[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
