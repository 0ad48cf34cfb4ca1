"""Tests of preprocessing: size, position, pen and colour of a drawing have little effect on the image."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.model_manager import load_predictor
from serving.preprocessing import to_mnist_image
from serving.recognition import Predictor

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def predictor(trained_file: Path) -> Predictor:
    return load_predictor(trained_file)


def enlarge(digit: Bytes, side: int) -> Bytes:
    """Scale a digit up with sharp edges, as a pen would draw it."""
    grey = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    return np.rint(255 * np.clip(3 * grey - 1, 0, 1)).astype(np.uint8)


def place_on_canvas(drawing: Bytes, top: int, left: int, side: int = 280) -> Bytes:
    canvas = np.zeros((side, side), np.uint8)
    canvas[top : top + len(drawing), left : left + len(drawing)] = drawing
    return canvas


def preprocess(picture: Bytes) -> Bytes:
    image = to_mnist_image(picture)
    assert image is not None
    return image


def mean_difference(first: Bytes, second: Bytes) -> float:
    """Mean absolute difference in grey levels, over the pixels with ink in either image."""
    difference = np.abs(first.astype(int) - second)
    return float(difference[(first > 0) | (second > 0)].mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39), st.integers(0, 168), st.integers(0, 168))
def test_the_position_on_the_canvas_has_no_effect(digits: Bytes, index: int, top: int, left: int) -> None:
    drawing = enlarge(digits[index], 112)
    np.testing.assert_array_equal(
        preprocess(place_on_canvas(drawing, top, left)), preprocess(place_on_canvas(drawing, 84, 84))
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39))
def test_dark_on_light_gives_the_same_image_as_light_on_dark(digits: Bytes, index: int) -> None:
    canvas = place_on_canvas(enlarge(digits[index], 112), 30, 60)
    np.testing.assert_array_equal(preprocess(255 - canvas), preprocess(canvas))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 39), st.integers(45, 252))
def test_the_size_affects_only_the_grey_levels_of_edges(digits: Bytes, index: int, side: int) -> None:
    resized = preprocess(place_on_canvas(enlarge(digits[index], side), 5, 7))
    plain = preprocess(place_on_canvas(enlarge(digits[index], 112), 84, 84))
    # A centre of mass halfway between two pixels may be rounded to either of them.
    nearby = [np.roll(plain, shift, (0, 1)) for shift in itertools.product((-1, 0, 1), repeat=2)]
    # Sizes are rounded to whole pixels. Two different digits differ by about 150.
    assert min(mean_difference(resized, image) for image in nearby) < 60


def test_the_prediction_is_the_same_for_nearly_all_sizes_and_positions(predictor: Predictor, digits: Bytes) -> None:
    rng = np.random.default_rng(0)
    plain = predictor.probabilities(digits).argmax(axis=1)
    drawn = []
    for digit in digits:
        drawing = enlarge(digit, int(rng.integers(45, 168)))
        top, left = rng.integers(0, 280 - len(drawing), 2)
        drawn.append(preprocess(place_on_canvas(drawing, top, left)))
    # A network of 64 units trained on 3,600 digits; benchmarks/preprocessing.py measures with all of MNIST.
    assert (predictor.probabilities(np.stack(drawn)).argmax(axis=1) == plain).mean() >= 0.9


def test_a_digit_of_mnist_is_nearly_unchanged(digits: Bytes) -> None:
    differences = [mean_difference(preprocess(digit), digit) for digit in digits]
    assert np.median(differences) < 1
    assert max(differences) < 60  # thin strokes are thickened


def test_a_thin_line_is_thickened_to_full_ink(digits: Bytes) -> None:
    line = np.zeros((280, 280), np.uint8)
    line[40:240, 140:142] = 255
    image = preprocess(line)
    assert image.max() == 255
    assert 2 <= (image[14] > 64).sum() <= 3
    assert (image.any(axis=1)).sum() == 20


def test_the_centre_of_mass_is_at_the_centre(digits: Bytes) -> None:
    y, x = np.mgrid[:28, :28]
    for digit in digits:
        image = preprocess(place_on_canvas(enlarge(digit, 84), 180, 10)).astype(float)
        assert (image * y).sum() / image.sum() == pytest.approx(14, abs=0.55)  # whole pixels
        assert (image * x).sum() / image.sum() == pytest.approx(14, abs=0.55)


def test_ink_beyond_the_edge_is_cut_off_and_not_wrapped() -> None:
    picture = np.zeros((300, 100), np.uint8)
    picture[20:40, 10:90] = 255
    picture[40:280, 48:52] = 255
    image = preprocess(picture)
    assert image.shape == (28, 28)
    assert not image[:4].any()


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_an_empty_picture_gives_no_image(level: int) -> None:
    assert to_mnist_image(np.full((50, 40), level, np.uint8)) is None


def test_faint_noise_gives_no_image() -> None:
    assert to_mnist_image(np.random.default_rng(0).integers(110, 130, (200, 200), dtype=np.uint8)) is None


def test_the_noise_of_a_photograph_is_not_ink(digits: Bytes) -> None:
    rng = np.random.default_rng(0)
    clean = 200 - place_on_canvas(enlarge(digits[4], 112), 84, 84).astype(int) // 2
    noisy = np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
    assert mean_difference(preprocess(noisy), preprocess(clean.astype(np.uint8))) < 20


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_picture_gives_an_image_or_none(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    rng = np.random.default_rng(data.draw(st.integers(0, 9999)))
    picture = (rng.integers(0, 256, shape) * (rng.random(shape) < data.draw(st.floats(0, 1)))).astype(np.uint8)
    image = to_mnist_image(picture)
    assert image is None or (image.shape, image.dtype) == ((28, 28), np.uint8)
