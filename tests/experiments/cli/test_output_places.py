"""Named files and folders that cannot be written or used: one line, exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.tracking.store import Store
from mnist_core.data.sources import FILES
from tests.helpers.sweeps import Run

ABLE = "mixed/trial-000"


def refusal(command: Run, *words: str) -> str:
    code, _, err = command(*words)
    assert code == 2
    (line,) = err.splitlines()
    return line.removeprefix("mnist-search: ")


def test_a_report_at_a_folder_is_refused_before_it_is_drawn(command: Run, mixed_store: Store) -> None:
    Path("place").mkdir()
    assert refusal(command, "report", "mixed", "--out", "place") == (
        "--out place: expected a file, received a folder; name one in it: --out place/report.html"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_report_on_a_full_device_is_one_line(command: Run, mixed_store: Store) -> None:
    assert refusal(command, "report", "mixed", "--out", "/dev/full") == (
        "--out /dev/full: cannot be written (No space left on device); choose another place"
    )


def test_an_export_into_a_file_is_refused(command: Run, evaluated_store: Store) -> None:
    assert command("promote", ABLE, "--yes", "--no-explain", "--floor", "0")[0] == 0
    Path("file").write_text("mine")
    assert refusal(command, "export", "--output", "file", "--format", "keras") == (
        "--output file: cannot be written (File exists); choose another place"
    )
    assert Path("file").read_text() == "mine"


def test_feedback_is_not_collected_into_a_file(command: Run) -> None:
    Path("file").write_text("mine")
    assert refusal(command, "serve", "--port", "0", "--collect", "file") == (
        "--collect file: cannot be written (File exists); choose another place"
    )


def test_feedback_is_not_collected_among_files_of_mnist(command: Run) -> None:
    Path("digits").mkdir()
    (Path("digits") / FILES["test"][0]).touch()
    assert refusal(command, "serve", "--port", "0", "--collect", "digits") == (
        "--collect digits: it holds files of MNIST; expected a folder for feedback alone"
    )


@pytest.fixture
def half_size_npz(whole_npz: Path, tmp_path: Path) -> Path:
    """The data with every second row and column left out."""
    with np.load(whole_npz) as archive:
        arrays = {key: array[:, ::2, ::2] if key[0] == "x" else array for key, array in archive.items()}
    np.savez_compressed(tmp_path / "half.npz", **arrays)
    return tmp_path / "half.npz"


def test_images_of_another_size_than_the_model_takes_are_refused(
    command: Run, mixed_store: Store, half_size_npz: Path
) -> None:
    assert refusal(command, "evaluate", ABLE, "--data", str(half_size_npz)) == (
        f"{half_size_npz}: images: expected 28 × 28 pixels, the input of the model, received 14 × 14"
    )
