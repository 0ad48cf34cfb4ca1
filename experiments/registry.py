"""The MLflow model registry: versions, the aliases on them, and the history of the champion.

An alias is moved, never removed and set again, so there is no moment at which ``champion`` points to nothing.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.history import all_pages, find_run
from experiments.model_files import fetch_model
from experiments.records import REGISTERED_MODEL, Alias, VersionRecord, VersionTag
from experiments.reigns import Act, Change, reigns
from experiments.store import Store
from mnist_core.errors import NotFoundError, SpecError, StoreError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

# Tags of the registered model, one for each time that its champion changed; the rest of the key is the moment.
HISTORY_PREFIX = "champion."


def check_name(name: str) -> str:
    """The name itself, if a registered model may have it.

    Raises:
        SpecError: it may not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SpecError(f"--as: expected letters, digits, '.', '-' and '_', received {name!r}")
    return name


def read_versions(store: Store, name: str) -> list[VersionRecord]:
    """Every version, newest first; none where there is no such registered model."""
    with store.errors(f"reading the versions of {name}"):
        registered = _registered(store, name)
        if registered is None:
            return []
        found = all_pages(lambda token: store.client.search_model_versions(f"name = '{name}'", page_token=token))
    # A search may leave aliases out; the registered model has them all.
    aliases = {alias: int(version) for alias, version in registered.aliases.items()}
    versions = [_version(version, aliases) for version in found]
    return sorted(versions, key=lambda version: -version.version)


def read_version(store: Store, name: str, number: int) -> VersionRecord:
    """One version as it is now.

    Raises:
        NotFoundError: there is none of that number.
    """
    for version in read_versions(store, name):
        if version.version == number:
            return version
    raise NotFoundError(f"{name}: no version {number} in {store.shown}; see: mnist-search registry --as {name}")


def champion(store: Store, name: str = REGISTERED_MODEL) -> VersionRecord | None:
    """The reigning champion, if there is one."""
    return _called(read_versions(store, name), Alias.CHAMPION)


def read_changes(store: Store, name: str) -> list[Change]:
    """The history of the champion, oldest first.

    Raises:
        StoreError: it cannot be read, or was altered.
    """
    with store.errors(f"reading the history of {name}"):
        registered = _registered(store, name)
    tags = registered.tags if registered else {}
    return [_change(name, key, tags[key]) for key in sorted(tags) if key.startswith(HISTORY_PREFIX)]


def register(
    store: Store, name: str, run_id: str, model_id: str, tags: Mapping[str, str], description: str
) -> VersionRecord:
    """A version of this model with these tags: the one there is, or a new one."""
    with store.errors(f"registering a version of {name}"):
        if _registered(store, name) is None:
            _create_registered(store, name)
    # By run: an answer that was lost, or a challenger that comes again, is no second version.
    known = [version for version in read_versions(store, name) if version.tags.get(VersionTag.MODEL_ID) == model_id]
    with store.errors(f"registering a version of {name}"):
        if known:
            number = known[0].version
            for key, value in tags.items():
                store.client.set_model_version_tag(name, str(number), key, value)
            store.client.update_model_version(name, str(number), description)
        else:
            with store.as_default():
                created = store.client.create_model_version(
                    name, f"models:/{model_id}", run_id, dict(tags), description=description, model_id=model_id
                )
            number = int(created.version)
    return read_version(store, name, number)


def crown(store: Store, version: VersionRecord, reigning: VersionRecord | None, change: Change) -> None:
    """Make a version the champion and the one that reigned ``previous``; note it in the history."""
    with store.errors(f"moving the alias {Alias.CHAMPION} of {version.name}"):
        if reigning is not None and reigning.version != version.version:
            _point(store, version.name, Alias.PREVIOUS, reigning.version)
        _point(store, version.name, Alias.CHAMPION, version.version)
        if Alias.CHALLENGER in version.aliases:
            store.client.delete_registered_model_alias(version.name, Alias.CHALLENGER)
        _note(store, version.name, change)


def challenge(store: Store, version: VersionRecord) -> None:
    """Call a refused version ``challenger``; the champion stays."""
    with store.errors(f"moving the alias {Alias.CHALLENGER} of {version.name}"):
        _point(store, version.name, Alias.CHALLENGER, version.version)


def roll_back(store: Store, name: str, reason: str = "") -> tuple[VersionRecord, VersionRecord]:
    """Give ``champion`` back to ``previous``, and ``previous`` to the one before that if there was one.

    Returns:
        The new champion and the one that stepped down.

    Raises:
        NotFoundError: no champion, or none before it.
        ModelError: the model of the one before is missing or not the one that was logged; the champion stays.
    """
    with store.exclusively():
        versions = read_versions(store, name)
        now = _called(versions, Alias.CHAMPION)
        then = _called(versions, Alias.PREVIOUS)
        if now is None:
            raise NotFoundError(f"{name}: no champion in {store.shown}; promote one first (mnist-search promote SWEEP)")
        if then is None or then.version == now.version:
            raise NotFoundError(f"{name}: no previous champion to go back to; version {now.version} stays")
        _check_model(store, then)
        change = Change.now(then.version, Act.REINSTATED, reason)
        known = {version.version for version in versions}
        before = [one for one in reigns([*read_changes(store, name), change])[:-1] if one in known]
        with store.errors(f"moving the alias {Alias.CHAMPION} of {name}"):
            _point(store, name, Alias.CHAMPION, then.version)
            if before:
                _point(store, name, Alias.PREVIOUS, before[-1])
            else:
                store.client.delete_registered_model_alias(name, Alias.PREVIOUS)
            _note(store, name, change)
    return then, now


def _check_model(store: Store, version: VersionRecord) -> None:
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        fetch_model(store, find_run(store, version.run_id), Path(folder))


def _called(versions: Sequence[VersionRecord], alias: Alias) -> VersionRecord | None:
    return next((version for version in versions if alias in version.aliases), None)


def _point(store: Store, name: str, alias: Alias, version: int) -> None:
    store.client.set_registered_model_alias(name, alias, str(version))


def _note(store: Store, name: str, change: Change) -> None:
    text = json.dumps({**asdict(change), "act": change.act.value})
    store.client.set_registered_model_tag(name, f"{HISTORY_PREFIX}{change.at.replace(':', '.')}", text)


def _change(name: str, key: str, text: str) -> Change:
    try:
        fields = json.loads(text)
        return Change(**{**fields, "act": Act(fields["act"])})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{name}: tag {key!r}: expected a change of champion, received {text}") from error


def _registered(store: Store, name: str) -> RegisteredModel | None:
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _create_registered(store: Store, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:  # another process was quicker
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(version: ModelVersion, aliases: Mapping[str, int]) -> VersionRecord:
    number = int(version.version)
    return VersionRecord(
        name=version.name,
        version=number,
        run_id=version.run_id or "",
        aliases=tuple(sorted(alias for alias, named in aliases.items() if named == number)),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        tags=version.tags,
    )
