"""Small images in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.arrays import Floats, Images
from mnist_core.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


WIDTH = 8.2
INK = "gray_r"
ROOM_FOR_TITLE = 0.45
ROOM_FOR_CAPTION = 0.2


def image_grid(images: Images, captions: Sequence[str], columns: int, title: str) -> Figure:
    """Draw images with a caption above each.

    Args:
        images: shape ``(n, height, width)``, uint8.
        captions: one for each image.
        columns: number of columns.
        title: of the figure.
    """
    rows = math.ceil(len(images) / columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    height = rows * (WIDTH / columns * 0.86 + ROOM_FOR_CAPTION * lines) + ROOM_FOR_TITLE
    figure = new_figure(WIDTH, height)
    figure.suptitle(title, fontweight="bold", fontsize=11)
    for axes, image, caption in zip(figure.subplots(rows, columns, squeeze=False).flat, images, captions, strict=False):
        axes.imshow(image, cmap=INK, vmin=0, vmax=255)
        axes.set_title(caption, fontsize=9, fontweight="normal", pad=3)
    strip_axes(figure.axes)
    return figure


def mosaic(tiles: Floats, columns: int, gap: int = 1) -> Floats:
    """Join tiles into one array, with NaN between and after them.

    Args:
        tiles: shape ``(n, height, width)``, float32.
        columns: number of tiles in a row.
        gap: between two tiles, in pixels.

    Returns:
        Shape ``(rows · (height + gap) − gap, columns · (width + gap) − gap)``, float32.
    """
    count, height, width = tiles.shape
    rows = math.ceil(count / columns)
    whole = np.full((rows * (height + gap), columns * (width + gap)), np.nan, dtype=np.float32)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        whole[top : top + height, left : left + width] = tile
    return whole[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def strip_axes(axes: Sequence[Axes]) -> None:
    """Remove frame, ticks and background of axes that have no scale or are empty."""
    for each in axes:
        each.set_axis_off()
