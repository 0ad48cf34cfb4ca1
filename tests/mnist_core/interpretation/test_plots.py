"""Every picture of a network is drawn, and what cannot be drawn says why."""

from __future__ import annotations

import warnings
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
PLENTY = 1300


def drawn(model: keras.Model, images: LabelledImages) -> dict[str, RenderedPlot]:
    return {picture.name: picture for picture in render_interpretation(model, images, HISTORY, best_epoch=2)}


@pytest.mark.parametrize("build", [small_mlp, small_cnn])
def test_every_picture_is_drawn_at_a_size_that_the_ui_shows_whole(build, small_split: Split) -> None:  # type: ignore[no-untyped-def]
    pictures = drawn(trained(build(), small_split), small_split.validation.take(np.arange(60)))
    assert {name: picture.problem for name, picture in pictures.items() if picture.problem} == {}
    assert set(pictures) == {
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
    for picture in pictures.values():
        with Image.open(BytesIO(picture.png)) as image:
            assert image.width <= MAX_WIDTH
            assert image.height <= PLENTY
            assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_an_ensemble_has_the_pictures_that_need_no_layers(small_split: Split) -> None:
    images = small_split.validation.take(np.arange(40))
    pictures = drawn(average_model([small_mlp(), small_cnn()]), images)
    missing = {name for name, picture in pictures.items() if not picture.png}
    assert missing == {"first_layer_weights", "one_of_each_digit", "units_by_digit", "embedding"}
    assert all("Dense or Conv2D layers" in pictures[name].problem for name in missing)


def test_what_a_linear_classifier_lacks_is_said(small_split: Split) -> None:
    linear = Network.of(small_mlp(hidden_layers=0))
    found = render_plot(
        PlotSpec("units", "Units", lambda: activations.draw_unit_heatmap(linear, small_split.validation))
    )
    assert found.problem == "the network has no hidden layer"
    assert render_plot(PlotSpec("tiles", "Tiles", lambda: first_layer.draw_first_layer(linear))).png


def test_a_network_without_mistakes_has_no_pictures_of_them(small_split: Split) -> None:
    network = Network.of(small_mlp())
    probabilities = predict(network.model, small_split.validation.images)
    images = LabelledImages(small_split.validation.images, probabilities.argmax(axis=1).astype(np.uint8))
    found = [
        render_plot(
            PlotSpec("saliency", "Saliency", lambda: saliency.draw_wrong(network.model, images, probabilities))
        ),
        render_plot(PlotSpec("mistakes", "Mistakes", lambda: mistakes.draw_mistakes(images, probabilities))),
        render_plot(PlotSpec("pairs", "Pairs", lambda: mistakes.draw_confused_pairs(images, probabilities))),
    ]
    assert [picture.problem for picture in found] == ["none of 200 images was mistaken"] * 3


def test_curves_that_were_not_recorded_are_missed(small_split: Split) -> None:
    first = next(iter(render_interpretation(small_mlp(), small_split.validation)))
    assert (first.name, first.problem, first.png) == ("learning_curves", "no epoch was recorded", b"")


def test_an_attempt_that_fails_says_so_in_one_line() -> None:
    def broken() -> Figure:
        raise ZeroDivisionError("no\nsecond line")

    assert render_plot(PlotSpec("a", "A", broken)) == RenderedPlot("a", "A", problem="no")


def test_an_error_without_words_is_told_by_its_kind() -> None:
    def broken() -> Figure:
        raise KeyError

    assert render_plot(PlotSpec("a", "A", broken)).problem == "KeyError"


def test_drawing_changes_nothing_in_the_process() -> None:
    def noisy() -> Figure:
        warnings.warn("for nobody", UserWarning, stacklevel=1)
        return new_figure(2, 2)

    before, font = plt.get_fignums(), plt.rcParams["axes.titleweight"]
    assert render_plot(PlotSpec("a", "A", noisy)).png.startswith(b"\x89PNG")
    assert (plt.get_fignums(), plt.rcParams["axes.titleweight"]) == (before, font)


def test_a_mosaic_keeps_its_tiles_apart_in_reading_order() -> None:
    tiles = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 2, 2), dtype=np.float32)
    whole = mosaic(tiles, columns=2)
    assert whole.shape == (5, 5)
    assert (whole[0, 0], whole[0, 3], whole[3, 0]) == (0, 1, 2)
    assert np.isnan(whole[2]).all()
    assert np.isnan(whole[3:, 3:]).all()


# Plots of an evaluation


def pixels(picture: bytes) -> npt.NDArray[np.float32]:
    """What a PNG shows: shape ``(height, width, channels)``, 0 to 1."""
    assert picture.startswith(b"\x89PNG")
    return np.asarray(mpl.image.imread(BytesIO(picture)))


def certain(answers: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Probabilities of a classifier that gives these answers and has no doubts."""
    return np.eye(10, dtype=np.float32)[answers]


@pytest.fixture
def some(sample: LabelledImages) -> LabelledImages:
    return sample.take(np.arange(0, 4000, 40))


def evaluation_plots(data: LabelledImages, answers: npt.NDArray[np.integer]) -> tuple[RenderedPlot, RenderedPlot]:
    """The confusion matrix and the mistakes of a classifier that gives these answers."""
    probabilities = certain(answers)
    confusion, mistakes = render_evaluation_plots(evaluate_predictions(probabilities, data.labels), data, probabilities)
    return confusion, mistakes


@pytest.mark.parametrize("wrong", [0, 1, 7, 100])
def test_confusions_are_drawn_however_many_there_are(some: LabelledImages, wrong: int) -> None:
    answers = some.labels.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    confusion, mistakes = evaluation_plots(some, answers)
    assert pixels(confusion.png)[..., :3].std() > 0
    assert bool(mistakes.png) == (wrong > 0)
    assert ("none of 100 images was mistaken" in mistakes.problem) == (wrong == 0)


def test_other_mistakes_make_another_picture(some: LabelledImages) -> None:
    first, second, again = (evaluation_plots(some, (some.labels + shift) % 10) for shift in (1, 2, 1))
    assert first == again
    assert all(one.png != other.png for one, other in zip(first, second, strict=True))


def test_drawing_leaves_the_looks_of_other_pictures_alone(some: LabelledImages) -> None:
    before = dict(mpl.rcParams)
    evaluation_plots(some, some.labels)
    assert dict(mpl.rcParams) == before
