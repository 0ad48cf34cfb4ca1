"""Tests of the model manager: champions are replaced without a lost request, and an invalid one is refused."""

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
    """A valid network without hidden layers, untrained."""
    path = tmp_path_factory.mktemp("other") / "model.keras"
    build_model(Hyperparameters(hidden_layers=0)).save(path)
    return path.read_bytes()


def test_the_champion_follows_the_alias(manager: ModelManager, source: FolderModelSource, other_file: bytes) -> None:
    source.put("2", other_file)
    before = manager.champion
    manager.check()
    assert manager.champion is before  # it is not loaded again
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


def nan_weights(path: Path) -> None:
    model = build_model(Hyperparameters(hidden_layers=0))
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    model.save(path)


def logits(path: Path) -> None:
    keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)


def lambda_layer(path: Path) -> None:
    layer = keras.layers.Lambda(lambda pixels: pixels[:, 0, :10])
    keras.Sequential([keras.Input((28, 28)), layer]).save(path)


def truncated(path: Path) -> None:
    wrong_shape(path)
    path.write_bytes(path.read_bytes()[:999])


INVALID = {
    wrong_shape: "expected shapes (None, 28, 28)",
    nan_weights: "add up to 1",
    logits: "add up to 1",
    lambda_layer: "holds no code",
    truncated: "cannot load it",
}


@pytest.mark.parametrize(("write", "problem"), INVALID.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_invalid_version_is_refused_and_the_previous_one_stays(
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


def test_a_missing_file_or_an_unreachable_source_keeps_the_served_version(
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


def test_a_full_disk_is_reported_and_later_checks_go_on(
    manager: ModelManager,
    source: FolderModelSource,
    other_file: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def raise_full(*args: object, **keywords: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    source.put("2", other_file)
    with TestClient(create_app(manager, Settings(check_seconds=0.01)), base_url="http://127.0.0.1") as client:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "mkdtemp", raise_full)
            source.champion = "2"
            health = wait_for(client, "degraded")
            assert health["version"] == "1"
            assert health["problem"] == "OSError: [Errno 28] No space left on device"
        assert wait_for(client, "serving") == {
            "status": "serving",
            "version": "2",
            "problem": None,
            "collecting": False,
            "runtime": "keras",
        }
    assert len(caplog.records) == 1  # though every check failed


def wait_for(client: TestClient, status: str) -> dict[str, object]:
    """Wait until the health has that status, and return it."""
    for _ in range(1000):
        health: dict[str, object] = client.get("/health").json()
        if health["status"] == status:
            return health
        time.sleep(0.01)
    raise AssertionError(f"expected {status}, the last health was {health}")


def test_no_request_is_lost_when_champions_are_replaced_under_load(
    source: FolderModelSource, manager: ModelManager, other_file: bytes, digits: Bytes
) -> None:
    source.put("2", other_file)
    responses: list[tuple[int, str]] = []
    stopped = threading.Event()
    body = digits[:2].tolist()
    with TestClient(create_app(manager, Settings(check_seconds=0.01)), base_url="http://127.0.0.1") as client:

        def send_requests() -> None:
            while not stopped.is_set():
                response = client.post("/predict", json=body)
                responses.append((response.status_code, response.json()["version"]))

        threads = [threading.Thread(target=send_requests) for _ in range(3)]
        for thread in threads:
            thread.start()
        for swap in range(1, 5):
            source.champion = "2" if swap % 2 else "1"
            while manager.swaps < swap:
                assert manager.problem is None
                stopped.wait(0.01)
        stopped.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in responses} == {200}
    assert {version for _, version in responses} == {"1", "2"}


def test_a_network_without_hidden_layers_has_no_activations(
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
