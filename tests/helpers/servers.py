"""Servers of the tests: MLflow as ``make server`` starts it, an S3-compatible store, and a certificate."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.ports import free_port

ROOT = Path(__file__).parents[2]
SECONDS = 180


@dataclass(frozen=True)
class RunningServer:
    """A server that runs.

    Args:
        environment: variables by which clients find it.
        process: of ``tools.server``.
        folder: of its data.
        printed: its output until it was ready.
    """

    environment: Mapping[str, str]
    process: subprocess.Popen[str]
    folder: Path
    printed: Sequence[str] = field(repr=False)

    @property
    def uri(self) -> str:
        return self.environment["MLFLOW_TRACKING_URI"]

    @property
    def database_folder(self) -> Path:
        """Folder of PostgreSQL's data, which is elsewhere if its user cannot enter the one that was named."""
        line = next(line for line in self.printed if line.startswith("PostgreSQL"))
        return Path(line.rpartition(" in ")[2])


@contextmanager
def team_server(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """Start a server as ``make server ARGS=…`` does, and end it by SIGTERM. Data of PostgreSQL are removed.

    Args:
        folder: of its data.
        words: further options.
        environment: of the server, beside this process's.
    """
    command = [sys.executable, "-m", "tools.server", "--port", str(free_port()), "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--workers", "1", *words],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed: list[str] = []
    try:
        printed += _lines_until_ready(process)
        yield RunningServer(exported(printed), process, folder, printed)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
        if any(line.startswith("PostgreSQL") for line in printed):
            shutil.rmtree(RunningServer({}, process, folder, printed).database_folder, ignore_errors=True)


def _lines_until_ready(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        yield line.rstrip("\n")
        if line.startswith("MLflow "):
            return
    raise AssertionError(f"the server did not start: {''.join(seen)}")


def exported(printed: Sequence[str]) -> dict[str, str]:
    """Variables that a shell has after the lines that the server printed for it."""
    lines = [line for line in printed if line.startswith("export ")]
    shell = subprocess.run(["sh", "-c", "\n".join([*lines, "env"])], env={}, capture_output=True, text=True, check=True)
    names = {line.removeprefix("export ").partition("=")[0] for line in lines}
    return {
        name: value for name, _, value in (line.partition("=") for line in shell.stdout.splitlines()) if name in names
    }


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and localhost, and its key, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}


@contextmanager
def s3_store(folder: Path, bucket: str) -> Iterator[dict[str, str]]:
    """Start an S3-compatible store with an empty bucket; the variables by which clients find it."""
    import boto3

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "s3.log").read_text()
                time.sleep(0.25)
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=S3_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=bucket)
        yield {"MLFLOW_S3_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1", **S3_CREDENTIALS}
    finally:
        process.terminate()
        process.wait()
