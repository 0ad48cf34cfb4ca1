"""Download of MNIST from its public mirrors: short timeouts, checked content, atomic writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

from mnist_core.data import file_formats
from mnist_core.data.sources import CANONICAL_SHA256
from mnist_core.errors import DataError

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
CONNECT_TIMEOUT_SECONDS = 3.0
READ_TIMEOUT_SECONDS = 15.0
MAX_FILE_BYTES = 50_000_000
"""More than the size of the largest of the four files, even with poor compression."""


def download_mnist(folder: Path, mirrors: tuple[str, ...] = MIRRORS, progress: bool = True) -> str | None:
    """Download the four files into ``folder``: all four, complete and checked, or none.

    Args:
        folder: created if it is missing.
        mirrors: tried in order; each ends in a slash.
        progress: show a progress bar for each file.

    Returns:
        None, or the reason for the failure in one line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    failure = "no mirror is set"
    for mirror in mirrors:
        try:
            _fetch_all(folder, mirror, progress)
        except (OSError, ValueError) as error:
            failure = f"{mirror}: {_root_cause(error)}"
        else:
            return None
    return failure


class _Bounded:
    """A file that accepts at most ``MAX_FILE_BYTES``, because a mirror may send without end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_FILE_BYTES

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(f"more than {MAX_FILE_BYTES:,} bytes for one file of MNIST")
        self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()


def _fetch_all(folder: Path, mirror: str, progress: bool) -> None:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    timeouts = (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)
    http = pooch.HTTPDownloader(progressbar=progress, timeout=timeouts)

    def downloader(url: str, output_file: str, pooch_: object) -> None:
        with Path(output_file).open("wb") as file:
            http(url, _Bounded(file), pooch_)

    with tempfile.TemporaryDirectory(dir=folder) as staging:
        for name, sha256 in CANONICAL_SHA256.items():
            url = f"{mirror}{name}.gz"
            path = Path(pooch.retrieve(url, known_hash=None, fname=f"{name}.gz", path=staging, downloader=downloader))
            content = file_formats.read_idx(path, dimensions=3 if "images" in name else 1)
            file_formats.verify(f"{name}.gz", content, sha256)
        for path in Path(staging).iterdir():
            path.replace(folder / path.name)


def _root_cause(error: BaseException) -> str:
    if isinstance(error, DataError):
        return str(error)
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return f"{type(error).__name__}: {error}".split("\n")[0]
