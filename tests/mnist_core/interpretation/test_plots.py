"""The plots of a network and of an evaluation, and the reasons why one cannot be drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO

import keras
import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from mnist_core.classification import evaluate_predictions
from mnist_core.data.images import LabelledImages, Split
from mnist_core.interpretation import activations, first_layer, mistakes, saliency
from mnist_core.interpretation.image_grid import mosaic
from mnist_core.interpretation.network import Network
from mnist_core.interpretation.plots import render_evaluation_plots, render_interpretation
from mnist_core.metrics import EpochMetrics
from mnist_core.models.averaging import average_model
from mnist_core.models.saved_model import predict
from mnist_core.plotting import PlotSpec, RenderedPlot, new_figure, render_plot
from tests.helpers.networks import small_cnn, small_mlp, trained

HISTORY = (EpochMetrics(0.9, 0.7, 0.6, 0.80), EpochMetrics(0.5, 0.8, 0.4, 0.88), EpochMetrics(0.4, 0.9, 0.5, 0.86))
MAX_WIDTH = 1000
MAX_HEIGHT = 1300


def drawn(model: keras.Model, images: LabelledImages) -> dict[str, RenderedPlot]:
    return {plot.name: plot for plot in render_interpretation(model, images, HISTORY, best_epoch=2)}


def with_mistakes(model: keras.Model, images: LabelledImages, count: int) -> LabelledImages:
    """The same images, labelled as the model predicts them except for the first ones: mistakes take long to draw."""
    labels = predict(model, images.images).argmax(axis=1).astype(np.uint8)
    labels[:count] = (labels[:count] + 1) % 10
    return LabelledImages(images.images, labels)


@pytest.mark.parametrize(("build", "count"), [(small_mlp, 3), (small_cnn, 60)])
def test_every_plot_is_drawn_at_a_size_that_fits_the_mlflow_ui(
    build: Callable[[], keras.Model], count: int, small_split: Split
) -> None:
    model = trained(build(), small_split, epochs=1)
    plots = drawn(model, with_mistakes(model, small_split.validation.take(np.arange(60)), count))
    assert {name: plot.problem for name, plot in plots.items() if plot.problem} == {}
    assert set(plots) == {
        "learning_curves",
        "first_layer_weights",
        "one_of_each_digit",
        "units_by_digit",
        "saliency",
        "saliency_of_mistakes",
        "mistakes",
        "confused_pairs",
        "embedding",
        "reliability",
    }
    for plot in plots.values():
        with Image.open(BytesIO(plot.png)) as image:
            assert image.width <= MAX_WIDTH
            assert image.height <= MAX_HEIGHT
            assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_an_ensemble_has_the_plots_that_need_no_layers(small_split: Split) -> None:
    model = average_model([small_mlp(), small_cnn()])
    plots = drawn(model, with_mistakes(model, small_split.validation.take(np.arange(20)), 1))
    missing = {name for name, plot in plots.items() if not plot.png}
    assert missing == {"first_layer_weights", "one_of_each_digit", "units_by_digit", "embedding"}
    assert all("Dense or Conv2D layers" in plots[name].problem for name in missing)


class Subclassed(keras.Model):
    """A model without a graph of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.scores = keras.layers.Dense(10, activation="softmax")

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return self.scores(self.flatten(pixels))


def test_a_subclassed_model_has_the_plots_that_need_no_layers(small_split: Split) -> None:
    model = Subclassed()
    plots = drawn(model, with_mistakes(model, small_split.validation.take(np.arange(20)), 1))
    missing = {name for name, plot in plots.items() if not plot.png}
    assert missing == {"first_layer_weights", "one_of_each_digit", "units_by_digit", "embedding"}


def test_the_heatmap_of_a_linear_classifier_has_a_problem_and_its_first_layer_a_plot(small_split: Split) -> None:
    linear = Network.of(small_mlp(hidden_layers=0))
    found = render_plot(
        PlotSpec("units", "Units", lambda: activations.draw_unit_heatmap(linear, small_split.validation))
    )
    assert found.problem == "the network has no hidden layer"
    assert render_plot(PlotSpec("tiles", "Tiles", lambda: first_layer.draw_first_layer(linear))).png


