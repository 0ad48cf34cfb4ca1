from __future__ import annotations

import base64
import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import mnist_core.data.feedback
from mnist_core.data.feedback import FILE, Feedback, append_feedback, read_feedback
from mnist_core.data.sources import find_data
from mnist_core.errors import DataError


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


def test_feedback_has_no_training_images(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        find_data(tmp_path, no_download, print).load_training()


def test_earlier_lines_are_unchanged(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    before = (tmp_path / FILE).read_bytes()
    append_feedback(tmp_path, one(3))
    assert (tmp_path / FILE).read_bytes().startswith(before)


PIXELS = base64.b64encode(bytes(28 * 28)).decode()
BROKEN = [
    "words",
    "{}",
    '{"pixels": "AAAA", "truth": 3}',
    '{"pixels": 3, "truth": 3}',
    "[]",
    "[" * 100_000,
    *(f'{{"pixels": "{PIXELS}", "truth": {truth}}}' for truth in ("10", "-1", "3.7", "true", '"3"', "null", "NaN")),
]


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_line_that_is_no_feedback_is_named(line: str, tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=r"feedback\.jsonl: line 2: expected feedback"):
        read_feedback(tmp_path / FILE)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(DataError, match="expected one line of feedback or more, found none"):
        read_feedback(tmp_path / FILE)


def in_another_process(code: str, *words: str) -> subprocess.Popen[str]:
    """Start Python with these lines after the imports that they need."""
    imports = (
        "import resource, sys, numpy as np\nfrom pathlib import Path\n"
        "from mnist_core.data.feedback import FILE, Feedback, append_feedback\n"
        "one = Feedback(np.full((28, 28), 255, np.uint8), guess=1, truth=7, model='3', at='now')\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", imports + code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


FILLS_UP = """
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for number in range(15):
    try:
        append_feedback(folder, one)
    except OSError as error:
        print(number, error.strerror)
"""


def test_feedback_without_room_on_the_disk_leaves_the_file_unchanged(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    line = (tmp_path / FILE).stat().st_size
    out, err = in_another_process(FILLS_UP, str(tmp_path), str(4 * line)).communicate()
    assert err == ""
    assert [each.split()[0] for each in out.splitlines()] == [str(number) for number in range(3, 15)]
    assert "File too large" in out
    content = (tmp_path / FILE).read_bytes()
    assert content.endswith(b"\n")
    assert content.count(b"\n") == 4
    append_feedback(tmp_path, one(3))
    assert read_feedback(tmp_path / FILE).labels.tolist() == [7, 7, 7, 7, 3]


@pytest.mark.parametrize("kept", [1, 30, 500, 1000])
def test_an_incomplete_line_of_a_crash_is_not_read_and_is_removed_by_the_next_write(tmp_path: Path, kept: int) -> None:
    append_feedback(tmp_path, one(7))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + whole[:kept])
    assert read_feedback(tmp_path / FILE).labels.tolist() == [7]
    append_feedback(tmp_path, one(3))
    assert (tmp_path / FILE).read_bytes().startswith(whole)
    assert read_feedback(tmp_path / FILE).labels.tolist() == [7, 3]


def test_an_incomplete_only_line_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"at": "2026' + b"0" * 10_000)
    append_feedback(tmp_path, one(3))
    assert read_feedback(tmp_path / FILE).labels.tolist() == [3]


def test_a_complete_last_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    append_feedback(tmp_path, one(7))
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes().rstrip())
    assert read_feedback(tmp_path / FILE).labels.tolist() == [7]
    append_feedback(tmp_path, one(3))
    assert read_feedback(tmp_path / FILE).labels.tolist() == [7, 3]


def test_the_file_does_not_grow_beyond_its_maximum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_feedback(tmp_path, one(7))
    before = (tmp_path / FILE).read_bytes()
    monkeypatch.setattr(mnist_core.data.feedback, "MAX_BYTES", 2 * len(before) - 1)
    with pytest.raises(OSError, match=r"would grow beyond .* bytes: move it away.*feedback\.jsonl") as caught:
        append_feedback(tmp_path, one(7))
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / FILE).read_bytes() == before
    monkeypatch.setattr(mnist_core.data.feedback, "MAX_BYTES", 2 * len(before))
    append_feedback(tmp_path, one(7))
    assert len(read_feedback(tmp_path / FILE)) == 2


# Each removes its own incomplete line, and must not remove a line of the other.
TAKES_TURNS = """
folder = Path(sys.argv[1])
for number in range(60):
    append_feedback(folder, one)
"""


def test_lines_of_several_threads_and_processes_do_not_mix(tmp_path: Path) -> None:
    processes = [in_another_process(TAKES_TURNS, str(tmp_path)) for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(60):
            threads.submit(append_feedback, tmp_path, one(3))
    assert [process.communicate() for process in processes] == [("", "")] * 2
    assert np.bincount(read_feedback(tmp_path / FILE).labels).tolist() == [0, 0, 0, 60, 0, 0, 0, 120]
