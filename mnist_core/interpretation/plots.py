"""The plots of a trained network and of an evaluation."""

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
    """Draw the plots of a trained network, one after the other.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, 10)``. A model without a graph of Dense or
            Conv2D layers (a subclassed model, an ensemble) has no plots of its layers.
        data: images that it was not trained on.
        history: metrics of its training, by epoch.
        best_epoch: 1-based epoch whose weights the model has.

    Returns:
        Each plot as soon as it is drawn, or the reason why it cannot be drawn.
    """
    probabilities = predict(model, data.images)
    yield from map(render_plot, _plot_specs(model, data, probabilities, history, best_epoch))


def _plot_specs(
    model: keras.Model,
    data: LabelledImages,
    probabilities: Floats,
    history: Sequence[EpochMetrics],
    best_epoch: int | None,
) -> Iterator[PlotSpec]:
    predictions = (data, probabilities)
    network = cache(lambda: Network.of(model))  # called within each plot, whose problem is then its error
    for name, title, draw in (
        (
            "learning_curves",
            "Learning curves",
            partial(learning_curves.draw_learning_curves, history, best_epoch),
        ),
        (
            "first_layer_weights",
            "Weights of the first layer",
            lambda: first_layer.draw_first_layer(network()),
        ),
        (
            "one_of_each_digit",
            "Activations for one image of each digit",
            lambda: activations.draw_one_image_per_class(network(), *predictions),
        ),
        (
            "units_by_digit",
            "Mean activation of hidden units by digit",
            lambda: activations.draw_unit_heatmap(network(), data),
        ),
        ("saliency", "Saliency of one image of each digit", partial(saliency.draw_saliency, model, *predictions)),
        (
            "saliency_of_mistakes",
            "Saliency of mistakes",
            partial(saliency.draw_mistake_saliency, model, *predictions),
        ),
        ("mistakes", "The most confident mistakes", partial(mistakes.draw_mistakes, *predictions)),
        ("confused_pairs", "The most confused pairs of digits", partial(mistakes.draw_confused_pairs, *predictions)),
        ("embedding", "Input of the output layer in two dimensions", lambda: embedding.draw_embedding(network(), data)),
        ("reliability", "Calibration", partial(calibration.draw_calibration, *predictions)),
    ):
        yield PlotSpec(name, title, draw)


def render_evaluation_plots(
    evaluation: Evaluation, data: LabelledImages, probabilities: Probabilities
) -> Iterator[RenderedPlot]:
    """Draw the plots of an evaluation on the test set.

    Args:
        evaluation: its metrics.
        data: the test images and their labels.
        probabilities: shape ``(n, 10)``, in the images' order.
    """
    draw_mistakes = partial(mistakes.draw_mistakes, data, probabilities, "test")
    yield render_plot(PlotSpec("confusion", "Confusion matrix", partial(mistakes.draw_confusion, evaluation)))
    yield render_plot(PlotSpec("mistakes", "The most confident mistakes", draw_mistakes))
