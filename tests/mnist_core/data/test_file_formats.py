from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mnist_core.data import file_formats
from mnist_core.data.images import LabelledImages
from mnist_core.errors import DataError

FILE = Path("some-idx3-ubyte")


def refusal_of_idx(content: bytes, dimensions: int = 3) -> str:
    with pytest.raises(DataError) as caught:
        file_formats.parse_idx(FILE, content, dimensions)
    return str(caught.value)


def refusal_of_npz(path: Path, part: str = "train") -> str:
    with pytest.raises(DataError) as caught:
        file_formats.read_npz(path, part)
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)))
@settings(max_examples=50, deadline=None)
def test_an_idx_file_is_read_as_it_was_written(encode_idx, array: npt.NDArray[np.uint8]) -> None:
    decoded = file_formats.parse_idx(FILE, encode_idx(array), array.ndim)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, array)


def test_dimensions_are_big_endian() -> None:
    content = bytes.fromhex("00000801 00000003 070809")
    assert file_formats.parse_idx(FILE, content, 1).tolist() == [7, 8, 9]


@given(cut=st.integers(min_value=1, max_value=60 * 6 * 5))
@settings(max_examples=20, deadline=None)
def test_an_idx_file_cut_anywhere_in_its_data_is_truncated(encode_idx, tiny: LabelledImages, cut: int) -> None:
    assert refusal_of_idx(encode_idx(tiny.images)[:-cut]) == (
        f"{FILE}: truncated: its header states 1,800 bytes of data, received {1800 - cut:,}. Download it again"
    )


def test_an_idx_file_with_bytes_after_its_data_is_too_long(encode_idx, tiny: LabelledImages) -> None:
    assert refusal_of_idx(encode_idx(tiny.images) + b"\0") == (
        f"{FILE}: too long: its header states 1,800 bytes of data, received more. Download it again"
    )


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "nothing"),
        (b"\0\0", "0000"),
        (b"<!DOCTYPE html><html></html>", "3c21444f"),
        (gzip.compress(b"anything", mtime=0), "1f8b0800"),
        (bytes((0, 0, 8, 1)) + struct.pack(">I", 12) + bytes(12), "00000801"),
        (bytes((0, 0, 13, 3)) + struct.pack(">3I", 1, 1, 1) + bytes(4), "00000d03"),
        (bytes((1, 0, 8, 3)) + struct.pack(">3I", 1, 1, 1) + bytes(1), "01000803"),
    ],
    ids=["empty", "two bytes", "a web page", "still compressed", "labels", "floats", "no leading zeros"],
)
def test_a_file_without_the_header_of_idx_images_is_refused(content: bytes, received: str) -> None:
    assert refusal_of_idx(content) == (
        f"{FILE}: not an IDX file of 3-dimensional bytes: expected it to begin with 00000803, received {received}"
    )


def test_images_are_refused_where_labels_are_expected(encode_idx, tiny: LabelledImages) -> None:
    message = refusal_of_idx(encode_idx(tiny.images), dimensions=1)
    assert message.endswith("expected it to begin with 00000801, received 00000803")


def test_a_file_is_decompressed_by_its_suffix(tmp_path: Path, encode_idx, tiny: LabelledImages) -> None:
    content = encode_idx(tiny.images)
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content))
    assert file_formats.read_idx(tmp_path / "plain", 3) == content
    assert file_formats.read_idx(tmp_path / "packed.gz", 3) == content


