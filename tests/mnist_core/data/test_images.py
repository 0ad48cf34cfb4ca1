from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from mnist_core.data.images import LabelledImages, Split, preview, split, validation_count
from mnist_core.errors import DataError


def numbered(labels: npt.NDArray[np.integer]) -> LabelledImages:
    """Distinguishable images: the two pixels of each encode its number."""
    numbers = np.arange(len(labels), dtype=">u2")
    return LabelledImages(numbers.view(np.uint8).reshape(-1, 1, 2).copy(), labels.astype(np.uint8))


def numbers(data: LabelledImages) -> list[int]:
    return data.images.reshape(-1, 2).copy().view(">u2").ravel().tolist()


@pytest.fixture(scope="module")
def uneven() -> LabelledImages:
    """500 numbered images; the shares of the classes are between 3% and 20%."""
    shares = [0.03, 0.20, 0.12, 0.05, 0.10, 0.10, 0.08, 0.07, 0.15, 0.10]
    labels = np.repeat(np.arange(10), [round(share * 500) for share in shares])
    return numbered(np.random.default_rng(0).permutation(labels))


@pytest.mark.parametrize(
    ("validation", "expected"), [(100, 100), (137, 137), (0.2, 100), (0.1, 50), (0.333, 166), (10, 10), (490, 490)]
)
def test_validation_is_a_count_or_a_share(uneven: LabelledImages, validation: int | float, expected: int) -> None:
    halves = split(uneven, validation, seed=0)
    assert (len(halves.train), len(halves.validation)) == (500 - expected, expected)


