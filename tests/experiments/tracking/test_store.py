from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.db import utils as db_utils
from sqlalchemy.exc import OperationalError

from experiments.tracking.new_database import create_database
from experiments.tracking.store import Store, open_store, tracking_uri
from mnist_core.errors import MissingLibraryError, NotFoundError, StoreError
from tools.ports import free_port


def uri_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def uri(store_at_hand: None, tmp_path: Path) -> str:
    """URI of a store without an experiment."""
    return uri_of(tmp_path / "mlruns" / "mlflow.db")


def test_the_default_store_is_mlruns_in_the_working_directory_unless_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tracking_uri() == uri_of(tmp_path / "mlruns" / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri() == "http://127.0.0.1:1"
    assert tracking_uri("sqlite:///x.db") == "sqlite:///x.db"


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///somewhere/mlruns"])
def test_the_deprecated_file_store_is_refused_with_an_alternative(uri: str) -> None:
    with pytest.raises(StoreError, match=r"file store is deprecated; expected .* sqlite:///"):
        tracking_uri(uri)


def test_a_store_is_created_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    with pytest.raises(NotFoundError, match="no store there yet; run a sweep first"):
        open_store(uri_of(path))
    assert not path.exists()
    made = open_store(uri_of(path), create=True)
    assert open_store(uri_of(path)).experiment_id == made.experiment_id


def _lines(sql: str) -> list[str]:
    return sorted(line.strip(" \t,") for line in sql.split("\n"))


def schema_of(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as database:
        version = database.execute("SELECT version_num FROM alembic_version").fetchall()
        default = database.execute("SELECT experiment_id, name, lifecycle_stage FROM experiments").fetchall()
        parts = database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    # Migrations write the constraints of a table in no fixed order.
    return [*version, *default, *sorted((kind, name, *_lines(sql)) for kind, name, sql in parts)]


def test_a_new_database_is_the_one_that_mlflow_makes(tmp_path: Path) -> None:
    create_database(tmp_path / "ours.db")
    MlflowClient(uri_of(tmp_path / "theirs.db")).search_experiments(max_results=1)
    assert schema_of(tmp_path / "ours.db") == schema_of(tmp_path / "theirs.db")
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["ours.db", "theirs.db"]


def test_a_database_that_cannot_be_completed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db.new").write_text("of a process that was killed")

    def full_disk(engine: object) -> None:
        raise OperationalError("CREATE TABLE", {}, Exception("database or disk is full"))

    monkeypatch.setattr(db_utils, "_initialize_tables", full_disk)
    with pytest.raises(StoreError, match="database or disk is full"):
        open_store(uri_of(tmp_path / "mlflow.db"), create=True)
    assert [path.name for path in tmp_path.glob("mlflow.db*")] == []


def test_a_database_that_another_program_has_just_made_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "mlflow.db"
    monkeypatch.setattr(os, "fsync", lambda descriptor: database.write_text("of another program"))
    create_database(database)
    assert database.read_text() == "of another program"


def test_a_deleted_experiment_is_one_line_that_says_how_to_restore_it(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(uri, create=True)
    store.client.delete_experiment(store.experiment_id)
    for create in (False, True):
        with pytest.raises(StoreError, match=rf"'mnist-search' was deleted; .*--experiment-id {store.experiment_id}"):
            open_store(uri, create)
    with monkeypatch.context() as patched:
        patched.setenv("MLFLOW_EXPERIMENT_NAME", "another")
        assert open_store(uri, create=True).experiment_id != store.experiment_id
    store.client.restore_experiment(store.experiment_id)
    assert open_store(uri).experiment_id == store.experiment_id


def test_artifacts_are_stored_beside_the_database(uri: str, tmp_path: Path) -> None:
    store = open_store(uri, create=True)
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.artifact_location == (tmp_path / "mlruns" / "artifacts").as_uri()


def test_a_server_that_does_not_respond_is_named_at_once() -> None:
    port, started = free_port(), time.monotonic()
    with pytest.raises(StoreError, match=rf"http://127.0.0.1:{port}: no tracking server answers there"):
        open_store(f"http://127.0.0.1:{port}", create=True)
    # Not a measure of speed: the promise is 15 seconds, where MLflow's own retries take minutes.
    assert time.monotonic() - started < 15


def test_a_store_of_another_mlflow_version_is_refused_with_the_command_to_upgrade(
    empty_database: Path, tmp_path: Path
) -> None:
    # A copy, because MLflow looks at the version of a store once in a process.
    path = shutil.copy(empty_database, tmp_path / "copy.db")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(StoreError, match=r"another version of MLflow.*mlflow db upgrade.*newer one, install that"):
        open_store(uri_of(path))


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("no database\n" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(uri_of(path))


def test_errors_of_this_project_are_not_store_errors(uri: str) -> None:
    store = open_store(uri, create=True)
    with pytest.raises(ZeroDivisionError), store.errors("dividing"):
        _ = 1 / 0
    with pytest.raises(StoreError, match=r"sqlite:///.*: writing: No space left on device"), store.errors("writing"):
        raise OSError("No space left on device")


def store_of_nothing() -> Store:
    return Store("sqlite:///none.db", None, "0")  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["boto3", "botocore", "azure", "google", "urllib3"])
def test_errors_of_libraries_that_reach_artifact_stores_are_one_line(package: str) -> None:
    kind = type("UploadError", (Exception,), {"__module__": f"{package}.exceptions"})
    with pytest.raises(StoreError, match=r"none.db: uploading: no endpoint$"), store_of_nothing().errors("uploading"):
        raise kind("no endpoint\nfor this bucket")


def test_a_missing_library_of_s3_is_one_line_with_the_command_that_installs_it() -> None:
    missing = ModuleNotFoundError("No module named 'boto3'", name="boto3")
    with pytest.raises(MissingLibraryError, match="pip install 'boto3'"), store_of_nothing().errors("uploading"):
        raise missing


def test_a_uri_that_names_the_driver_of_sqlite_is_an_embedded_store(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    with pytest.raises(NotFoundError, match="no store there yet"):
        open_store(f"sqlite+pysqlite:///{path}")
    store = open_store(f"sqlite+pysqlite:///{path}", create=True)
    assert store.is_embedded
    assert store.client.get_experiment(store.experiment_id).artifact_location == (path.parent / "artifacts").as_uri()
    with pytest.raises(StoreError, match="a database's path cannot hold #"):
        tracking_uri("sqlite+pysqlite:///a#b.db")


@pytest.mark.parametrize("lock", [Store.exclusively, Store.naming])
def test_the_locks_of_an_embedded_store_admit_one_process_at_a_time(
    uri: str, lock: Callable[[Store], AbstractContextManager[None]]
) -> None:
    store = open_store(uri, create=True)
    same = replace(store, uri=uri.replace("sqlite:", "sqlite+pysqlite:"))
    within: list[Store] = []

    def enter(store: Store) -> int:
        with lock(store):
            within.append(store)
            time.sleep(0.1)
            together = len(within)
            within.remove(store)
        return together

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(enter, [store, same, store, same])) == [1] * 4


@pytest.mark.server
def test_two_processes_that_create_the_experiment_of_a_new_server_at_once_both_open_it(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "raced-for")
    real, made = MlflowClient.create_experiment, []

    def after_another(self: MlflowClient, name: str, *arguments: Any, **settings: Any) -> str:
        made.append(real(self, name, *arguments, **settings))
        return str(real(self, name, *arguments, **settings))

    monkeypatch.setattr(MlflowClient, "create_experiment", after_another)
    assert [open_store(server, create=True).experiment_id] == made
