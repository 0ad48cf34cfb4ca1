"""What the last layer is given, laid out in two dimensions."""

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


# What t-SNE lays out in some seconds, and what a picture of this size can hold.
MAX_POINTS = 1000


@dataclass(frozen=True, eq=False)
class Embedding:
    """Images as points.

    Args:
        pca: shape ``(n, 2)``: the first two principal components.
        explained: share of the variance that each of the two stands for, in [0, 1].
        tsne: shape ``(n, 2)``: t-SNE, which keeps neighbours together; its distances and directions mean nothing.
    """

    pca: Floats
    explained: tuple[float, float]
    tsne: Floats


def embed(features: Floats, seed: int = 0) -> Embedding:
    """Lay out feature vectors by PCA and by t-SNE, which starts from the PCA.

    Args:
        features: shape ``(n, features)``, float32; two or more of each.
        seed: of both methods.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    pca = PCA(2, random_state=seed)
    components = pca.fit_transform(features)
    # Beyond 50 dimensions most of the time goes into distances that PCA keeps anyway (the t-SNE authors' own advice).
    reduced = PCA(50, random_state=seed).fit_transform(features) if min(features.shape) > 50 else features
    perplexity = min(30.0, (len(features) - 1) / 3)
    # One thread: where cores are shared, OpenMP's threads wait for each other longer than they compute.
    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    first, second = (float(share) for share in pca.explained_variance_ratio_)
    return Embedding(components.astype(np.float32), (first, second), tsne.astype(np.float32))


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


def _scatter(axes: Axes, points: Floats, labels: Labels) -> None:
    # Ten colours cannot all be told apart by everyone: the points are the digits themselves.
    import matplotlib as mpl

    colours = mpl.colormaps["tab10"]
    for digit in range(CLASSES):
        mine = points[labels == digit]
        axes.scatter(mine[:, 0], mine[:, 1], marker=f"${digit}$", s=22, linewidths=0.2, color=colours(digit))
