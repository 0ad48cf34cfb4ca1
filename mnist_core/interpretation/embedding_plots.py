"""Images as the last layer sees them, in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.interpretation.embedding import MAX_POINTS, embed
from mnist_core.interpretation.image_grid import WIDTH
from mnist_core.interpretation.network import Network
from mnist_core.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mnist_core.interpretation.network import Array, Labels


def draw_embedding(network: Network, data: LabelledImages) -> Figure:
    """PCA beside t-SNE of what the last layer is given, each image drawn as its digit in the digit's colour."""
    chosen = np.unique(np.linspace(0, len(data) - 1, min(MAX_POINTS, len(data))).astype(int))
    shown = data.take(chosen)
    points = embed(network.features(shown.images))
    figure = new_figure(WIDTH, 4.6)
    left, right = figure.subplots(1, 2)
    _scatter(left, points.pca, shown.labels)
    left.set(title="PCA", xlabel=f"first component ({points.explained[0]:.0%} of the variance)")
    left.set_ylabel(f"second component ({points.explained[1]:.0%})")
    _scatter(right, points.tsne, shown.labels)
    right.set(title="t-SNE", xlabel="neighbours lie together; axes have no meaning", xticks=[], yticks=[])
    figure.suptitle(f"{len(shown):,} validation images as the last layer sees them", fontweight="bold", fontsize=11)
    return figure


def _scatter(axes: Axes, points: Array, labels: Labels) -> None:
    # Ten colours cannot all be told apart by everyone: the points are the digits themselves.
    import matplotlib as mpl

    colours = mpl.colormaps["tab10"]
    for digit in range(CLASSES):
        mine = points[labels == digit]
        axes.scatter(mine[:, 0], mine[:, 1], marker=f"${digit}$", s=22, linewidths=0.2, color=colours(digit))
