"""A picture of a digit as MNIST would hold it; the same code for the page's canvas, uploads and the API.

MNIST was made by scaling each digit to fit 20 × 20 pixels, with grey levels from anti-aliasing, and placing its
centre of mass at the centre of 28 × 28 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to
document recognition", section III.A). A digit of MNIST comes out as it went in, or nearly so, and may be sent as it is.
What is gained and lost is measured by ``benchmarks/preprocessing.py``.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

SIDE, BOX, CENTRE = 28, 20, 14
MIN_CONTRAST = 25
"""Grey levels, of 255, by which the darkest ink has to differ from the paper to be ink at all."""
INK = 0.1
"""Share of the full ink that counts as ink where a picture is cropped."""
FINE = 4 * BOX
"""Long side, in pixels, at which strokes are measured and thickened."""
MIN_STROKE = 2.3
"""Width of stroke, in pixels of the 20 × 20 box, below which it is thickened; a quarter of MNIST's digits lie below."""

Bytes: TypeAlias = npt.NDArray[np.uint8]
Ink: TypeAlias = npt.NDArray[np.float32]


def as_mnist(picture: Bytes) -> Bytes | None:
    """Find the digit in a picture and draw it as MNIST's digits are drawn.

    Args:
        picture: grey levels, shape ``(height, width)``, uint8; one digit, dark on light or light on dark.

    Returns:
        Shape ``(28, 28)``, uint8, 0 is background; None where nothing is drawn.
    """
    ink = _ink(picture)
    if ink is None:
        return None
    fine = _resized(_cropped(ink), FINE) if max(ink.shape) > FINE else _cropped(ink)
    digit = _resized(_cropped(_thickened(fine)), BOX)
    return np.rint(255 * _centred(digit / digit.max())).astype(np.uint8)


def _ink(picture: Bytes) -> Ink | None:
    """Ink from 0 (paper) to 1, whichever of the two is the darker; None where there is none.

    The paper is what most of the border shows. What varies along the border is noise, and no ink.
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
    rows, columns = (np.flatnonzero((ink > INK).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: Ink, side: int) -> Ink:
    """Scaled so that its long side has ``side`` pixels, anti-aliased."""
    height, width = ink.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return ink
    scaled = Image.fromarray(np.ascontiguousarray(ink)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(scaled).clip(0, 1)  # bicubic scaling swings over


def _thickened(ink: Ink) -> Ink:
    """Strokes of a thin pen made as wide as a pencil's, which the scaling to 20 × 20 would else make faint."""
    unit = max(ink.shape) / BOX
    ink = np.pad(ink / ink.max(), 1)
    # A stroke's area is its length times its width, and its edges are twice its length.
    width = 2 * ink.sum() / np.hypot(*np.gradient(ink)).sum() / unit
    radius = (MIN_STROKE - width) / 2 * unit
    if radius < 0.5:
        return ink
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    thick: Ink = ndimage.grey_dilation(np.pad(ink, reach), footprint=np.hypot(y, x) <= radius)
    return thick


def _centred(ink: Ink) -> Ink:
    """Placed in 28 × 28, centre of mass at the centre to the nearest pixel; what passes the edge is cut off."""
    total = ink.sum()
    field = np.zeros((3 * SIDE, 3 * SIDE), np.float32)
    # The ink fits the field wherever its centre of mass lies within it.
    top, left = (
        SIDE + CENTRE - int(np.rint(np.arange(ink.shape[axis]) @ ink.sum(axis=1 - axis) / total)) for axis in (0, 1)
    )
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return field[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
