"""Creation of the SQLite file of a new store: whole or not at all, and without waiting for the disk at each step."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def create_database(database: Path) -> None:
    """Create an SQLite file with MLflow's tables, by MLflow's own migrations.

    MLflow alone waits for the disk a thousand times, for several seconds. Here the tables are made in another file,
    which is written to the disk and renamed when it is complete.

    Args:
        database: must not exist yet; another file that has appeared meanwhile stays.

    Raises:
        Exception: SQLAlchemy's or the system's, where it cannot be written.
    """
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    partial = database.with_name(f"{database.name}.new")
    partial.unlink(missing_ok=True)  # of a process that was killed
    try:
        with _sqlite_that_does_not_wait():
            make_store: Any = SqlAlchemyStore  # it has no types
            store = make_store(f"sqlite:///{partial}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
        store.engine.dispose()  # closes the file
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        if not database.exists():
            partial.replace(database)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def _sqlite_that_does_not_wait() -> Iterator[None]:
    """Leave the time of writing to the system, on connections to SQLite that this thread opens in the block."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    own_thread = threading.get_ident()

    def relax(connection: Any, record: object) -> None:
        # Another thread may open a store of its own, on SQLite or on a server.
        if threading.get_ident() == own_thread:
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)
