"""Champions come and go without a request lost; a bad one does not come."""

from __future__ import annotations

import errno
import tempfile
import threading
import time
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

from mnist_core.hyperparameters import Hyperparameters
from mnist_core.models.factory import build_model
from serving.app import Settings, create_app
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.serving_fakes import FolderModelSource

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def other_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A network without hidden layers and training, but a whole one."""
    path = tmp_path_factory.mktemp("other") / "model.keras"
    build_model(Hyperparameters(hidden_layers=0)).save(path)
    return path.read_bytes()


def test_the_champion_follows_the_alias(manager: ModelManager, source: FolderModelSource, other_file: bytes) -> None:
    source.put("2", other_file)
    before = manager.champion
    manager.check()
    assert manager.champion is before  # nothing is loaded again
    source.champion = "2"
    manager.check()
    assert manager.champion is not None
    assert manager.champion.info.version == "2"
    source.champion = None
    manager.check()
    assert manager.champion is None
    assert manager.swaps == 1


def wrong_shape(path: Path) -> None:
    build_model(Hyperparameters(hidden_layers=0), input_shape=(6, 5)).save(path)


def not_numbers(path: Path) -> None:
    model = build_model(Hyperparameters(hidden_layers=0))
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    model.save(path)


def no_probabilities(path: Path) -> None:
    keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)


def code(path: Path) -> None:
    layer = keras.layers.Lambda(lambda pixels: pixels[:, 0, :10])
    keras.Sequential([keras.Input((28, 28)), layer]).save(path)


def half(path: Path) -> None:
    wrong_shape(path)
    path.write_bytes(path.read_bytes()[:999])


BAD = {
    wrong_shape: "expected shapes (None, 28, 28)",
    not_numbers: "add up to 1",
    no_probabilities: "add up to 1",
    code: "holds no code",
    half: "cannot load it",
}


@pytest.mark.parametrize(("write", "problem"), BAD.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_bad_version_is_refused_and_the_old_one_keeps_serving(
    write: object, problem: str, manager: ModelManager, source: FolderModelSource, digits: Bytes, tmp_path: Path
) -> None:
    assert callable(write)
    write(tmp_path / "bad.keras")
    source.put("2", (tmp_path / "bad.keras").read_bytes())
    source.champion = "2"
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        health = client.get("/health")
        assert (health.status_code, health.json()["status"], health.json()["version"]) == (200, "degraded", "1")
        assert problem in health.json()["problem"]
        assert client.post("/predict", json=digits[0].tolist()).json()["version"] == "1"
    source.champion = "1"
    manager.check()
    assert manager.problem is None


def test_a_missing_file_and_a_store_out_of_reach_change_nothing(
    manager: ModelManager, source: FolderModelSource
) -> None:
    source.champion = "7"
    manager.check()
    assert manager.problem == "version 7: expected a file, found none"
    source.reachable = False
    manager.check()
    assert manager.problem == "source: out of reach"
    assert manager.champion is not None
    assert manager.champion.info.version == "1"


def test_a_full_disk_is_reported_and_the_registry_is_followed_on(
    manager: ModelManager,
    source: FolderModelSource,
    other_file: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*args: object, **keywords: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    source.put("2", other_file)
    with TestClient(create_app(manager, Settings(check_seconds=0.01)), base_url="http://127.0.0.1") as client:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkdtemp", full)
            source.champion = "2"
            health = wait_for(client, "degraded")
            assert health["version"] == "1"
            assert health["problem"] == "OSError: [Errno 28] No space left on device"
        assert wait_for(client, "serving") == {
            "status": "serving",
            "version": "2",
            "problem": None,
            "collecting": False,
        }
    assert len(caplog.records) == 1  # though it happened at every check


def wait_for(client: TestClient, status: str) -> dict[str, object]:
    """The health once it has that status."""
    for _ in range(1000):
        health: dict[str, object] = client.get("/health").json()
        if health["status"] == status:
            return health
        time.sleep(0.01)
    raise AssertionError(f"expected {status}, the last health was {health}")


def test_swaps_under_load_lose_no_request(
    source: FolderModelSource, manager: ModelManager, other_file: bytes, digits: Bytes
) -> None:
    source.put("2", other_file)
    answers: list[tuple[int, str]] = []
    over = threading.Event()
    body = digits[:2].tolist()
    with TestClient(create_app(manager, Settings(check_seconds=0.01)), base_url="http://127.0.0.1") as client:

        def ask() -> None:
            while not over.is_set():
                answer = client.post("/predict", json=body)
                answers.append((answer.status_code, answer.json()["version"]))

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        for swap in range(1, 5):
            source.champion = "2" if swap % 2 else "1"
            while manager.swaps < swap:
                assert manager.problem is None
                over.wait(0.01)
        over.set()
        for asker in askers:
            asker.join()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1", "2"}


def test_a_network_without_hidden_layers_shows_no_activations(
    source: FolderModelSource, other_file: bytes, png: bytes
) -> None:
    source.put("2", other_file)
    source.champion = "2"
    manager = ModelManager(source, load_predictor)
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        explained = client.post("/explain", content=png, headers={"Content-Type": "image/png"}).json()
    assert explained["activations"] == []
    assert len(explained["saliency"]) == 28
