"""Evaluations as pictures, with and without mistakes to show."""

from __future__ import annotations

from io import BytesIO

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest

from mnist_core.classification import evaluate_predictions
from mnist_core.data.images import LabelledImages
from mnist_core.interpretation.plots import render_evaluation_plots
from mnist_core.plotting import RenderedPlot


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


def drawn(data: LabelledImages, answers: npt.NDArray[np.integer]) -> tuple[RenderedPlot, RenderedPlot]:
    """The confusion matrix and the mistakes of a classifier that gives these answers."""
    probabilities = certain(answers)
    confusion, mistakes = render_evaluation_plots(evaluate_predictions(probabilities, data.labels), data, probabilities)
    return confusion, mistakes


@pytest.mark.parametrize("wrong", [0, 1, 7, 100])
def test_confusions_are_drawn_however_many_there_are(some: LabelledImages, wrong: int) -> None:
    answers = some.labels.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    confusion, mistakes = drawn(some, answers)
    assert pixels(confusion.png)[..., :3].std() > 0
    assert bool(mistakes.png) == (wrong > 0)
    assert ("none of 100 images was mistaken" in mistakes.problem) == (wrong == 0)


def test_other_mistakes_make_another_picture(some: LabelledImages) -> None:
    first, second, again = (drawn(some, (some.labels + shift) % 10) for shift in (1, 2, 1))
    assert first == again
    assert all(one.png != other.png for one, other in zip(first, second, strict=True))


def test_drawing_leaves_the_looks_of_other_pictures_alone(some: LabelledImages) -> None:
    before = dict(mpl.rcParams)
    drawn(some, some.labels)
    assert dict(mpl.rcParams) == before
