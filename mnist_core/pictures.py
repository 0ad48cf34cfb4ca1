"""How every picture of this project looks, set in one place: readable at the MLflow UI's size, colour-blind safe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any common kind of colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK)
# One hue from light to dark for amounts; two hues around white for what has a sign.
AMOUNTS, SIGNED = "Blues", "RdBu_r"
DPI = 110

_STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in this block with the project's style; nothing else in the process changes its looks."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=CYCLE)}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that no window knows of; to be called within :func:`style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def digit_grid(images: npt.NDArray[np.uint8], captions: Sequence[str], columns: int = 5, title: str = "") -> Figure:
    """Digits in rows, each with what is said of it above; to be called within :func:`style`.

    Args:
        images: shape ``(n, height, width)``, uint8, 0 is background.
        captions: one for each image; may have two lines.
        columns: digits in a row.
        title: above all.
    """
    rows = max(1, math.ceil(len(images) / columns))
    figure = new_figure(1.6 * columns, 1.9 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=9, fontweight="normal")
    figure.suptitle(title, fontweight="bold")
    return figure
