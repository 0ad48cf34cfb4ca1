"""What one request, or many at a time, may cost the service."""

from __future__ import annotations

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
from tests.helpers.picture_files import encode

Bytes = npt.NDArray[np.uint8]
PNG = {"Content-Type": "image/png"}
# Few bytes, many pixels.
LARGE = encode(np.tile(np.arange(300, dtype=np.uint8), (300, 1)))


class Watched:
    """Decodes pictures, and notes how many at a time.

    Args:
        wait_for: is awaited before each is decoded.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait_for: threading.Event) -> None:
        self._decode = bodies.read_picture
        self._wait_for = wait_for
        self._lock = threading.Lock()
        self.running = self.most = self.done = 0
        monkeypatch.setattr(bodies, "read_picture", self)

    def __call__(self, content: bytes) -> Bytes:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self._wait_for.wait(30)
        try:
            return self._decode(content)
        finally:
            with self._lock:
                self.running -= 1
                self.done += 1


def test_two_large_pictures_are_decoded_at_a_time_and_others_are_answered_meanwhile(
    client: TestClient, digits: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(LARGE) <= bodies.SMALL_BYTES
    never_stop = threading.Event()
    watched = Watched(monkeypatch, never_stop)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, "/predict", content=LARGE, headers=PNG) for _ in range(8)]
        while watched.running < 2:
            time.sleep(0.01)
        # Neither the event loop nor the threads of others are taken.
        assert client.get("/health").status_code == 200
        assert client.post("/predict", content=encode(digits[0]), headers=PNG).status_code == 200
        assert client.post("/predict", json=digits[:3].tolist()).status_code == 200
        never_stop.set()
        assert {answer.result().status_code for answer in asked} == {200}
    assert (watched.most, watched.done) == (2, 8)


def test_a_small_picture_is_decoded_without_a_thread(
    client: TestClient, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch, threading.Event())
    assert client.post("/predict", content=png, headers=PNG).status_code == 200
    assert watched.most == 0


HOSTILE = {
    "no images": [None] * 400_000,
    "no rows": [[None] * 28] * 500,
    "no pixels": [[[None] * 28] * 28] * 500,
    "too many images": [[[0] * 28] * 28] * 501,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_body_full_of_mistakes_is_refused_at_the_first(
    client: TestClient, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_errors(monkeypatch)
    assert client.post("/predict", json=body).status_code == 422
    assert counts == [2]  # one for each of the two shapes that are expected


@pytest.mark.parametrize(
    "changed",
    [{"pixels": [[None] * 28] * 28}, {str(number): 0 for number in range(10_000)}],
    ids=["no pixels", "many keys"],
)
def test_feedback_full_of_mistakes_is_refused_at_the_first(digits: Bytes, changed: dict[str, object]) -> None:
    body = {"pixels": digits[0].tolist(), "guess": 3, "truth": 7} | changed
    with pytest.raises(ValidationError) as refusal:
        schemas.FeedbackBody.model_validate_json(json.dumps(body))
    assert refusal.value.error_count() == 1


def count_errors(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the number of mistakes of each body that is refused."""
    counts: list[int] = []
    arrays = bodies.PIXELS

    class Counted:
        def validate_json(self, content: bytes) -> object:
            try:
                return arrays.validate_json(content)
            except ValidationError as error:
                counts.append(error.error_count())
                raise

    monkeypatch.setattr(bodies, "PIXELS", Counted())
    return counts
