"""Tests of a champion that LiteRT serves: its answers, its explanations, and Keras in its place."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

from mnist_core.errors import ModelError
from mnist_core.models.explanation import PredictionExplanation
from mnist_core.models.export_formats import ExportFormat
from serving import model_manager
from serving.app import create_app
from serving.explainer import ExplainerProcess
from serving.model_manager import ModelManager, load_predictor
from tests.helpers.picture_files import encode
from tests.helpers.serving_fakes import FolderModelSource

pytest.importorskip("ai_edge_litert", reason="needs the extra export-litert")

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def litert_file(trained_file: Path, digits: Bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The trained network as a LiteRT file."""
    from mnist_core.models.exporters import export_model
    from mnist_core.models.saved_model import load_model

    path = tmp_path_factory.mktemp("litert") / "model.tflite"
    export_model(load_model(trained_file), path, ExportFormat.LITERT, digits)
    return path.read_bytes()


@pytest.fixture
def litert_source(source: FolderModelSource, trained_file: Path, litert_file: bytes) -> FolderModelSource:
    """The source, in which version 2 is the same network with its LiteRT file, and the champion."""
    source.put("2", trained_file.read_bytes(), litert_file)
    source.champion = "2"
    return source


@pytest.fixture
def litert_manager(litert_source: FolderModelSource) -> ModelManager:
    manager = ModelManager(litert_source, load_predictor)
    manager.check()
    return manager


@pytest.fixture
def client(litert_manager: ModelManager) -> Iterator[TestClient]:
    with TestClient(create_app(litert_manager), base_url="http://127.0.0.1") as client:
        yield client


def runtime_of(client: TestClient) -> str:
    runtime: str = client.get("/health").json()["runtime"]
    assert f'mnist_runtime_info{{runtime="{runtime}"}} 1.0' in client.get("/metrics").text
    return runtime


def test_litert_predicts_and_the_health_and_the_metrics_say_so(client: TestClient, digits: Bytes) -> None:
    assert runtime_of(client) == "litert"
    predictions = client.post("/predict", json=digits.tolist()).json()["predictions"]
    assert sum(prediction["digit"] == index // 4 for index, prediction in enumerate(predictions)) >= 36
    assert client.post("/predict", json=digits[0].tolist()).json()["predictions"] == predictions[:1]


def test_an_explanation_of_litert_is_that_of_keras(
    client: TestClient, litert_manager: ModelManager, source: FolderModelSource, png: bytes
) -> None:
    def explain() -> dict[str, object]:
        explained: dict[str, object] = client.post(
            "/explain", content=png, headers={"Content-Type": "image/png"}
        ).json()
        return explained

    first, second = explain(), explain()
    source.champion = "1"
    litert_manager.check()
    assert runtime_of(client) == "keras"
    by_keras = explain()
    assert first == second
    for key in ("saliency", "activations"):
        np.testing.assert_allclose(first[key], by_keras[key], atol=0.011)  # another process, one thread, rounded


def test_a_model_that_cannot_be_explained_still_predicts(
    litert_source: FolderModelSource, digits: Bytes, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(ExplainerProcess):
        def explain(self, image: Bytes) -> PredictionExplanation:
            raise ModelError("no memory")

    monkeypatch.setattr(model_manager, "ExplainerProcess", Failing)
    manager = ModelManager(litert_source, load_predictor)
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        refused = client.post("/explain", content=png, headers={"Content-Type": "image/png"})
        assert (refused.status_code, refused.json()) == (503, {"detail": "version 2 cannot be explained: no memory"})
        assert client.post("/predict", json=digits[0].tolist()).json()["predictions"][0]["digit"] == 0


def test_the_process_of_explanations_ends_with_the_service(
    litert_source: FolderModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[ExplainerProcess] = []
    monkeypatch.setattr(ExplainerProcess, "close", lambda explainer: closed.append(explainer))
    manager = ModelManager(litert_source, load_predictor)
    manager.check()
    with TestClient(create_app(manager)):
        assert closed == []
    assert len(closed) == 1


def test_predictions_are_answered_while_an_explanation_waits(
    litert_source: FolderModelSource, digits: Bytes, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = threading.Event(), threading.Event()

    class Slow(ExplainerProcess):
        def explain(self, image: Bytes) -> PredictionExplanation:
            asked.set()
            assert released.wait(60)
            return PredictionExplanation(np.zeros(10), np.zeros(3), np.zeros((28, 28)))

    monkeypatch.setattr(model_manager, "ExplainerProcess", Slow)
    manager = ModelManager(litert_source, load_predictor)
    manager.check()
    explained: list[int] = []
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:

        def explain() -> None:
            explained.append(client.post("/explain", content=png, headers={"Content-Type": "image/png"}).status_code)

        threads = [threading.Thread(target=explain) for _ in range(50)]  # more than the threads of other requests
        for thread in threads:
            thread.start()
        assert asked.wait(60)
        blank = client.post(
            "/explain", content=encode(np.zeros((28, 28), np.uint8)), headers={"Content-Type": "image/png"}
        )
        assert blank.json()["recognition"]["digit"] is None
        for body in (digits[0], digits[:3]):
            assert client.post("/predict", json=body.tolist()).status_code == 200
        assert explained == []
        released.set()
        for thread in threads:
            thread.join()
    assert explained == [200] * 50


def test_keras_serves_where_the_file_is_broken_and_it_is_said_once(
    source: FolderModelSource, trained_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source.put("2", trained_file.read_bytes(), b"broken")
    source.champion = "2"
    check_that_keras_serves(source, caplog, "LiteRT file: expected a model")


def test_keras_serves_where_litert_is_not_installed_and_it_is_said_once(
    litert_source: FolderModelSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    check_that_keras_serves(litert_source, caplog, "ai_edge_litert")


def check_that_keras_serves(source: FolderModelSource, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    manager = ModelManager(source, load_predictor)
    for _ in range(3):
        manager.check()
    assert manager.problem is None
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        assert runtime_of(client) == "keras"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the champion is served by Keras, not by LiteRT: ")
    assert reason in line
