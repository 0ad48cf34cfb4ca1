from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import mnist_core.data.download
from mnist_core.data.download import download_mnist
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import CANONICAL_SHA256, DataSource, Origin, cache_folder, find_data

LOCAL = "127.0.0.1"


class Mirrors:
    """A web server on this machine; each folder of it is a mirror."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requested: list[str] = []
        mirrors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirrors.requested.append(self.path)
                content = mirrors.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:10] if self.path.startswith("/cut/") else content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer((LOCAL, 0), Handler)

    def add(self, name: str, contents: dict[str, bytes]) -> str:
        """Add a mirror with these files, gzipped, and return its address."""
        for file, content in contents.items():
            self.files[f"/{name}/{file}.gz"] = gzip.compress(content)
        return self.address(name)

    def address(self, name: str) -> str:
        return f"http://{LOCAL}:{self.server.server_port}/{name}/"


@pytest.fixture(scope="module")
def server() -> Iterator[Mirrors]:
    mirrors = Mirrors()
    thread = threading.Thread(target=mirrors.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield mirrors
    mirrors.server.shutdown()
    mirrors.server.server_close()
    thread.join()


@pytest.fixture
def mirrors(server: Mirrors, idx_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Mirrors:
    """A server without files, with the tiny data in place of MNIST."""
    server.files.clear()
    server.requested.clear()
    for name, content in idx_contents.items():
        monkeypatch.setitem(CANONICAL_SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("no_proxy", LOCAL)
    return server


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses every connection: it is bound, but not listening."""
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        yield taken.getsockname()[1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


ALL_FILES = sorted(f"{name}.gz" for name in CANONICAL_SHA256)


def fetch(folder: Path, *mirrors: str) -> str | None:
    return download_mnist(folder, mirrors, progress=False)


def test_the_four_files_are_downloaded_and_no_other_file_remains(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    folder = tmp_path / "new" / "cache"
    assert fetch(folder, mirrors.add("good", idx_contents)) is None
    assert names(folder) == ALL_FILES
    for name, content in idx_contents.items():
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == content


def test_gzip_files_may_differ_if_their_content_is_the_same(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    good = mirrors.add("good", idx_contents)
    for path, content in mirrors.files.items():
        mirrors.files[path] = gzip.compress(gzip.decompress(content), compresslevel=1, mtime=123)
    assert fetch(tmp_path / "cache", good) is None


def test_the_second_mirror_is_used_if_the_first_has_no_files(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    good = mirrors.add("good", idx_contents)
    assert fetch(tmp_path / "cache", mirrors.address("empty"), good) is None
    assert names(tmp_path / "cache") == ALL_FILES
    assert [path.split("/")[1] for path in mirrors.requested] == ["empty", *["good"] * 4]


def test_the_second_mirror_is_not_used_if_the_first_has_all_files(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    good, other = (mirrors.add(name, idx_contents) for name in ("good", "other"))
    assert fetch(tmp_path / "cache", good, other) is None
    assert {path.split("/")[1] for path in mirrors.requested} == {"good"}


def test_the_second_mirror_is_used_if_the_first_has_other_content(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    altered = mirrors.add("altered", {**idx_contents, "t10k-labels-idx1-ubyte": b"other"})
    assert fetch(tmp_path / "cache", altered, mirrors.add("good", idx_contents)) is None
    for name, content in idx_contents.items():
        assert gzip.decompress((tmp_path / "cache" / f"{name}.gz").read_bytes()) == content


# The last of the four files is invalid, so the other three are already downloaded.
LAST = list(CANONICAL_SHA256)[-1]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda files, path: files.pop(path), "404"),
        (lambda files, path: files.update({path: gzip.compress(b"other")}), "altered content: expected SHA-256"),
        (lambda files, path: files.update({path: b"<html>Sign in</html>"}), "incomplete gzip file"),
        (lambda files, path: files.update({path: files[path][:-5]}), "incomplete gzip file"),
        (lambda files, path: files.update({path: b""}), "altered content: expected SHA-256"),
    ],
    ids=["missing", "altered", "a web page", "cut stream", "empty"],
)
def test_one_invalid_file_leaves_no_file_and_is_reported_in_one_line(
    mirrors: Mirrors,
    tmp_path: Path,
    idx_contents: dict[str, bytes],
    spoil: Callable[[dict[str, bytes], str], object],
    why: str,
) -> None:
    address = mirrors.add("bad", idx_contents)
    spoil(mirrors.files, f"/bad/{LAST}.gz")
    failure = fetch(tmp_path / "cache", address)
    assert failure is not None
    assert failure.startswith(f"{address}: ")
    assert why in failure
    assert LAST in failure
    assert "\n" not in failure
    assert names(tmp_path / "cache") == []


def test_a_connection_that_ends_early_leaves_no_file(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    address = mirrors.add("cut", idx_contents)
    failure = fetch(tmp_path / "cache", address)
    assert failure is not None
    assert failure.startswith(f"{address}: ")
    assert "\n" not in failure
    assert names(tmp_path / "cache") == []


def test_existing_files_are_unchanged(mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    kept = {"notes.txt": b"mine", f"{LAST}.gz": b"not yet replaced"}
    for name, content in kept.items():
        (cache / name).write_bytes(content)
    assert fetch(cache, mirrors.add("altered", {**idx_contents, LAST: b"other"})) is not None
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == kept


def test_a_download_replaces_an_invalid_file_and_leaves_others_unchanged(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "notes.txt").write_bytes(b"mine")
    (cache / f"{LAST}.gz").write_bytes(b"cut by an earlier crash")
    assert fetch(cache, mirrors.add("good", idx_contents)) is None
    assert names(cache) == sorted([*ALL_FILES, "notes.txt"])
    assert (cache / "notes.txt").read_bytes() == b"mine"
    assert gzip.decompress((cache / f"{LAST}.gz").read_bytes()) == idx_contents[LAST]


@pytest.mark.usefixtures("mirrors")
def test_a_refused_connection_is_reported_in_one_line(tmp_path: Path, dead_port: int) -> None:
    address = f"http://{LOCAL}:{dead_port}/"
    failure = fetch(tmp_path / "cache", address)
    assert failure is not None
    assert failure.startswith(f"{address}: ConnectionRefusedError: ")
    assert "\n" not in failure
    assert names(tmp_path / "cache") == []


def test_the_failure_of_the_last_mirror_is_reported(mirrors: Mirrors, tmp_path: Path, dead_port: int) -> None:
    failure = fetch(tmp_path / "cache", f"http://{LOCAL}:{dead_port}/", mirrors.address("empty"))
    assert failure is not None
    assert failure.startswith(mirrors.address("empty"))


@pytest.mark.usefixtures("mirrors")
def test_a_mirror_that_never_responds_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_core.data.download, "READ_TIMEOUT_SECONDS", 0.05)
    with socket.create_server((LOCAL, 0)) as silent:
        failure = fetch(tmp_path / "cache", f"http://{LOCAL}:{silent.getsockname()[1]}/")
    assert failure is not None
    assert "timed out" in failure.lower()
    assert names(tmp_path / "cache") == []


def test_without_a_mirror_nothing_is_fetched(tmp_path: Path) -> None:
    assert fetch(tmp_path / "cache") == "no mirror is set"


def test_what_was_downloaded_is_found_in_the_cache_the_next_time(
    mirrors: Mirrors, idx_contents: dict[str, bytes], tiny: LabelledImages, tiny_test: LabelledImages
) -> None:
    good = mirrors.add("good", idx_contents)
    first = find_data(None, lambda folder: fetch(folder, good), pytest.fail)
    assert first == DataSource(Origin.DOWNLOAD, cache_folder())
    requests = len(mirrors.requested)
    second = find_data(None, lambda folder: fetch(folder, good), pytest.fail)
    assert second == DataSource(Origin.CACHE, cache_folder())
    assert len(mirrors.requested) == requests
    for source in (first, second):
        assert source.load_training().digest == tiny.digest
        assert source.load_test().digest == tiny_test.digest


def test_a_bar_is_shown_for_each_file_where_progress_is_wanted(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    good = mirrors.add("good", idx_contents)
    assert download_mnist(tmp_path / "quiet", (good,), progress=False) is None
    assert capfd.readouterr() == ("", "")
    assert download_mnist(tmp_path / "shown", (good,), progress=True) is None
    assert capfd.readouterr().err.count("100%") == 4


def test_a_mirror_that_sends_too_much_is_left(
    mirrors: Mirrors, tmp_path: Path, idx_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist_core.data.download, "MAX_FILE_BYTES", 1000)
    mirror = mirrors.add("endless", idx_contents)
    failure = fetch(tmp_path / "cache", mirror)
    assert failure == f"{mirror}: more than 1,000 bytes for one file of MNIST"
    assert names(tmp_path / "cache") == []
