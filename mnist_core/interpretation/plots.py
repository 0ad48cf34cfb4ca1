"""All pictures of one trained network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

import keras

from mnist_core.arrays import Floats, Probabilities
from mnist_core.classification import Evaluation
from mnist_core.data.images import LabelledImages
from mnist_core.interpretation import (
    activations,
    calibration,
    embedding,
    first_layer,
    learning_curves,
    mistakes,
    saliency,
)
from mnist_core.interpretation.network import Network
from mnist_core.metrics import EpochMetrics
from mnist_core.models.saved_model import predict
from mnist_core.plotting import PlotSpec, RenderedPlot, render_plot


def render_interpretation(
    model: keras.Model,
    data: LabelledImages,
    history: Sequence[EpochMetrics] = (),
    best_epoch: int | None = None,
) -> Iterator[RenderedPlot]:
    """Draw what the network learned, one picture after the other.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, 10)``. One that cannot be taken apart (a
            subclassed model, an ensemble) has no pictures of its layers.
        data: images that it was not trained on.
        history: metrics of its training, by epoch.
        best_epoch: 1-based epoch whose weights it holds.

    Returns:
        Each picture as soon as it is drawn, or with the reason why it could not be.
    """
    probabilities = predict(model, data.images)
    yield from map(render_plot, _sketches(model, data, probabilities, history, best_epoch))


def _sketches(
    model: keras.Model,
    data: LabelledImages,
    probabilities: Floats,
    history: Sequence[EpochMetrics],
    best_epoch: int | None,
) -> Iterator[PlotSpec]:
    seen = (data, probabilities)
    network = cache(lambda: Network.of(model))  # what cannot be taken apart says so in the pictures that need it
    for name, title, draw in (
        (
            "learning_curves",
            "How the training went",
            partial(learning_curves.draw_learning_curves, history, best_epoch),
        ),
        (
            "first_layer_weights",
            "What the first layer looks for",
            lambda: first_layer.draw_first_layer(network()),
        ),
        (
            "one_of_each_digit",
            "Digits on their way",
            lambda: activations.draw_one_image_per_class(network(), *seen),
        ),
        (
            "units_by_digit",
            "Which units answer to which digit",
            lambda: activations.draw_unit_heatmap(network(), data),
        ),
        ("saliency", "Pixels that speak for a prediction", partial(saliency.draw_right, model, *seen)),
        ("saliency_of_mistakes", "Pixels that misled", partial(saliency.draw_wrong, model, *seen)),
        ("mistakes", "The most confident mistakes", partial(mistakes.draw_mistakes, *seen)),
        ("confused_pairs", "The most confused pairs of digits", partial(mistakes.draw_confused_pairs, *seen)),
        ("embedding", "Images as the last layer sees them", lambda: embedding.draw_embedding(network(), data)),
        ("reliability", "As often right as it is sure?", partial(calibration.draw_calibration, *seen)),
    ):
        yield PlotSpec(name, title, draw)


def render_evaluation_plots(
    evaluation: Evaluation, data: LabelledImages, probabilities: Probabilities
) -> Iterator[RenderedPlot]:
    """Draw an evaluation on the test set.

    Args:
        evaluation: its figures.
        data: the test images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
    """
    draw_mistakes = partial(mistakes.draw_mistakes, data, probabilities, "test")
    yield render_plot(PlotSpec("confusion", "Who is taken for whom", partial(mistakes.draw_confusion, evaluation)))
    yield render_plot(PlotSpec("mistakes", "The most confident mistakes", draw_mistakes))
