"""Stores of the benchmarks of scale: a SQLite file, and servers of one's own on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from experiments.tracking.store import Store, open_store

# `tools` is not installed; a script's path has its own folder alone.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.mlflow_server import ServerOptions, running_mlflow
from tools.ports import free_port
from tools.postgresql import ServerError, find_programs, running_postgresql

SQLITE, SERVER, POSTGRESQL = "SQLite", "server on SQLite", "server on PostgreSQL"


def available_stores() -> list[str]:
    """Names of the stores that can be made here."""
    try:
        find_programs()
        import psycopg  # noqa: F401
    except (ServerError, ImportError):
        return [SQLITE, SERVER]
    return [SQLITE, SERVER, POSTGRESQL]


@contextmanager
def new_store(name: str) -> Iterator[Store]:
    """Make an empty store, and remove it at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = f"sqlite:///{folder}/mlflow.db"
        if name == POSTGRESQL:
            server = stack.enter_context(running_postgresql(folder / "postgresql", ["mlflow"]))
            stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
            database = server.uri("mlflow")
        uri = database
        if name != SQLITE:
            options = ServerOptions(folder / "server", database, str(folder / "artifacts"), free_port())
            stack.enter_context(running_mlflow(options))
            uri = options.address
        yield open_store(uri, create=True)
