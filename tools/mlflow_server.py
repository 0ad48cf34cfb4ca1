"""An MLflow server as a process of one's own: started, waited for, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.postgresql import ServerError

START_SECONDS = 120
STOP_SECONDS = 15


@dataclass(frozen=True)
class ServerOptions:
    """Settings of a server.

    Args:
        folder: its working directory, with its log.
        database: address of the database; passed in the environment, as all users of a machine can read arguments.
        artifacts: folder or bucket to which the server passes artifacts on.
        port: on ``host``.
        host: address to bind to.
        allowed_hosts: values of the Host header; empty for those of this machine. MLflow's own list admits others,
            such as ``10.example.com``.
        workers: processes that answer requests.
        certificate: PEM file; with ``key`` the server speaks TLS only.
        key: PEM file of the certificate's key.
        further: arguments of ``mlflow server``.
        environment: variables added to those of this process.
    """

    folder: Path
    database: str
    artifacts: str
    port: int
    host: str = "127.0.0.1"
    allowed_hosts: Sequence[str] = ()
    workers: int = 2
    certificate: Path | None = None
    key: Path | None = None
    further: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """URI for clients on this machine."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Program and arguments."""
        local = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")]
        # Clients keep their connections open, and uvicorn would wait for them.
        uvicorn = ["--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        if self.certificate:
            uvicorn += ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(self.key)]
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", self.host, "--port", str(self.port)),
            *("--workers", str(self.workers), "--allowed-hosts", ",".join([*local, *self.allowed_hosts])),
            *("--artifacts-destination", self.artifacts, "--uvicorn-opts", " ".join(uvicorn), *self.further),
        ]

    def variables(self) -> dict[str, str]:
        """Environment of the process."""
        # Job runners would be seven more processes, for jobs that nothing here asks for.
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
        # Addresses of other servers are for clients.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")}
        return {**inherited, **settings, "MLFLOW_BACKEND_STORE_URI": self.database, **self.environment}


@contextmanager
def running_mlflow(options: ServerOptions) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, wait until it responds, and stop it at the end.

    Raises:
        ServerError: its port is taken, or it ends or does not respond within two minutes.
    """
    _check_free(options.host, options.port)
    options.folder.mkdir(parents=True, exist_ok=True)
    log = options.folder / "mlflow.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            options.command(),
            cwd=options.folder,
            env=options.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C at the terminal is not for it: it is ended before its database
        )
    try:
        _wait(options, process, log)
        yield process
    finally:
        _end(process)


def _check_free(host: str, port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ServerError(f"{host}:{port}: cannot be bound to ({error.strerror}); choose another --port") from None


def _wait(options: ServerOptions, process: subprocess.Popen[bytes], log: Path) -> None:
    unverified = ssl._create_unverified_context() if options.certificate else None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"mlflow server ended with exit code {process.returncode}; its log: {log}")
        try:
            urllib.request.urlopen(f"{options.address}/health", timeout=5, context=unverified).close()
            return
        except urllib.error.HTTPError:  # it asks for a password
            return
        except OSError:
            time.sleep(0.25)
    raise ServerError(f"mlflow server did not respond within {START_SECONDS} s; its log: {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server with its workers, which are in its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