PACKED = gzip.compress(bytes((0, 0, 8, 1)) + struct.pack(">I", 1000) + np.random.default_rng(0).bytes(1000), mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        PACKED[:-1],
        PACKED[:500],
        PACKED[:5],
        b"no gzip at all",
        PACKED + b"more",
        PACKED[:300] + bytes([PACKED[300] ^ 1]) + PACKED[301:],
        PACKED[:-5] + bytes([PACKED[-5] ^ 1]) + PACKED[-4:],
        PACKED[:-1] + bytes([PACKED[-1] ^ 1]),
    ],
    ids=["last byte cut", "half", "header cut", "other", "tail", "altered data", "altered checksum", "altered length"],
)
def test_an_incomplete_gzip_stream_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        file_formats.read_idx(path, 1)
    assert str(caught.value).startswith(f"{path}: incomplete gzip file (")
    assert str(caught.value).endswith("Download it again")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        file_formats.read_idx(tmp_path / "nothing.gz", 1)
    assert str(caught.value) == f"{tmp_path / 'nothing.gz'}: cannot be read (No such file or directory)"
    with pytest.raises(DataError, match="cannot be read \\(Is a directory\\)"):
        file_formats.read_idx(tmp_path, 1)


def test_altered_content_is_refused_with_both_digests() -> None:
    expected, received = hashlib.sha256(b"right").hexdigest(), hashlib.sha256(b"wrong").hexdigest()
    file_formats.verify(str(FILE), b"right", expected)
    with pytest.raises(DataError) as caught:
        file_formats.verify(str(FILE), b"wrong", expected, ", alas")
    assert str(caught.value) == f"{FILE}: altered content: expected SHA-256 {expected}, received {received}, alas"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
def test_an_npz_archive_gives_both_parts(
    tmp_path: Path, tiny: LabelledImages, tiny_test: LabelledImages, save, dtype: type
) -> None:
    path = tmp_path / "data.npz"
    save(
        path,
        x_train=tiny.images,
        y_train=tiny.labels.astype(dtype),
        x_test=tiny_test.images,
        y_test=tiny_test.labels.astype(dtype),
    )
    assert file_formats.read_npz(path, "train").digest == tiny.digest
    assert file_formats.read_npz(path, "test").digest == tiny_test.digest


@pytest.mark.parametrize(
    ("keys", "missing"),
    [(("x_train",), "y_train"), (("y_train",), "x_train"), (("x_test", "y_test"), "x_train, y_train"), ((), "x_train")],
)
def test_an_npz_archive_without_the_keys_names_the_missing_ones(
    tmp_path: Path, keys: tuple[str, ...], missing: str
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, other=np.zeros(1), **{key: np.zeros(3, np.uint8) for key in keys})
    message = refusal_of_npz(path)
    assert message.startswith(f"{path}: expected the arrays x_train, y_train, {missing}")
    assert message.endswith("is missing")


def test_a_missing_part_of_an_npz_archive_is_an_error_only_when_it_is_read(
    tmp_path: Path, tiny: LabelledImages
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=tiny.images, y_train=tiny.labels)
    assert file_formats.read_npz(path, "train").digest == tiny.digest
    assert "x_test, y_test is missing" in refusal_of_npz(path, "test")


def test_a_pickled_object_is_refused_and_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.array([Trap()], dtype=object), y_train=np.zeros(1, np.uint8))
    assert refusal_of_npz(path).startswith(f"{path}: incomplete .npz archive (ValueError)")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["empty", "no zip", "half", "a flipped bit"])
