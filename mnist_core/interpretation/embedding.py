"""The input of the output layer in two dimensions, by PCA and t-SNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mnist_core.arrays import Floats, Labels
from mnist_core.data.images import CLASSES, LabelledImages
from mnist_core.interpretation.image_grid import WIDTH
from mnist_core.interpretation.network import Network
from mnist_core.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# t-SNE takes some seconds for this number, and a plot of this size has room for it.
MAX_POINTS = 1000


@dataclass(frozen=True, eq=False)
class Embedding:
    """Images as points in two dimensions.

    Args:
        pca: shape ``(n, 2)``: the first two principal components.
        explained: share of the variance of each of the two components, in [0, 1].
        tsne: shape ``(n, 2)``: t-SNE, which keeps neighbours together; its distances and directions have no meaning.
    """

    pca: Floats
    explained: tuple[float, float]
    tsne: Floats


def embed(features: Floats, seed: int = 0) -> Embedding:
    """Embed feature vectors by PCA and by t-SNE, which starts from the PCA.

    Args:
        features: shape ``(n, features)``, float32; two or more of each.
        seed: of both methods.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    pca = PCA(2, random_state=seed)
    components = pca.fit_transform(features)
    # With more than 50 dimensions, distances take most of the time, and PCA keeps them (advice of the t-SNE authors).
    reduced = PCA(50, random_state=seed).fit_transform(features) if min(features.shape) > 50 else features
    perplexity = min(30.0, (len(features) - 1) / 3)
    # One thread: on shared cores, OpenMP's threads wait for each other longer than they compute.
    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    first, second = (float(share) for share in pca.explained_variance_ratio_)
    return Embedding(components.astype(np.float32), (first, second), tsne.astype(np.float32))


def draw_embedding(network: Network, data: LabelledImages) -> Figure:
    """Draw PCA and t-SNE of the input of the output layer, each image as its digit in the digit's colour."""
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
    figure.suptitle(f"Input of the output layer for {len(shown):,} validation images", fontweight="bold", fontsize=11)
    return figure


def _scatter(axes: Axes, points: Floats, labels: Labels) -> None:
    # Not everyone can distinguish ten colours, so the markers are the digits.
    import matplotlib as mpl

    colours = mpl.colormaps["tab10"]
    for digit in range(CLASSES):
        of_digit = points[labels == digit]
        axes.scatter(of_digit[:, 0], of_digit[:, 1], marker=f"${digit}$", s=22, linewidths=0.2, color=colours(digit))
