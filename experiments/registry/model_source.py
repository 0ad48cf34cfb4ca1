"""The registry's champion for the service: its version, its verified file, its description."""

from __future__ import annotations

import logging
from pathlib import Path

from experiments.registry import versions
from experiments.registry.serving_file import fetch_serving_file
from experiments.tracking.artifacts import fetch_version
from experiments.tracking.queries import find_run
from experiments.tracking.records import REGISTERED_MODEL, Tag, VersionRecord, VersionTag
from experiments.tracking.store import Store, open_store
from mnist_core.errors import ModelError, NotFoundError
from serving.model_manager import ModelArtifact, ModelInfo

_LOGGER = logging.getLogger(__name__)
LOCAL_UI = "http://127.0.0.1:5000"
"""Address of ``mnist-search ui``, for stores without a server."""


class RegistryModelSource:
    """The registered model's champion. A :class:`serving.model_manager.ModelSource`.

    Args:
        uri: of the store, which may not exist yet.
        name: of the registered model.
    """

    def __init__(self, uri: str, name: str = REGISTERED_MODEL) -> None:
        self._uri = uri
        self._name = name
        self._opened: Store | None = None

    def current(self) -> str | None:
        """Number of the champion's version; None where there is no champion, or no store yet.

        The service asks every few seconds, so this is one call of the store.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            store = self._store()
        except NotFoundError:
            return None
        version = versions.champion(store, self._name)
        return str(version.version) if version else None

    def fetch(self, identity: str, folder: Path) -> ModelArtifact:
        """Copy a version's model file into the folder and verify its digest.

        Raises:
            ModelError: the file is missing, or not the one that was logged.
            NotFoundError: the version or its run was deleted meanwhile.
            StoreError: the store cannot be read.
        """
        store = self._store()
        version = versions.read_version(store, self._name, int(identity))
        run = find_run(store, version.run_id)
        path = fetch_version(store, version, folder)
        info = ModelInfo(
            name=version.name,
            version=identity,
            run=run.title,
            sweep=version.tags.get(VersionTag.SWEEP, ""),
            created=version.created.isoformat(timespec="seconds"),
            sha256=version.tags.get(VersionTag.MODEL_SHA256) or run.tags[Tag.MODEL_SHA256],
            test_accuracy=_number(version, VersionTag.TEST_ACCURACY),
            val_accuracy=_number(version, VersionTag.VAL_ACCURACY),
            run_url=f"{ui_of(store)}/#/experiments/{store.experiment_id}/runs/{run.run_id}",
        )
        return ModelArtifact(path, info, _litert_file(store, version, folder))

    def _store(self) -> Store:
        self._opened = self._opened or open_store(self._uri)
        return self._opened


def _litert_file(store: Store, version: VersionRecord, folder: Path) -> Path | None:
    """The version's LiteRT file; None, which is logged, where it is not the one that was made at the promotion."""
    try:
        return fetch_serving_file(store, version, folder)
    except ModelError as error:
        _LOGGER.warning("the champion is served by Keras, not by LiteRT: %s", error)
        return None


def ui_of(store: Store) -> str:
    """Address of MLflow's UI for the store, without credentials: of its server, or of ``mnist-search ui``."""
    return store.shown.rstrip("/") if store.uri.startswith(("http://", "https://")) else LOCAL_UI


def _number(version: VersionRecord, tag: VersionTag) -> float | None:
    try:
        return float(version.tags[tag])
    except (KeyError, ValueError):
        return None
