"""Tests of the service as a process on 127.0.0.1, with clients that are slow, silent or disconnected."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response

from mnist_core.errors import SpecError
from serving import connections, server
from serving.connections import BoundedConnection

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 30
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
        client = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)
        client.sendall(sent)
        return client

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def listens(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def stop(self, sent: signal.Signals) -> str:
        """Send the signal, wait for the end, and return the standard error."""
        self.process.send_signal(sent)
        return self.process.communicate(timeout=TIMEOUT_SECONDS)[1]


Start = Callable[..., Service]


def starter(stack: ExitStack, folder: Path) -> Start:
    """A function that starts a service. All services are killed when the stack is closed."""

    def start(
        head_seconds: float = TIMEOUT_SECONDS,
        stall_seconds: float = TIMEOUT_SECONDS,
        shutdown_seconds: int = 1,
        files: int | None = None,
    ) -> Service:
        seconds = map(str, (head_seconds, stall_seconds, shutdown_seconds))
        command = [sys.executable, "-m", "tests.helpers.served_process", str(folder), *seconds]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        process = stack.enter_context(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        return Service(process, int(process.stdout.readline()))

    return start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a service for one test, which may stop it."""
    with ExitStack() as stack:
        yield starter(stack, tmp_path)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits long for its clients, for tests that do not stop it."""
    with ExitStack() as stack:
        yield starter(stack, tmp_path_factory.mktemp("patient"))()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits 0.2 seconds for a request or its next part, for tests that do not stop it."""
    with ExitStack() as stack:
        yield starter(stack, tmp_path_factory.mktemp("hasty"))(head_seconds=0.2, stall_seconds=0.2)


# Half a body and SIGTERM are in the next test.
@pytest.mark.parametrize(
    ("stop_signal", "sent"),
    [(signal.SIGTERM, b""), (signal.SIGTERM, b"POST /pre"), (signal.SIGINT, UPLOAD)],
    ids=["silent", "half a head", "half a body and Ctrl-C"],
)
def test_a_slow_client_does_not_prevent_shutdown(start: Start, stop_signal: signal.Signals, sent: bytes) -> None:
    service = start()
    with service.connect(sent):
        assert service.get("/health")[0] == 200  # so what was sent before has arrived
        service.stop(stop_signal)


def test_a_client_cut_off_by_shutdown_gets_the_reason_and_no_traceback_is_logged(start: Start) -> None:
    service = start()
    with service.connect(UPLOAD) as client:
        service.get("/health")
        errors = service.stop(signal.SIGTERM)
        response = client.recv(9999).decode()
    assert response.startswith("HTTP/1.1 503")
    assert "the service is stopping" in response
    assert "Traceback" not in errors


def test_a_stalled_body_is_refused_and_its_connection_closed(hasty: Service) -> None:
    with hasty.connect(UPLOAD) as client, client.makefile("rb") as file:
        response = file.read().decode()  # to the end of the connection
    assert response.startswith("HTTP/1.1 408")
    assert "body: expected it sooner" in response


@pytest.mark.parametrize("sent", [b"", b"POST /pre"], ids=["silent", "half a head"])
def test_a_connection_without_a_request_in_time_is_closed(hasty: Service, sent: bytes) -> None:
    with hasty.connect(sent) as client:
        assert client.recv(1) == b""
    with hasty.connect(HEALTH) as client:
        response = b""
        while not response.endswith(b"}"):
            response += client.recv(9999)
        client.sendall(b"GET")  # a second request that stays incomplete
        assert client.recv(1) == b""


@pytest.mark.parametrize("files", [None, 256])
@pytest.mark.parametrize("sent", [b"", b"POST /pre"], ids=["silent", "half a head"])
def test_idle_connections_do_not_block_new_ones(start: Start, files: int | None, sent: bytes) -> None:
    service = start(files=files)
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(service.connect(sent))
        status, health = service.get("/health")
    assert (status, json.loads(health)["status"]) == (200, "serving")
    assert service.stop(signal.SIGTERM) == ""


def send_until_closed(client: socket.socket, part: bytes) -> None:
    """Send the part again and again, until the service closes the connection."""
    for _ in range(3_000):
        try:
            client.sendall(part)
        except ConnectionError:
            return
        time.sleep(0.001)
    raise AssertionError("expected that the connection is closed")


@pytest.mark.parametrize(("read_seconds", "is_whole"), [(0.2, False), (TIMEOUT_SECONDS, True)])
def test_a_response_has_to_be_read_in_time(
    monkeypatch: pytest.MonkeyPatch, read_seconds: float, is_whole: bool
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", read_seconds)
    content = bytes(20_000_000)  # more than all buffers hold
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Response(content), http=BoundedConnection, lifespan="off", log_level="warning")
        service = uvicorn.Server(config)
        thread = threading.Thread(target=service.run, args=([listener],))
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=TIMEOUT_SECONDS) as client:
            client.sendall(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert client.recv(1) == b"H"
            time.sleep(0.5)  # without reading
            received = 0
            with suppress(ConnectionError):
                while part := client.recv(1_000_000):
                    received += len(part)
        service.should_exit = True
        thread.join()
    assert (received > len(content)) == is_whole


def test_a_connection_with_too_many_requests_before_their_responses_is_closed(patient: Service) -> None:
    with patient.connect() as client:
        send_until_closed(client, HEALTH * 200)
    assert patient.get("/health")[0] == 200


@pytest.mark.parametrize("head", [b"GET /", HEALTH[:-2] + b"X: ", HEALTH + HEALTH[:-2] + b"X: "])
def test_a_connection_with_a_head_without_end_is_closed(patient: Service, head: bytes) -> None:
    with patient.connect(head) as client:
        send_until_closed(client, b"x" * 10_000)
    assert patient.get("/health")[0] == 200


def test_an_aborted_upload_is_counted_and_no_traceback_is_logged(start: Start) -> None:
    service = start()
    with service.connect(UPLOAD):
        service.get("/health")
    with service.connect(UPLOAD.replace(b"/predict", b"/feedback").replace(b"image/png", b"application/json")):
        service.get("/health")
    lines: list[str] = []
    while not any('route="/predict"' in line for line in lines):
        lines = service.get("/metrics")[1].splitlines()
    assert 'mnist_requests_total{method="POST",route="/predict",status="499"} 1.0' in lines
    assert service.stop(signal.SIGTERM) == ""


def test_a_request_that_has_begun_is_answered_during_shutdown(start: Start) -> None:
    service = start(shutdown_seconds=TIMEOUT_SECONDS)
    body = json.dumps([[0] * 27 + [255]] * 28).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with service.connect(head.encode() + b"\r\n\r\n" + body[:50]) as client, client.makefile("rb") as file:
        service.get("/health")
        service.process.send_signal(signal.SIGTERM)
        while service.listens():  # until the shutdown has begun
            pass
        client.sendall(body[50:])
        assert file.read().startswith(b"HTTP/1.1 200")
    assert service.stop(signal.SIGTERM) == ""


def test_a_number_that_is_no_port_is_refused() -> None:
    with pytest.raises(SpecError, match="--port 70000: cannot be bound to"):
        server.listen("127.0.0.1", 70_000)
