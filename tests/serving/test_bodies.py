"""Limits on the work that one request, or many at the same time, can cause."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from serving import bodies, schemas
from serving.preprocessing import to_mnist_image
from tests.helpers.picture_files import encode

Bytes = npt.NDArray[np.uint8]
PNG = {"Content-Type": "image/png"}
# A file of few bytes with many pixels.
LARGE = encode(np.tile(np.arange(300, dtype=np.uint8), (300, 1)))


class CountingDecoder:
    """A decoder of pictures that counts how many it decodes at the same time. It replaces the service's own.

    Args:
        wait_for: event that each decoding waits for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait_for: threading.Event) -> None:
        self._decode = bodies.read_picture
        self._wait_for = wait_for
        self._lock = threading.Lock()
        self.running = self.max_running = self.done = 0
        monkeypatch.setattr(bodies, "read_picture", self)

    def __call__(self, content: bytes) -> Bytes:
        with self._lock:
            self.running += 1
            self.max_running = max(self.max_running, self.running)
        assert self._wait_for.wait(30)
        try:
            return self._decode(content)
        finally:
            with self._lock:
                self.running -= 1
                self.done += 1


def test_two_large_pictures_are_decoded_at_the_same_time_without_blocking_other_requests(
    client: TestClient, digits: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(LARGE) <= bodies.SMALL_BYTES
    may_finish = threading.Event()
    decoder = CountingDecoder(monkeypatch, may_finish)
    with ThreadPoolExecutor(8) as pool:
        responses = [pool.submit(client.post, "/predict", content=LARGE, headers=PNG) for _ in range(8)]
        while decoder.running < 2:
            time.sleep(0.01)
        # Neither the event loop nor the threads of other requests are blocked.
        assert client.get("/health").status_code == 200
        assert client.post("/predict", content=encode(digits[0]), headers=PNG).status_code == 200
        assert client.post("/predict", json=digits[:3].tolist()).status_code == 200
        may_finish.set()
        assert {response.result().status_code for response in responses} == {200}
    assert (decoder.max_running, decoder.done) == (2, 8)


def test_a_small_picture_is_decoded_without_a_thread(
    client: TestClient, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = CountingDecoder(monkeypatch, threading.Event())
    assert client.post("/predict", content=png, headers=PNG).status_code == 200
    assert decoder.max_running == 0


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_large_picture_is_preprocessed_outside_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    on_event_loop: list[bool] = []

    def preprocess(picture: Bytes) -> Bytes | None:
        on_event_loop.append(asyncio._get_running_loop() is not None)
        return to_mnist_image(picture)

    monkeypatch.setattr(bodies, "to_mnist_image", preprocess)
    assert client.post(path, content=LARGE, headers=PNG).status_code == 200
    assert on_event_loop == [False]


INVALID = {
    "no images": [None] * 400_000,
    "no rows": [[None] * 28] * 500,
    "no pixels": [[[None] * 28] * 28] * 500,
    "too many images": [[[0] * 28] * 28] * 501,
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_validation_of_a_body_ends_at_the_first_mistake(
    client: TestClient, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_errors(monkeypatch)
    assert client.post("/predict", json=body).status_code == 422
    assert counts == [2]  # one for each of the two expected shapes


@pytest.mark.parametrize(
    "changed",
    [{"pixels": [[None] * 28] * 28}, {str(number): 0 for number in range(10_000)}],
    ids=["no pixels", "many keys"],
)
def test_validation_of_feedback_ends_at_the_first_mistake(digits: Bytes, changed: dict[str, object]) -> None:
    body = {"pixels": digits[0].tolist(), "guess": 3, "truth": 7} | changed
    with pytest.raises(ValidationError) as refusal:
        schemas.FeedbackBody.model_validate_json(json.dumps(body))
    assert refusal.value.error_count() == 1


def count_errors(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that receives the number of mistakes found in each refused body."""
    counts: list[int] = []
    arrays = bodies.PIXELS

    class CountingAdapter:
        def validate_json(self, content: bytes) -> object:
            try:
                return arrays.validate_json(content)
            except ValidationError as error:
                counts.append(error.error_count())
                raise

    monkeypatch.setattr(bodies, "PIXELS", CountingAdapter())
    return counts