def test_a_damaged_npz_archive_is_refused(tmp_path: Path, tiny: LabelledImages, damage: str) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=tiny.images, y_train=tiny.labels)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[600] ^= 1
    path.write_bytes({"empty": b"", "no zip": b"hello", "half": whole[: len(whole) // 2]}.get(damage, bytes(flipped)))
    message = refusal_of_npz(path)
    assert message.startswith(f"{path}: incomplete .npz archive (")
    assert message.endswith("Download it again")


def test_an_npz_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal_of_npz(tmp_path / "nothing.npz") == f"{tmp_path / 'nothing.npz'}: no such file"
    assert refusal_of_npz(tmp_path) == f"{tmp_path}: cannot be read (Is a directory)"


@pytest.mark.parametrize(
    ("labels", "refusal"),
    [
        (np.full(3, 2.0), "labels: expected integers from 0 to 9, received float64"),
        (np.array(["1", "2", "3"]), "labels: expected integers from 0 to 9, received <U1"),
        (np.array([0, -1, 3]), "labels: expected 0 to 9, received -1"),
        (np.array([0, 256, 3]), "labels: expected 0 to 9, received 256"),
        (np.array([0, 10, 3]), "labels: expected 0 to 9, received 10"),
        (np.zeros(0, np.int64), "labels: expected uint8 (3,), received uint8 (0,)"),
    ],
    ids=["floats", "text", "negative", "beyond a byte", "ten", "none"],
)
def test_labels_in_an_npz_archive_that_are_no_digits_are_refused(
    tmp_path: Path, labels: npt.NDArray[np.generic], refusal: str
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros((3, 4, 4), np.uint8), y_train=labels)
    assert refusal_of_npz(path) == f"{path}: {refusal}"


def test_images_in_an_npz_archive_that_are_no_pixels_are_refused_with_the_file_name(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros((3, 4, 4)), y_train=np.zeros(3, np.uint8))
    assert refusal_of_npz(path).startswith(f"{path}: images: expected uint8 (n, height, width), received float64")


def test_an_array_named_as_an_archive_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    path = (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    assert refusal_of_npz(path) == f"{path}: incomplete .npz archive (TypeError). Download it again"


def test_an_archive_of_something_else_than_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train.npy", "y_train.npy"):
            archive.writestr(name, b"hello")
    assert refusal_of_npz(path) == f"{path}: expected the arrays x_train, y_train, x_train, y_train is missing"


def test_an_idx_file_that_ends_in_its_header_is_truncated() -> None:
    with pytest.raises(DataError, match="truncated: it ends within its header of 16 bytes"):
        file_formats.parse_idx(FILE, bytes((0, 0, 8, 3, 0, 0, 0, 1)), 3)


def packed_zeros(path: Path, header: bytes, count: int) -> Path:
    """Write a small file that expands to a header and ``count`` zeros, without the zeros in memory."""
    block = bytes(1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(count // len(block)):
            file.write(block)
    return path


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that Python allocated at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HUNDRED_MILLION = 100 << 20


@pytest.mark.parametrize("header", [bytes((0, 0, 8, 1)) + struct.pack(">I", 10), b"no IDX file"], ids=["IDX", "other"])
def test_a_compressed_file_is_expanded_no_further_than_its_header_states(tmp_path: Path, header: bytes) -> None:
    path = packed_zeros(tmp_path / "labels.gz", header, HUNDRED_MILLION)

    def read() -> None:
        with pytest.raises(DataError, match=r"too long: its header states 10 bytes|not an IDX file"):
            file_formats.parse_idx(path, file_formats.read_idx(path, 1), 1)

    assert peak_of(read) < HUNDRED_MILLION / 10


def test_a_compressed_file_whose_header_states_too_much_is_not_expanded(tmp_path: Path) -> None:
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 1 << 20, 1 << 10, 3)
    path = packed_zeros(tmp_path / "images.gz", header, 1 << 20)
    with pytest.raises(DataError) as caught:
        file_formats.read_idx(path, 3)
    assert str(caught.value) == (
        f"{path}: compressed data that expands to 3,221,225,472 bytes: expected 1,073,741,824 or fewer. If you trust "
        "the file, decompress it first"
    )


def test_an_uncompressed_file_whose_header_states_too_much_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", *[2**32 - 1] * 3) + b"pixels")
    with pytest.raises(DataError, match=r"truncated: its header states .* bytes of data, received 6"):
        file_formats.parse_idx(path, file_formats.read_idx(path, 3), 3)


def test_an_array_of_an_npz_archive_that_expands_too_far_is_not_read(
    tmp_path: Path, tiny: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_formats, "MAX_EXPANDED_BYTES", 5000)
    path, images = tmp_path / "data.npz", np.zeros((60, 10, 10), np.uint8)
    np.savez_compressed(path, x_train=images, y_train=tiny.labels)
    assert refusal_of_npz(path).startswith(
        f"{path}: x_train: compressed data that expands to 6,128 bytes: expected 5,0"
    )
    np.savez(path, x_train=images, y_train=tiny.labels)
    assert len(file_formats.read_npz(path, "train")) == 60
