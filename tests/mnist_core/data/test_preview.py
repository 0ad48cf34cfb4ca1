from __future__ import annotations

import numpy as np
import pytest

from mnist_core.data.images import LabelledImages
from mnist_core.data.preview import preview


def drawn(*pictures: tuple[int, list[str]]) -> LabelledImages:
    """Images whose middle, inside the margin of 4, is drawn with # for ink."""
    images = [np.pad(np.array([[255 * (c == "#") for c in row] for row in rows], np.uint8), 4) for _, rows in pictures]
    return LabelledImages(np.stack(images), np.array([label for label, _ in pictures], np.uint8))


def test_two_pixels_become_one_character_above_the_label() -> None:
    data = drawn((7, ["##..", "#.#.", "....", "####"]), (1, [".#..", ".#..", ".#..", ".#.."]))
    assert preview(data, count=2).split("\n") == [
        "█▀▄    █  ",
        "▄▄▄▄   █  ",
        " 7     1  ",
    ]


@pytest.mark.parametrize(("value", "character"), [(0, " "), (95, " "), (96, "█"), (255, "█")])
def test_ink_begins_at_a_third_of_the_scale(value: int, character: str) -> None:
    data = LabelledImages(np.full((1, 10, 9), value, np.uint8), np.zeros(1, np.uint8))
    assert preview(data, count=1) == f"{character}\n0"


@pytest.mark.parametrize("count", [1, 4, 10])
def test_digits_are_spread_over_the_whole_set(sample: LabelledImages, count: int) -> None:
    *rows, labels = preview(sample, count).split("\n")
    # 28 pixels less a margin of 4 on each side, two rows to a line; images are two columns apart.
    assert len(rows) == 10
    assert {len(row) for row in rows} == {20 * count + 2 * (count - 1)}
    chosen = np.linspace(0, len(sample) - 1, count).astype(int)
    assert [int(label) for label in labels.split()] == sample.labels[chosen].tolist()
    assert any(row.strip() for row in rows)


def test_fewer_images_than_asked_for_are_repeated() -> None:
    assert preview(drawn((3, ["#", "#"])), count=2) == "█  █\n3  3"


@pytest.mark.parametrize(("height", "lines"), [(15, 4), (8, 4), (3, 2)])
def test_images_of_any_height_are_drawn(height: int, lines: int) -> None:
    data = LabelledImages(np.full((1, height, 9), 255, np.uint8), np.zeros(1, np.uint8))
    assert len(preview(data, count=1).split("\n")) == lines + 1
