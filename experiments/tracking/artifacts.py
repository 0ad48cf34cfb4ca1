"""Trained models as MLflow model folders: saved by workers, fetched and verified before they are loaded."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.tracking.model_folder import MODEL_FILE, write_model_folder
from experiments.tracking.queries import find_run
from experiments.tracking.records import RunRecord, Tag, VersionRecord, VersionTag
from experiments.tracking.store import Store
from mnist_core.errors import ModelError, StoreError
from search.trial import SavedModel

if TYPE_CHECKING:
    import keras


def save_model(model: keras.Model, folder: Path) -> SavedModel:
    """Save a Keras model as an MLflow model, with its signature and requirements stated, not inferred.

    The folder appears whole or not at all, and MLflow can load it where this project is not installed.

    Args:
        model: from pixels ``(n, height, width)`` to class probabilities ``(n, classes)``. A loss of
            this project is replaced by that of Keras.
        folder: must not exist yet.

    Raises:
        OSError: it could not be written, as on a full disk.
    """
    from mnist_core.models.saved_model import portable

    partial = folder.with_name(folder.name + ".partial")
    try:
        with portable(model):
            write_model_folder(model, partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return SavedModel(
        folder=folder,
        file=MODEL_FILE,
        sha256=sha256_of(folder / MODEL_FILE),
        size=(folder / MODEL_FILE).stat().st_size,
        weights=model.count_params(),
    )


def fetch_model(store: Store, run: RunRecord, folder: Path) -> Path:
    """Copy a run's model file out of the store, and verify its SHA-256.

    Args:
        store: that has the run.
        run: any; it needs a READY model.
        folder: for the copy.

    Returns:
        Path of the ``.keras`` file, a private copy that later changes in the store do not affect.

    Raises:
        ModelError: the run has no READY model, or its file is missing or not the one that was logged.
    """
    recorded = run.tags.get(Tag.MODEL_SHA256, "none")
    if run.model_id is None:
        deleted = f"; {run.tags[Tag.MODEL_ID]}, SHA-256 {recorded}, was deleted" if Tag.MODEL_ID in run.tags else ""
        raise ModelError(
            f"run {run.title} ({run.run_id}): expected a model that is READY, found none{deleted}; "
            f"the run is {run.state.value}"
        )
    return _fetch(store, run.model_id, recorded, f"run {run.title}", folder)


def fetch_version(store: Store, version: VersionRecord, folder: Path) -> Path:
    """Copy a version's model file out of the store, and verify its SHA-256.

    The model is the one that the version names, even if its run names another by now. A version that names none, since
    it was not registered by this project, has the model of its run.

    Raises:
        ModelError: the model or its file is missing, or not the one that was registered.
        NotFoundError: the version names no model, and its run is gone.
    """
    model_id, recorded = version.tags.get(VersionTag.MODEL_ID), version.tags.get(VersionTag.MODEL_SHA256)
    if not (model_id and recorded):
        return fetch_model(store, find_run(store, version.run_id), folder)
    return _fetch(store, model_id, recorded, version.title, folder)


def _fetch(store: Store, model_id: str, recorded: str, owner: str, folder: Path) -> Path:
    from mlflow.exceptions import MlflowException

    with store.errors(f"reading the model of {owner}"):
        try:
            place = store.client.get_logged_model(model_id).artifact_location
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise ModelError(
                f"model {model_id} of {owner}: expected a model that is READY, found none; it was deleted"
            ) from error
    try:
        path = fetch_file(store, f"{place}/{MODEL_FILE}", folder)
    except StoreError as error:
        raise ModelError(
            f"model {model_id} of {owner}: its file {MODEL_FILE} is missing or unreadable (logged with "
            f"SHA-256 {recorded}): {error}"
        ) from error
    if (found := sha256_of(path)) != recorded:
        raise ModelError(
            f"model {model_id} of {owner}: altered after it was logged: expected SHA-256 {recorded}, "
            f"received {found}. It will not be loaded"
        )
    return path


def fetch_file(store: Store, uri: str, folder: Path) -> Path:
    """Copy one artifact out of the store.

    Raises:
        StoreError: it is not there, or cannot be read.
    """
    from mlflow.artifacts import download_artifacts

    with store.errors(f"reading {uri.rpartition('/')[2]}"):
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=store.uri))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
