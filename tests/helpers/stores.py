"""Copies of stores, older forms of stores, and what a store holds of registries and models."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from experiments import SweepResult
from experiments.registry.versions import read_changes, read_versions
from experiments.tracking.queries import find_run
from experiments.tracking.records import REGISTERED_MODEL, RunRecord
from experiments.tracking.store import Store, open_store

# Columns of MLflow's database that hold absolute URIs of artifacts, by table.
URI_COLUMNS = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}


def folder_of(result: SweepResult) -> Path:
    """Folder of the embedded store that holds a sweep."""
    return Path(result.tracking_uri.removeprefix("sqlite:///")).parent


def copy_store(source: Path, target: Path) -> Store:
    """Copy a store, its database and artifacts, and open the copy.

    Args:
        source: folder of an embedded store.
        target: folder of the copy; must not exist yet.
    """
    shutil.copytree(source, target)
    database = sqlite3.connect(target / "mlflow.db")
    with database:
        for table, column in URI_COLUMNS.items():
            change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            database.execute(change, (source.as_uri(), target.as_uri()))
    database.close()
    # MLflow caches the artifact URI of each run id, and both stores have the same run ids.
    _artifact_repos_cache.clear()
    return open_store(f"sqlite:///{target}/mlflow.db")


def as_recorded_before_the_crossentropy(store: Store) -> None:
    """Delete the crossentropies from an embedded store: earlier versions did not record them."""
    database = sqlite3.connect(store.uri.removeprefix("sqlite:///"))
    with database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"DELETE FROM {table} WHERE key LIKE '%val_crossentropy'")
    database.close()


def registry_of(store: Store, name: str = REGISTERED_MODEL) -> list[Any]:
    """Everything that the registry holds of a model, to be compared with a later state."""
    described = [version.description for version in store.client.search_model_versions(f"name = '{name}'")]
    return [read_versions(store, name), read_changes(store, name), described]


def aliases_of(store: Store, name: str = REGISTERED_MODEL) -> dict[str, int]:
    """Version of each alias, read from MLflow directly."""
    aliases = store.client.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in aliases.items()}


def model_file(store: Store, run: RunRecord) -> Path:
    """Path of the model file of a run in an embedded store."""
    assert run.model_id is not None
    location = store.client.get_logged_model(run.model_id).artifact_location
    return Path(location.removeprefix("file://")) / "data" / "model.keras"


def evaluations_of(store: Store, name: str) -> int:
    """Number of times that a run was evaluated."""
    return len(store.client.get_metric_history(find_run(store, name).run_id, "test_accuracy"))
