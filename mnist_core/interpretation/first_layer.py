"""The weights of the first layer as images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from mnist_core.arrays import Floats, Indices
from mnist_core.errors import ModelError
from mnist_core.interpretation.image_grid import ROOM_FOR_TITLE, WIDTH, mosaic, strip_axes
from mnist_core.interpretation.network import Network
from mnist_core.plotting import SIGNED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The incoming weights of each unit of the first layer, strongest output first.

    Args:
        tiles: shape ``(units, height, width)``, float32: the image's size for Dense, the kernel's for Conv2D.
        units: shape ``(units,)``, the index of each tile's unit in the layer.
        strengths: shape ``(units,)``, float32: Euclidean norm of the unit's weights in the next layer; for a linear
            classifier, whose units are the digits in their order, the norm of the tile.
        is_convolution: true if the tiles are filters.
    """

    tiles: Floats
    units: Indices
    strengths: Floats
    is_convolution: bool


def first_layer(network: Network) -> FirstLayer:
    """Arrange the weights of the first layer as images.

    Raises:
        ModelError: the input of the first layer is not the pixels.
    """
    first, *rest = network.trainable_layers
    kernel = _kernel(first)
    tiles = _filters(kernel) if kernel.ndim == 4 else _images(kernel, network)
    if not rest:
        strengths = np.linalg.norm(tiles.reshape(len(tiles), -1), axis=1)
        return FirstLayer(tiles, np.arange(len(tiles)), strengths, kernel.ndim == 4)
    strengths = outgoing_strengths(_kernel(rest[0]), len(tiles))
    units = np.argsort(-strengths, kind="stable")
    return FirstLayer(tiles[units], units, strengths[units], kernel.ndim == 4)


def outgoing_strengths(kernel: Floats, units: int) -> Floats:
    """The Euclidean norm of the weights of each unit in the next layer.

    Args:
        kernel: of the next layer, ``(units, outputs)``, ``(positions · units, outputs)`` after a flattened
            convolution, or ``(height, width, units, filters)``.
        units: number of units in the layer before it.

    Raises:
        ModelError: the number of inputs of the kernel is no multiple of the units.
    """
    inputs = kernel.size // kernel.shape[-1]
    if inputs % units:
        raise ModelError(f"next layer: expected inputs from {units} units, received a kernel of {inputs} inputs")
    # Channels are last in Keras, so every units-th row belongs to the same unit.
    strengths: Floats = np.linalg.norm(kernel.reshape(-1, units, kernel.shape[-1]), axis=(0, 2))
    return strengths


def _kernel(layer: keras.Layer) -> Floats:
    return np.asarray(layer.kernel, dtype=np.float32)


def _filters(kernel: Floats) -> Floats:
    # The mean over the channels of an image with several channels.
    filters: Floats = kernel.mean(axis=2).transpose(2, 0, 1)
    return filters


def _images(kernel: Floats, network: Network) -> Floats:
    height, width = network.model.input_shape[1:3]
    if len(kernel) != height * width:
        raise ModelError(
            f"layer {network.trainable_layers[0].name}: expected one weight for each of {height} × {width} pixels, "
            f"received {len(kernel)} inputs"
        )
    tiles: Floats = kernel.T.reshape(-1, height, width)
    return tiles


MAX_TILES = 100
COLUMNS = 10
FILTER_COLUMNS = 8
# A few extreme weights would make the others pale.
QUANTILE = 0.999


def draw_first_layer(network: Network) -> Figure:
    """Draw the incoming weights of each unit of the first layer, on one symmetric scale.

    Raises:
        ModelError: the input of the first layer is not the pixels.
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
    kind = "filters" if first.is_convolution else "units"
    order = "strongest output first, by row" if network.hidden else "one for each digit, 0 to 9"
    number = f"{len(shown)} of {len(first.tiles)}" if len(shown) < len(first.tiles) else f"all {len(shown)}"
    title = f"Incoming weights of the first layer: {number} {kind}, {order}"
    figure.suptitle(title, fontweight="bold", fontsize=11)
    unit = "" if first.is_convolution else " of a pixel scaled to 0–1"
    figure.colorbar(drawn, ax=axes, label=f"weight{unit} (blue: negative, red: positive)", shrink=0.6, extend="both")
    return figure
