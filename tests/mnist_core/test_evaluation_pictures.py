"""Evaluations as pictures, with and without mistakes to show."""

from __future__ import annotations

from io import BytesIO

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest

from mnist_core.data import LabelledImages
from mnist_core.evaluation import evaluate
from mnist_core.evaluation_pictures import confusion_picture, mistakes_picture


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


@pytest.mark.parametrize("wrong", [0, 1, 7, 100])
def test_pictures_are_drawn_however_many_mistakes_there_are(some: LabelledImages, wrong: int) -> None:
    answers = some.labels.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    probabilities = certain(answers)
    for picture in (confusion_picture(evaluate(probabilities, some.labels)), mistakes_picture(some, probabilities)):
        assert pixels(picture)[..., :3].std() > 0


def test_a_picture_of_mistakes_grows_with_their_number_up_to_what_is_asked_for(some: LabelledImages) -> None:
    wrong = certain((some.labels + 1) % 10)
    heights = [len(pixels(mistakes_picture(some, wrong, count))) for count in (5, 10, 25)]
    assert heights == sorted(set(heights))
    assert len(pixels(mistakes_picture(some, wrong))) == heights[-1]


def test_other_mistakes_make_another_picture(some: LabelledImages) -> None:
    first, second = (evaluate(certain((some.labels + shift) % 10), some.labels) for shift in (1, 2))
    assert confusion_picture(first) != confusion_picture(second)
    assert confusion_picture(first) == confusion_picture(first)


def test_drawing_leaves_the_looks_of_other_pictures_alone(some: LabelledImages) -> None:
    before = dict(mpl.rcParams)
    confusion_picture(evaluate(certain(some.labels), some.labels))
    assert dict(mpl.rcParams) == before
