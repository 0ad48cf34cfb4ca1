"""The first layer's weights as tiles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.interpretation.first_layer import first_layer
from mnist_core.interpretation.image_grid import ROOM_FOR_TITLE, WIDTH, mosaic, strip_axes
from mnist_core.interpretation.network import Network
from mnist_core.plotting import SIGNED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_TILES = 100
COLUMNS = 10
FILTER_COLUMNS = 8
# A few extreme weights would leave the others pale.
QUANTILE = 0.999


def draw_first_layer(network: Network) -> Figure:
    """What each unit of the first layer looks for, on one symmetric scale.

    Raises:
        ModelError: the first layer does not see the pixels themselves.
    """
    first = first_layer(network)
    shown = first.tiles[:MAX_TILES]
    limit = float(np.quantile(np.abs(shown), QUANTILE)) or 1.0
    columns = min(len(shown), FILTER_COLUMNS) if first.is_convolution else min(COLUMNS, math.ceil(len(shown) ** 0.5))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(WIDTH, max(2.5, (WIDTH - 1) / columns * rows + ROOM_FOR_TITLE))
    axes = figure.subplots()
    drawn = axes.imshow(mosaic(shown, columns), cmap=SIGNED, vmin=-limit, vmax=limit)
    strip_axes([axes])
    what = "filters" if first.is_convolution else "units"
    order = "strongest output first, by row" if network.hidden else "one for each digit, 0 to 9"
    number = f"{len(shown)} of {len(first.tiles)}" if len(shown) < len(first.tiles) else f"all {len(shown)}"
    title = f"Incoming weights of the first layer: {number} {what}, {order}"
    figure.suptitle(title, fontweight="bold", fontsize=11)
    sight = "" if first.is_convolution else " of a pixel scaled to 0–1"
    figure.colorbar(drawn, ax=axes, label=f"weight{sight} (blue: against, red: for)", shrink=0.6, extend="both")
    return figure
