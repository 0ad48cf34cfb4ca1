"""The service as a process on 127.0.0.1, and clients that are slow, silent or gone."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPLOAD = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nhalf of it"
)


@dataclass(frozen=True)
class Service:
    """A running process and its port."""

    process: subprocess.Popen[str]
    port: int

    def connect(self, sent: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.sendall(sent)
        return client

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def listens(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def end(self, told: signal.Signals) -> str:
        """What it said on its standard error after it was told to end."""
        self.process.send_signal(told)
        return self.process.communicate(timeout=PATIENCE)[1]


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a service; all have ended when the test has."""
    with ExitStack() as stack:

        def start(
            head_seconds: float = PATIENCE,
            stall_seconds: float = PATIENCE,
            shutdown_seconds: int = 1,
            files: int | None = None,
        ) -> Service:
            seconds = map(str, (head_seconds, stall_seconds, shutdown_seconds))
            command = [sys.executable, "-m", "tests.helpers.served_process", str(tmp_path), *seconds]
            if files is not None:
                command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
            process = stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return Service(process, int(process.stdout.readline()))

        yield start


@pytest.mark.parametrize(
    ("told", "sent"),
    [(signal.SIGTERM, b""), (signal.SIGTERM, b"POST /pre"), (signal.SIGTERM, UPLOAD), (signal.SIGINT, UPLOAD)],
    ids=["silent", "half a head", "half a body", "half a body and Ctrl-C"],
)
def test_a_slow_client_does_not_keep_the_service_from_ending(start: Start, told: signal.Signals, sent: bytes) -> None:
    service = start()
    with service.connect(sent):
        assert service.get("/health")[0] == 200  # what was sent before has arrived
        service.end(told)


def test_a_client_that_is_cut_off_is_told_why_and_nothing_is_traced(start: Start) -> None:
    service = start()
    with service.connect(UPLOAD) as client:
        service.get("/health")
        said = service.end(signal.SIGTERM)
        answer = client.recv(9999).decode()
    assert answer.startswith("HTTP/1.1 503")
    assert "the service is stopping" in answer
    assert "Traceback" not in said


def test_a_body_that_stalls_is_refused_and_its_connection_closed(start: Start) -> None:
    service = start(stall_seconds=0.2)
    with service.connect(UPLOAD) as client, client.makefile("rb") as file:
        answer = file.read().decode()  # to the end of the connection
    assert answer.startswith("HTTP/1.1 408")
    assert "body: expected it sooner" in answer


@pytest.mark.parametrize("sent", [b"", b"POST /pre"], ids=["silent", "half a head"])
def test_a_connection_that_does_not_ask_in_time_is_closed(start: Start, sent: bytes) -> None:
    service = start(head_seconds=0.2)
    with service.connect(sent) as client:
        assert client.recv(1) == b""
    with service.connect(HEALTH) as client:
        answer = b""
        while not answer.endswith(b"}"):
            answer += client.recv(9999)
        client.sendall(b"GET")  # a second request that does not end
        assert client.recv(1) == b""


@pytest.mark.parametrize("files", [None, 256])
@pytest.mark.parametrize("sent", [b"", b"POST /pre"], ids=["silent", "half a head"])
def test_idle_connections_do_not_starve_others(start: Start, files: int | None, sent: bytes) -> None:
    service = start(files=files)
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(service.connect(sent))
        status, health = service.get("/health")
    assert (status, json.loads(health)["status"]) == (200, "serving")
    assert service.end(signal.SIGTERM) == ""


def test_an_aborted_upload_is_counted_and_not_traced(start: Start) -> None:
    service = start()
    with service.connect(UPLOAD):
        service.get("/health")
    with service.connect(UPLOAD.replace(b"/predict", b"/feedback").replace(b"image/png", b"application/json")):
        service.get("/health")
    lines: list[str] = []
    while not any('route="/predict"' in line for line in lines):
        lines = service.get("/metrics")[1].splitlines()
    assert 'mnist_requests_total{method="POST",route="/predict",status="499"} 1.0' in lines
    assert service.end(signal.SIGTERM) == ""


def test_a_request_that_has_begun_is_answered_after_the_service_was_told_to_end(start: Start) -> None:
    service = start(shutdown_seconds=PATIENCE)
    body = json.dumps([[0] * 27 + [255]] * 28).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with service.connect(head.encode() + b"\r\n\r\n" + body[:50]) as client, client.makefile("rb") as file:
        service.get("/health")
        service.process.send_signal(signal.SIGTERM)
        while service.listens():  # until it has noticed
            pass
        client.sendall(body[50:])
        assert file.read().startswith(b"HTTP/1.1 200")
    assert service.end(signal.SIGTERM) == ""