def test_a_network_without_mistakes_has_no_plots_of_mistakes(small_split: Split) -> None:
    network = Network.of(small_mlp())
    probabilities = predict(network.model, small_split.validation.images)
    images = LabelledImages(small_split.validation.images, probabilities.argmax(axis=1).astype(np.uint8))
    found = [
        render_plot(
            PlotSpec(
                "saliency", "Saliency", lambda: saliency.draw_mistake_saliency(network.model, images, probabilities)
            )
        ),
        render_plot(PlotSpec("mistakes", "Mistakes", lambda: mistakes.draw_mistakes(images, probabilities))),
        render_plot(PlotSpec("pairs", "Pairs", lambda: mistakes.draw_confused_pairs(images, probabilities))),
    ]
    assert [plot.problem for plot in found] == ["no mistakes on 200 images"] * 3


def test_learning_curves_need_a_recorded_epoch(small_split: Split) -> None:
    first = next(iter(render_interpretation(small_mlp(), small_split.validation)))
    assert (first.name, first.problem, first.png) == ("learning_curves", "no epoch was recorded", b"")


def test_an_error_while_drawing_becomes_a_problem_in_one_line() -> None:
    def broken() -> Figure:
        raise ZeroDivisionError("no\nsecond line")

    assert render_plot(PlotSpec("a", "A", broken)) == RenderedPlot("a", "A", problem="no")


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    def broken() -> Figure:
        raise KeyError

    assert render_plot(PlotSpec("a", "A", broken)).problem == "KeyError"


def test_rendering_leaves_figures_and_style_of_the_process_unchanged() -> None:
    def noisy() -> Figure:
        warnings.warn("a warning", UserWarning, stacklevel=1)
        return new_figure(2, 2)

    before, font = plt.get_fignums(), plt.rcParams["axes.titleweight"]
    assert render_plot(PlotSpec("a", "A", noisy)).png.startswith(b"\x89PNG")
    assert (plt.get_fignums(), plt.rcParams["axes.titleweight"]) == (before, font)


def test_a_mosaic_separates_its_tiles_in_reading_order() -> None:
    tiles = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 2, 2), dtype=np.float32)
    whole = mosaic(tiles, columns=2)
    assert whole.shape == (5, 5)
    assert (whole[0, 0], whole[0, 3], whole[3, 0]) == (0, 1, 2)
    assert np.isnan(whole[2]).all()
    assert np.isnan(whole[3:, 3:]).all()


# Plots of an evaluation


def pixels(plot: bytes) -> npt.NDArray[np.float32]:
    """The pixels of a PNG, shape ``(height, width, channels)``, 0 to 1."""
    assert plot.startswith(b"\x89PNG")
    return np.asarray(mpl.image.imread(BytesIO(plot)))


def certain(predicted: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Probabilities of 1 for these predicted digits."""
    return np.eye(10, dtype=np.float32)[predicted]


@pytest.fixture
def images_100(sample: LabelledImages) -> LabelledImages:
    return sample.take(np.arange(0, 4000, 40))


def evaluation_plots(data: LabelledImages, predicted: npt.NDArray[np.integer]) -> tuple[RenderedPlot, RenderedPlot]:
    """The confusion matrix and the mistakes of a classifier with these predictions."""
    probabilities = certain(predicted)
    confusion, mistakes = render_evaluation_plots(evaluate_predictions(probabilities, data.labels), data, probabilities)
    return confusion, mistakes


@pytest.mark.parametrize("wrong", [0, 1, 7, 100])
def test_the_confusion_matrix_is_drawn_for_any_number_of_mistakes(images_100: LabelledImages, wrong: int) -> None:
    predicted = images_100.labels.copy()
    predicted[:wrong] = (predicted[:wrong] + 1) % 10
    confusion, mistakes = evaluation_plots(images_100, predicted)
    assert pixels(confusion.png)[..., :3].std() > 0
    assert bool(mistakes.png) == (wrong > 0)
    assert ("no mistakes on 100 images" in mistakes.problem) == (wrong == 0)


def test_other_mistakes_give_other_plots(images_100: LabelledImages) -> None:
    few = images_100.take(np.arange(0, 100, 20))
    first, second, again = (evaluation_plots(few, (few.labels + shift) % 10) for shift in (1, 2, 1))
    assert first == again
    assert all(one.png != other.png for one, other in zip(first, second, strict=True))


def test_rendering_an_evaluation_leaves_the_style_of_the_process_unchanged(images_100: LabelledImages) -> None:
    before = dict(mpl.rcParams)
    evaluation_plots(images_100, images_100.labels)
    assert dict(mpl.rcParams) == before