@pytest.mark.parametrize("validation", [50, 0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_every_image_is_on_exactly_one_side_with_its_own_label(
    uneven: LabelledImages, validation: int | float, seed: int
) -> None:
    halves = split(uneven, validation, seed)
    for half in (halves.train, halves.validation):
        np.testing.assert_array_equal(half.labels, uneven.labels[numbers(half)])
    assert sorted(numbers(halves.train) + numbers(halves.validation)) == list(range(500))


@pytest.mark.parametrize("validation", [50, 137, 0.3])
def test_both_sides_have_the_classes_in_the_same_proportion(uneven: LabelledImages, validation: int | float) -> None:
    halves = split(uneven, validation, seed=3)
    held_out = np.bincount(halves.validation.labels, minlength=10)
    exact = np.bincount(uneven.labels) * len(halves.validation) / 500
    # The count of each class may be rounded down or up.
    assert np.abs(held_out - exact).max() < 1


def test_the_same_seed_gives_the_same_split_and_another_seed_another(uneven: LabelledImages) -> None:
    def digests(halves: Split) -> tuple[str, str]:
        return halves.train.digest, halves.validation.digest

    assert digests(split(uneven, 100, seed=5)) == digests(split(uneven, 100, seed=5))
    assert digests(split(uneven, 100, seed=5)) != digests(split(uneven, 100, seed=6))


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_the_split_is_that_of_scikit_learn(data: st.DataObject, seed: int) -> None:
    counts = data.draw(st.lists(st.integers(2, 60), min_size=3, max_size=10).filter(lambda found: sum(found) >= 20))
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    count = data.draw(st.integers(10, sum(counts) - 10))
    halves = split(numbered(labels), count, seed)
    expected = train_test_split(np.arange(len(labels)), test_size=count, random_state=seed, stratify=labels)
    assert [numbers(halves.train), numbers(halves.validation)] == [half.tolist() for half in expected]


def test_the_images_are_shuffled_before_they_are_held_out(uneven: LabelledImages) -> None:
    held_out = numbers(split(uneven, 100, seed=0).validation)
    assert held_out != sorted(held_out)
    assert set(held_out) != set(range(100))
    assert set(held_out) != set(range(400, 500))


@pytest.mark.parametrize(
    ("validation", "images"),
    [(0, "0"), (9, "9"), (-5, "-5"), (491, "491"), (500, "500"), (0.001, "0"), (0.999, "500")],
)
def test_a_side_with_fewer_images_than_classes_is_refused(
    uneven: LabelledImages, validation: int | float, images: str
) -> None:
    with pytest.raises(DataError) as caught:
        split(uneven, validation, seed=0)
    assert str(caught.value) == (
        f"data.validation: expected 10 to 490 of 500 images, received {validation!r} ({images} images)"
    )


@pytest.mark.parametrize("validation", [0.0, 1.0, 1.5, -0.1, float("nan"), float("inf")])
def test_a_share_is_between_0_and_1(uneven: LabelledImages, validation: float) -> None:
    with pytest.raises(DataError, match=r"data.validation: expected a share between 0 and 1, received"):
        split(uneven, validation, seed=0)


def test_too_few_images_to_divide_are_refused(uneven: LabelledImages) -> None:
    with pytest.raises(DataError, match="15 images are too few to divide, expected 20 or more"):
        split(uneven.take(np.arange(15)), 0.5, seed=0)


def test_true_is_not_taken_for_a_share_or_a_count() -> None:
    with pytest.raises(DataError, match="received True"):
        validation_count(500, True)


def test_a_class_with_a_single_image_is_refused_in_one_line() -> None:
    labels = np.arange(100) % 9
    labels[50] = 9
    with pytest.raises(DataError, match=r"data\.validation: 100 images cannot be split by class") as caught:
        split(numbered(labels), 20, seed=0)
    assert "\n" not in str(caught.value)


def test_data_with_fewer_classes_than_ten_can_be_split() -> None:
    halves = split(numbered(np.arange(60) % 2), 20, seed=0)
    assert np.bincount(halves.validation.labels).tolist() == [10, 10]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            np.zeros((3, 4, 4), np.float32),
            np.zeros(3, np.uint8),
            "images: expected uint8 (n, height, width), received float32 (3, 4, 4)",
        ),
        (
            np.zeros((3, 4, 4), np.int64),
            np.zeros(3, np.uint8),
            "images: expected uint8 (n, height, width), received int64 (3, 4, 4)",
        ),
        (
            np.zeros((3, 16), np.uint8),
            np.zeros(3, np.uint8),
            "images: expected uint8 (n, height, width), received uint8 (3, 16)",
        ),
        (
            np.zeros((3, 4, 4, 1), np.uint8),
            np.zeros(3, np.uint8),
            "images: expected uint8 (n, height, width), received uint8 (3, 4, 4, 1)",
        ),
        (
            np.zeros((0, 4, 4), np.uint8),
            np.zeros(0, np.uint8),
            "images: expected uint8 (n, height, width), received uint8 (0, 4, 4)",
        ),
        (
            np.zeros((3, 4, 0), np.uint8),
            np.zeros(3, np.uint8),
            "images: expected uint8 (n, height, width), received uint8 (3, 4, 0)",
        ),
        (np.zeros((3, 4, 4), np.uint8), np.zeros(3, np.int64), "labels: expected uint8 (3,), received int64 (3,)"),
        (np.zeros((3, 4, 4), np.uint8), np.zeros(2, np.uint8), "labels: expected uint8 (3,), received uint8 (2,)"),
        (np.zeros((3, 4, 4), np.uint8), np.zeros(4, np.uint8), "labels: expected uint8 (3,), received uint8 (4,)"),
        (
            np.zeros((3, 4, 4), np.uint8),
            np.zeros((3, 10), np.uint8),
            "labels: expected uint8 (3,), received uint8 (3, 10)",
        ),
        (np.zeros((3, 4, 4), np.uint8), np.array([0, 10, 9], np.uint8), "labels: expected 0 to 9, received 10"),
    ],
)
def test_images_and_labels_of_another_dtype_or_shape_are_refused(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        LabelledImages(images, labels)
    assert str(caught.value) == message


def test_images_have_a_length_and_a_shape(tiny: LabelledImages) -> None:
    assert (len(tiny), tiny.shape) == (60, (6, 5))


def test_take_keeps_the_given_order(tiny: LabelledImages) -> None:
    taken = tiny.take(np.array([7, 3, 3]))
    np.testing.assert_array_equal(taken.images, np.stack([tiny.images[7], tiny.images[3], tiny.images[3]]))
    assert taken.labels.tolist() == [7, 3, 3]


@pytest.mark.parametrize(
    "lay_out",
    [
        np.copy,
        np.asfortranarray,
        lambda array: np.repeat(array, 2, axis=0)[::2],
        lambda array: np.frombuffer(array.tobytes(), np.uint8).reshape(array.shape),
    ],
    ids=["copied", "by columns", "with gaps", "read-only"],
)
def test_the_digest_does_not_depend_on_the_memory_layout(tiny: LabelledImages, lay_out) -> None:
    assert LabelledImages(lay_out(tiny.images), lay_out(tiny.labels)).digest == tiny.digest


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_digest_changes_with_any_one_pixel(tiny: LabelledImages, data: st.DataObject) -> None:
    images = tiny.images.copy()
    images.reshape(-1)[data.draw(st.integers(0, images.size - 1))] ^= data.draw(st.integers(1, 255))
    assert LabelledImages(images, tiny.labels).digest != tiny.digest


@given(index=st.integers(0, 59), change=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_the_digest_changes_with_any_one_label(tiny: LabelledImages, index: int, change: int) -> None:
    labels = tiny.labels.copy()
    labels[index] = (labels[index] + change) % 10
    assert LabelledImages(tiny.images, labels).digest != tiny.digest


def test_the_digest_changes_with_the_shape_and_the_order(tiny: LabelledImages) -> None:
    turned = LabelledImages(tiny.images.reshape(60, 5, 6), tiny.labels)
    reordered = tiny.take(np.arange(60)[::-1])
    assert len({tiny.digest, turned.digest, reordered.digest}) == 3


# Preview


def digits_of_text(*digits: tuple[int, list[str]]) -> LabelledImages:
    """Images with the rows inside a margin of 4 pixels, # for ink."""
    images = [np.pad(np.array([[255 * (c == "#") for c in row] for row in rows], np.uint8), 4) for _, rows in digits]
    return LabelledImages(np.stack(images), np.array([label for label, _ in digits], np.uint8))


def test_two_pixels_become_one_character_above_the_label() -> None:
    data = digits_of_text((7, ["##..", "#.#.", "....", "####"]), (1, [".#..", ".#..", ".#..", ".#.."]))
    assert preview(data, count=2).split("\n") == [
        "█▀▄    █  ",
        "▄▄▄▄   █  ",
        " 7     1  ",
    ]


@pytest.mark.parametrize(("value", "character"), [(0, " "), (95, " "), (96, "█"), (255, "█")])
def test_pixels_from_96_on_are_ink(value: int, character: str) -> None:
    data = LabelledImages(np.full((1, 10, 9), value, np.uint8), np.zeros(1, np.uint8))
    assert preview(data, count=1) == f"{character}\n0"


@pytest.mark.parametrize("count", [1, 4, 10])
def test_previewed_digits_are_evenly_chosen_from_the_whole_set(sample: LabelledImages, count: int) -> None:
    *rows, labels = preview(sample, count).split("\n")
    # 28 pixels less a margin of 4 on each side, two rows to a line; images are two columns apart.
    assert len(rows) == 10
    assert {len(row) for row in rows} == {20 * count + 2 * (count - 1)}
    chosen = np.linspace(0, len(sample) - 1, count).astype(int)
    assert [int(label) for label in labels.split()] == sample.labels[chosen].tolist()
    assert any(row.strip() for row in rows)


def test_fewer_images_than_asked_for_are_repeated() -> None:
    assert preview(digits_of_text((3, ["#", "#"])), count=2) == "█  █\n3  3"


@pytest.mark.parametrize(("height", "lines"), [(15, 4), (8, 4), (3, 2)])
def test_images_of_any_height_are_drawn(height: int, lines: int) -> None:
    data = LabelledImages(np.full((1, height, 9), 255, np.uint8), np.zeros(1, np.uint8))
    assert len(preview(data, count=1).split("\n")) == lines + 1
