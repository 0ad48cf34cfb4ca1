"""Whatever the size, place, pen and colour of a drawing, the network is given the same digit."""

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


def enlarged(digit: Bytes, side: int) -> Bytes:
    """As a pen would have drawn it: smooth, and ink or none."""
    grey = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    return np.rint(255 * np.clip(3 * grey - 1, 0, 1)).astype(np.uint8)


def on_canvas(drawing: Bytes, top: int, left: int, side: int = 280) -> Bytes:
    canvas = np.zeros((side, side), np.uint8)
    canvas[top : top + len(drawing), left : left + len(drawing)] = drawing
    return canvas


def read(picture: Bytes) -> Bytes:
    found = to_mnist_image(picture)
    assert found is not None
    return found


def far_apart(one: Bytes, other: Bytes) -> float:
    """Mean difference in grey levels, of the pixels with ink in either."""
    difference = np.abs(one.astype(int) - other)
    return float(difference[(one > 0) | (other > 0)].mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39), st.integers(0, 168), st.integers(0, 168))
def test_the_place_on_the_canvas_changes_nothing(digits: Bytes, index: int, top: int, left: int) -> None:
    drawing = enlarged(digits[index], 112)
    np.testing.assert_array_equal(read(on_canvas(drawing, top, left)), read(on_canvas(drawing, 84, 84)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39))
def test_dark_on_light_is_light_on_dark(digits: Bytes, index: int) -> None:
    canvas = on_canvas(enlarged(digits[index], 112), 30, 60)
    np.testing.assert_array_equal(read(255 - canvas), read(canvas))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 39), st.integers(45, 252))
def test_the_size_changes_the_grey_of_edges_alone(digits: Bytes, index: int, side: int) -> None:
    sized = read(on_canvas(enlarged(digits[index], side), 5, 7))
    plain = read(on_canvas(enlarged(digits[index], 112), 84, 84))
    # A centre of mass halfway between two pixels may be rounded to either.
    nearby = [np.roll(plain, shift, (0, 1)) for shift in itertools.product((-1, 0, 1), repeat=2)]
    # Edges fall on other parts of pixels, and sizes are whole pixels; two different digits are some 150 apart.
    assert min(far_apart(sized, image) for image in nearby) < 60


def test_the_prediction_stays_for_nearly_all_sizes_and_pens(predictor: Predictor, digits: Bytes) -> None:
    rng = np.random.default_rng(0)
    plain = predictor.probabilities(digits).argmax(axis=1)
    drawn = []
    for digit in digits:
        drawing = enlarged(digit, int(rng.integers(45, 168)))
        top, left = rng.integers(0, 280 - len(drawing), 2)
        drawn.append(read(on_canvas(drawing, top, left)))
    # A network of 64 units that saw 3,600 digits; the whole of MNIST is for benchmarks/preprocessing.py.
    assert (predictor.probabilities(np.stack(drawn)).argmax(axis=1) == plain).mean() >= 0.9


def test_a_digit_of_mnist_stays_what_it_is(digits: Bytes) -> None:
    changes = [far_apart(read(digit), digit) for digit in digits]
    assert np.median(changes) < 1
    assert max(changes) < 60  # one whose strokes are thin is drawn thicker


def test_a_thin_pen_leaves_full_ink(digits: Bytes) -> None:
    line = np.zeros((280, 280), np.uint8)
    line[40:240, 140:142] = 255
    seen = read(line)
    assert seen.max() == 255
    assert 2 <= (seen[14] > 64).sum() <= 3
    assert (seen.any(axis=1)).sum() == 20


def test_the_centre_of_mass_comes_to_the_centre(digits: Bytes) -> None:
    y, x = np.mgrid[:28, :28]
    for digit in digits:
        seen = read(on_canvas(enlarged(digit, 84), 180, 10)).astype(float)
        assert (seen * y).sum() / seen.sum() == pytest.approx(14, abs=0.55)  # whole pixels
        assert (seen * x).sum() / seen.sum() == pytest.approx(14, abs=0.55)


def test_ink_that_is_heavy_at_one_end_is_cut_and_not_wrapped() -> None:
    picture = np.zeros((300, 100), np.uint8)
    picture[20:40, 10:90] = 255
    picture[40:280, 48:52] = 255
    seen = read(picture)
    assert seen.shape == (28, 28)
    assert not seen[:4].any()


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_there_is_no_digit_on_plain_paper(level: int) -> None:
    assert to_mnist_image(np.full((50, 40), level, np.uint8)) is None


def test_faint_noise_is_no_digit() -> None:
    assert to_mnist_image(np.random.default_rng(0).integers(110, 130, (200, 200), dtype=np.uint8)) is None


def test_the_noise_of_a_photograph_is_no_ink(digits: Bytes) -> None:
    rng = np.random.default_rng(0)
    clean = 200 - on_canvas(enlarged(digits[4], 112), 84, 84).astype(int) // 2
    noisy = np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
    assert far_apart(read(noisy), read(clean.astype(np.uint8))) < 20


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_picture_gives_an_image_or_nothing(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    rng = np.random.default_rng(data.draw(st.integers(0, 9999)))
    picture = (rng.integers(0, 256, shape) * (rng.random(shape) < data.draw(st.floats(0, 1)))).astype(np.uint8)
    found = to_mnist_image(picture)
    assert found is None or (found.shape, found.dtype) == ((28, 28), np.uint8)
