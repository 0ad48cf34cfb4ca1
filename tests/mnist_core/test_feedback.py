from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mnist_core.errors import DataError
from mnist_core.feedback import FILE, Feedback, append_feedback, read_feedback
from mnist_core.sources import find_data


def one(truth: int) -> Feedback:
    image = np.random.default_rng(truth).integers(0, 256, (28, 28), dtype=np.uint8)
    return Feedback(image, guess=1, truth=truth, model="3", at="2026-11-22T10:00:00Z")


def no_download(folder: Path) -> None:
    raise AssertionError("nothing is to be downloaded")


def test_a_folder_of_feedback_is_a_test_set(tmp_path: Path) -> None:
    for truth in (7, 0):
        append_feedback(tmp_path, one(truth))
    source = find_data(tmp_path, no_download, print)
    assert source.is_feedback
    test = source.load_test()
    np.testing.assert_array_equal(test.images, [one(7).image, one(0).image])
    np.testing.assert_array_equal(test.labels, [7, 0])


def test_there_is_nothing_to_train_on_in_feedback(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        find_data(tmp_path, no_download, print).load_training()


def test_earlier_lines_stay_as_they_are(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    before = (tmp_path / FILE).read_bytes()
    append_feedback(tmp_path, one(3))
    assert (tmp_path / FILE).read_bytes().startswith(before)


BROKEN = ["words", "{}", '{"pixels": "AAAA", "truth": 3}', '{"pixels": 3, "truth": 3}', "[]"]


@pytest.mark.parametrize("line", BROKEN)
def test_a_line_that_is_no_feedback_is_named(line: str, tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=r"feedback\.jsonl: line 2: expected feedback"):
        read_feedback(tmp_path / FILE)


def test_an_empty_file_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(DataError, match="expected one line of feedback or more, found none"):
        read_feedback(tmp_path / FILE)
