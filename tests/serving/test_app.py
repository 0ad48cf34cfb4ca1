"""Tests of the HTTP service through its routes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

import mnist_core.data.feedback
from mnist_core.data.feedback import read_feedback
from serving.app import Settings, create_app
from serving.model_manager import LoadedModel, ModelManager, load_predictor
from tests.helpers.picture_files import encode, encode_huge
from tests.helpers.serving_fakes import FolderModelSource

Bytes = npt.NDArray[np.uint8]
PNG = {"Content-Type": "image/png"}


def test_an_array_a_batch_and_a_picture_of_the_same_digit_get_the_same_prediction(
    client: TestClient, digits: Bytes
) -> None:
    one = client.post("/predict", json=digits[0].tolist()).json()
    batch = client.post("/predict", json=digits[:3].tolist()).json()
    picture = client.post("/predict", content=encode(digits[0]), headers=PNG).json()
    assert one["predictions"] == picture["predictions"] == batch["predictions"][:1]
    assert len(batch["predictions"]) == 3
    assert one["version"] == "1"


def test_digits_are_recognised(client: TestClient, digits: Bytes) -> None:
    predictions = client.post("/predict", json=digits.tolist()).json()["predictions"]
    correct = sum(prediction["digit"] == index // 4 for index, prediction in enumerate(predictions))
    assert correct >= 36  # the network was trained on them for a few seconds
    for prediction in predictions:
        probabilities = prediction["probabilities"]
        assert prediction["confidence"] == max(probabilities) == probabilities[prediction["digit"]]
        assert prediction["sure"] == (prediction["confidence"] >= 0.7)
        assert sum(probabilities) == pytest.approx(1, abs=1e-3)  # rounded to four decimals each


def test_an_empty_picture_has_no_digit(client: TestClient, digits: Bytes) -> None:
    nothing = {"digit": None, "confidence": 0.0, "sure": False, "probabilities": []}
    empty = np.full((2, 28, 28), 200, np.uint8)
    assert client.post("/predict", json=empty.tolist()).json()["predictions"] == [nothing, nothing]
    mixed = client.post("/predict", json=np.stack([empty[0], digits[0]]).tolist()).json()["predictions"]
    assert mixed[0] == nothing
    assert mixed[1]["digit"] is not None
    explained = client.post("/explain", content=encode(empty[0]), headers=PNG).json()
    assert explained == {"recognition": nothing, "version": "1", "pixels": [], "activations": [], "saliency": []}


def test_an_explanation_has_the_input_the_saliency_and_the_activations(client: TestClient, digits: Bytes) -> None:
    canvas = np.full((280, 280), 255, np.uint8)
    canvas[10:38, 200:228] -= digits[0]
    explained = client.post("/explain", content=encode(canvas), headers=PNG).json()
    assert explained["recognition"]["digit"] == 0
    assert explained["version"] == "1"
    pixels = np.array(explained["pixels"])
    assert pixels.shape == (28, 28)
    assert pixels.max() == 255
    saliency = np.array(explained["saliency"])
    assert saliency.shape == (28, 28)
    assert np.abs(saliency).max() == 1
    assert (saliency[pixels == 0] == 0).all()
    assert len(explained["activations"]) == 64
    assert min(explained["activations"]) >= 0


def test_the_model_and_the_health_are_reported(client: TestClient) -> None:
    assert client.get("/model").json()["sweep"] == "quick"
    assert client.get("/model").json()["test_accuracy"] == 0.9123
    assert client.get("/health").json() == {
        "status": "serving",
        "version": "1",
        "problem": None,
        "collecting": True,
        "runtime": "keras",
    }


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/metrics", "/model"])
def test_what_can_be_read_also_answers_head(client: TestClient, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code == 200


def test_a_champion_that_is_removed_while_a_request_asks_for_it_is_no_fault(
    manager: ModelManager, source: FolderModelSource, digits: Bytes
) -> None:
    class RemovingManager(ModelManager):
        """A manager whose champion is gone after it was read once."""

        @property
        def champion(self) -> LoadedModel | None:
            return found.pop() if found else None

        @champion.setter
        def champion(self, champion: LoadedModel | None) -> None:
            pass

    found = [manager.champion]
    client = TestClient(create_app(RemovingManager(source, load_predictor)), base_url="http://127.0.0.1")
    assert [client.post("/predict", json=digits[0].tolist()).status_code for _ in range(2)] == [200, 503]


def test_metrics_count_requests_and_digits(client: TestClient, digits: Bytes) -> None:
    client.post("/predict", json=digits[0].tolist())
    client.post("/predict", json=[[0]])
    client.get("/no/such/page")
    lines = client.get("/metrics").text.splitlines()
    assert 'mnist_requests_total{method="POST",route="/predict",status="200"} 1.0' in lines
    assert 'mnist_requests_total{method="POST",route="/predict",status="422"} 1.0' in lines
    assert 'mnist_champion_info{sha256="' + "0" * 64 + '",version="1"} 1.0' in lines
    assert any(line.startswith('mnist_digits_total{digit="0"') for line in lines)
    assert not any("no/such" in line for line in lines)


INVALID: dict[str, tuple[bytes, str, int]] = {
    "NaN": (b"[" + b"[NaN]," * 27 + b"[NaN]]", "application/json", 422),
    "infinity": (b"[[1e999]]", "application/json", 422),
    "wrong shape": (b"[[1, 2], [3, 4]]", "application/json", 422),
    "ragged": (b"[[1, 2], [3]]", "application/json", 422),
    "words": (b'[["secret"]]', "application/json", 422),
    "not JSON": (b"secret", "application/json", 422),
    "an object": (b'{"pixels": "secret"}', "application/json", 422),
    "no image": (b"[]", "application/json", 422),
    "deep": (b"[" * 100_000, "application/json", 422),
    "empty": (b"", "application/json", 422),
    "no picture": (b"secret", "image/png", 422),
    "another format": (b"GIF89a" + b"secret" * 9, "image/png", 422),
    "a form": (b"secret=1", "application/x-www-form-urlencoded", 415),
    "no type": (b"secret", "", 415),
    "too long": (b"[" + b" " * 10_000_001 + b"]", "application/json", 413),
}


@pytest.mark.parametrize(("body", "kind", "status"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_body_is_refused_without_echo(client: TestClient, body: bytes, kind: str, status: int) -> None:
    response = client.post("/predict", content=body, headers={"Content-Type": kind})
    assert response.status_code == status
    for part in ("secret", "NaN", "Traceback", "1e999", "/serving/"):
        assert part not in response.text


def test_a_refused_content_type_names_what_the_path_takes(client: TestClient) -> None:
    pictures = "image/png, image/jpeg"
    for path, kind, accepted in (
        ("/predict", "text/plain", f"application/json, {pictures}"),
        ("/explain", "application/json", pictures),
    ):
        response = client.post(path, content=b"[]", headers={"Content-Type": kind})
        assert (response.status_code, response.json()["detail"]) == (415, f"Content-Type: expected one of {accepted}")


@pytest.mark.parametrize("pixel", [-1, 256, True, None, "7"])
def test_a_pixel_out_of_range_is_named_by_its_place(client: TestClient, digits: Bytes, pixel: object) -> None:
    image = digits[0].tolist()
    image[3][27] = pixel
    for body, place in ((image, "pixels[3][27]"), ([digits[1].tolist(), image], "pixels[1][3][27]")):
        response = client.post("/predict", json=body)
        assert response.status_code == 422
        assert response.json()["detail"].startswith(f"{place}: expected 28 × 28")


ZEROS = [[0] * 28] * 28


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (ZEROS[:27], "pixels"),
        ([*ZEROS[:5], [0] * 27, *ZEROS[:22]], "pixels[5]"),
        ([ZEROS[:27]], "pixels[0]"),
        ([ZEROS, ZEROS[:27]], "pixels[1]"),
        ([ZEROS, [*ZEROS[:5], [0] * 29, *ZEROS[:22]]], "pixels[1][5]"),
        ([ZEROS, ZEROS, 7], "pixels[2]"),
        ([ZEROS] * 501, "pixels"),
    ],
    ids=["image", "row", "first image", "second image", "row of the second image", "number for an image", "batch"],
)
def test_an_array_of_the_wrong_shape_is_named_by_its_place(client: TestClient, body: object, place: str) -> None:
    response = client.post("/predict", json=body)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(f"{place}: expected 28 × 28")


def test_huge_dimensions_are_refused_before_decoding(client: TestClient) -> None:
    for side, received in ((8_000, "8000 × 8000"), (60_000, "far more")):
        response = client.post("/predict", content=encode_huge(side, side), headers=PNG)
        assert response.status_code == 422
        assert f"at most 16 million pixels, received {received}" in response.json()["detail"]


def test_a_truncated_picture_is_refused(client: TestClient, png: bytes) -> None:
    assert client.post("/explain", content=png[: len(png) // 2], headers=PNG).status_code == 422


def test_an_unknown_host_is_refused(client: TestClient) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""):
        assert client.get("/health", headers={"Host": host}).status_code == 400
    for host in ("localhost:8000", "127.0.0.1", "[::1]:9"):
        assert client.get("/health", headers={"Host": host}).status_code == 200


def test_pages_of_other_sites_cannot_send_requests(client: TestClient, digits: Bytes) -> None:
    body = digits[0].tolist()
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9", "http://["):
        assert client.post("/predict", json=body, headers={"Origin": origin}).status_code == 403
    assert client.post("/predict", json=body, headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_every_response_has_the_security_headers(client: TestClient) -> None:
    for response in (client.get("/"), client.get("/no"), client.get("/health", headers={"Host": "evil.example"})):
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_champion_the_response_names_the_commands_that_create_one(
    source: FolderModelSource, digits: Bytes
) -> None:
    source.champion = None
    manager = ModelManager(source, load_predictor)
    manager.check()
    with TestClient(create_app(manager), base_url="http://127.0.0.1") as client:
        for response in (client.post("/predict", json=digits[0].tolist()), client.get("/model")):
            assert response.status_code == 503
            assert "mnist-search promote" in response.json()["detail"]
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json() == {
            "status": "waiting",
            "version": None,
            "problem": None,
            "collecting": False,
            "runtime": None,
        }


def test_feedback_is_appended_and_can_be_read_as_a_data_set(client: TestClient, digits: Bytes, tmp_path: Path) -> None:
    for image, truth in ((digits[0], 7), (digits[1], 0)):
        response = client.post("/feedback", json={"pixels": image.tolist(), "guess": 3, "truth": truth})
        assert (response.status_code, response.content) == (204, b"")
    stored = read_feedback(tmp_path / "feedback" / "feedback.jsonl")
    np.testing.assert_array_equal(stored.images, digits[:2])
    np.testing.assert_array_equal(stored.labels, [7, 0])


def test_feedback_is_stored_with_the_version_that_predicted_though_another_is_served_by_then(
    client: TestClient,
    manager: ModelManager,
    source: FolderModelSource,
    digits: Bytes,
    trained_file: Path,
    tmp_path: Path,
) -> None:
    explained = client.post("/explain", content=encode(digits[0]), headers=PNG).json()
    body = {"pixels": explained["pixels"], "guess": explained["recognition"]["digit"], "truth": 7}
    source.put("2", trained_file.read_bytes())
    for served, sent in (("2", {"version": explained["version"]}), ("2", {}), (None, {"version": "2"})):
        source.champion = served
        manager.check()
        assert client.post("/feedback", json=body | sent).status_code == 204
    lines = (tmp_path / "feedback" / "feedback.jsonl").read_text().splitlines()
    # Without a version, the one that is served is stored.
    assert [json.loads(line)["model"] for line in lines] == ["1", "2", "2"]


@pytest.mark.parametrize(
    "changed",
    [
        {"truth": 10},
        {"truth": True},
        {"guess": "secret"},
        {"more": "secret"},
        {"version": "sec ret"},
        {"version": ""},
        {"version": 1},
        {"version": "secret" * 11},
    ],
)
def test_wrong_feedback_is_refused_without_echo(client: TestClient, digits: Bytes, changed: dict[str, object]) -> None:
    response = client.post("/feedback", json={"pixels": digits[0].tolist(), "guess": 3, "truth": 7} | changed)
    assert response.status_code == 422
    assert "secret" not in response.text


def test_feedback_that_cannot_be_stored_is_an_error(
    client: TestClient, digits: Bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mnist_core.data.feedback, "MAX_BYTES", 1000)
    response = client.post("/feedback", json={"pixels": digits[0].tolist(), "guess": 3, "truth": 7})
    assert response.status_code == 507
    detail = "feedback is not stored: it would grow beyond 1,000 bytes: move it away"
    assert response.json() == {"detail": detail}
    assert (tmp_path / "feedback" / "feedback.jsonl").read_bytes() == b""


def test_feedback_is_off_by_default(manager: ModelManager, digits: Bytes) -> None:
    with TestClient(create_app(manager, Settings()), base_url="http://127.0.0.1") as client:
        response = client.post("/feedback", json={"pixels": digits[0].tolist(), "guess": 3, "truth": 7})
        assert response.status_code in (404, 405)
