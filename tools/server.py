"""An MLflow server on PostgreSQL for trying, until Ctrl-C: ``python -m tools.server --help``."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from tools.mlflow_server import ServerOptions, running_mlflow
from tools.postgresql import ServerError, running_postgresql

ADMIN = "admin"
ADMIN_PASSWORD = "admin-password"
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Run both servers until Ctrl-C or SIGTERM; the exit code is 2 where they cannot be started."""
    given = parse()
    for number in ENDING:
        signal.signal(number, _stop)
    try:
        with _running(given) as process:
            while process.poll() is None:
                time.sleep(0.5)
            raise ServerError(f"mlflow server ended by itself with exit code {process.returncode}; see its log")
    except _Stopped:
        print("stopped", flush=True)
    except ServerError as error:
        print(f"server: {error}", file=sys.stderr)
        return 2
    return 0


class _Stopped(BaseException):
    """A signal that ends the program."""


def _stop(number: int, frame: object) -> None:
    # Nothing that is pressed meanwhile may keep the servers from being stopped.
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise _Stopped


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options; those of the command line where none are given."""
    parser = argparse.ArgumentParser(
        prog="make server ARGS='…'",
        description="An MLflow server on PostgreSQL for trying. Data: FOLDER/postgresql, FOLDER/server.",
    )
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1 (default: 5000)")
    parser.add_argument("--folder", type=Path, default=Path("mlruns"), help="of all data (default: mlruns)")
    parser.add_argument("--store", choices=["postgresql", "sqlite"], default="postgresql", help="the database")
    parser.add_argument("--artifacts", metavar="URI", help="such as s3://bucket (default: FOLDER/server/artifacts)")
    parser.add_argument("--workers", type=int, default=2, help="processes that answer requests (default: 2)")
    parser.add_argument("--auth", action="store_true", help=f"ask for a password; the first user is {ADMIN}")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="speak TLS with it; needs --key")
    parser.add_argument("--key", type=Path, metavar="PEM", help="of the certificate")
    parser.add_argument("--allowed-hosts", default="", metavar="NAMES", help="further host names, with commas between")
    parser.add_argument("further", nargs="*", metavar="-- ARGUMENT …", help="arguments for mlflow server")
    given = parser.parse_args(words)
    if bool(given.certificate) != bool(given.key):
        parser.error("--certificate and --key: expected both or neither")
    return given


@contextmanager
def _running(given: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    folder = (given.folder / "server").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ServerError(
            f"{folder}: another server is running on it; stop that first, or name another --folder"
        ) from None
    with ExitStack() as stack:
        stack.callback(lock.release)
        if given.store == "postgresql":
            _check_driver()
            database = stack.enter_context(running_postgresql(given.folder / "postgresql", ["mlflow", "mlflow_auth"]))
            stores = (database.uri("mlflow"), database.uri("mlflow_auth"))
            print(f"PostgreSQL 127.0.0.1:{database.port}, data and password in {database.folder}", flush=True)
        else:
            stores = (f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/auth.db")
        options = ServerOptions(
            folder=folder,
            database=stores[0],
            artifacts=given.artifacts or str(folder / "artifacts"),
            port=given.port,
            allowed_hosts=[name for name in given.allowed_hosts.split(",") if name],
            workers=given.workers,
            further=given.further,
            certificate=given.certificate and given.certificate.absolute(),
            key=given.key and given.key.absolute(),
        )
        if given.auth:
            options = with_authentication(options, stores[1])
        process = stack.enter_context(running_mlflow(options))
        print("\n".join(lines_for_users(options, given.auth)), flush=True)
        yield process


def _check_driver() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise ServerError("PostgreSQL needs a driver, not installed here: pip install 'mnist-search[server]'") from None


def with_authentication(options: ServerOptions, database: str) -> ServerOptions:
    """The same server with a password for each user, and none for those without an account.

    Args:
        options: of a server without authentication.
        database: address of the database of the users.
    """
    settings = options.folder / "auth.ini"
    _write_private(
        settings,
        # Without the cache each request waits for the hash of its password. Here all accounts may change all records.
        "[mlflow]\ndefault_permission = EDIT\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = {database.replace('%', '%%')}\nadmin_username = {ADMIN}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
    )
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secret(options.folder / ADMIN_PASSWORD),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret(options.folder / "secret-key"),
    }
    return replace(
        options,
        further=[*options.further, "--app-name", "basic-auth"],
        environment={**options.environment, **environment},
    )


def secret(path: Path) -> str:
    """The secret in a file that only its owner can read; made where it is missing."""
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def lines_for_users(options: ServerOptions, asks_for_password: bool) -> list[str]:
    """The lines to paste into a shell, and the address."""
    lines = [f"export MLFLOW_TRACKING_URI={options.address}"]
    if asks_for_password:
        lines.append(f"export MLFLOW_TRACKING_USERNAME={ADMIN}")
        lines.append(f"export MLFLOW_TRACKING_PASSWORD=$(cat {shlex.quote(str(options.folder / ADMIN_PASSWORD))})")
    if options.certificate:
        lines.append(f"export MLFLOW_TRACKING_SERVER_CERT_PATH={shlex.quote(str(options.certificate))}")
    return [*lines, f"MLflow     {options.address}   (Ctrl-C ends it; log: {options.folder / 'mlflow.log'})"]


if __name__ == "__main__":
    sys.exit(main())
