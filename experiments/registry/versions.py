"""Versions of a registered model in MLflow, their aliases, and the history of the champion.

A change of the champion is written into the history first. :func:`settle` derives the aliases from the history and may
be repeated: a change that was interrupted between the two is completed by the next ``promote`` or ``rollback``. An
alias is moved, never deleted and set again, so ``champion`` always points to a version.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.registry.champion_history import ChampionChange, ChangeKind, champion_stack, champions_left
from experiments.tracking.artifacts import fetch_version
from experiments.tracking.queries import all_pages
from experiments.tracking.records import REGISTERED_MODEL, Alias, VersionRecord, VersionTag
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError, SpecError, StoreError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.exceptions import MlflowException

# Tags of the registered model, one for each change of its champion; the rest of the key is the time.
HISTORY_PREFIX = "champion."
# Tag of the registered model: key of the last change that the aliases show. Older registries have none.
SHOWN = "aliases_show"
NO_CHANGE = "none"
MOVED_BY_OTHERS = "the alias was found moved"
# Verdicts of the gate that end the alias ``challenger``.
ACCEPTED = ("passed", "forced")


def check_name(name: str) -> str:
    """Return the name if it is valid for a registered model.

    Raises:
        SpecError: it is not.
    """
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)):
        raise SpecError(f"--as: expected letters, digits, '.', '-' and '_', received {name!r}")
    return name


def read_versions(store: Store, name: str) -> list[VersionRecord]:
    """Every version, newest first; empty where there is no such registered model."""
    with store.errors(f"reading the versions of {name}"):
        registered = _registered(store, name)
        if registered is None:
            return []
        found = all_pages(lambda token: store.client.search_model_versions(f"name = '{name}'", page_token=token))
    # Versions that a search finds may lack aliases; the registered model has them all.
    aliases = {alias: int(version) for alias, version in registered.aliases.items()}
    versions = [_version(version, aliases) for version in found]
    return sorted(versions, key=lambda version: -version.version)


def read_version(store: Store, name: str, number: int) -> VersionRecord:
    """One version in its current state.

    Raises:
        NotFoundError: there is no version of that number.
    """
    for version in read_versions(store, name):
        if version.version == number:
            return version
    raise NotFoundError(f"{name}: no version {number} in {store.shown}; see: mnist-search registry --as {name}")


def champion(store: Store, name: str = REGISTERED_MODEL) -> VersionRecord | None:
    """The version with the alias ``champion``; see :func:`read_version_by_alias`."""
    return read_version_by_alias(store, name, Alias.CHAMPION)


def read_version_by_alias(store: Store, name: str, alias: Alias) -> VersionRecord | None:
    """The version with this alias, read in one call of the store, however many versions there are.

    Returns:
        None where there is no such registered model, or none of its versions has the alias.

    Raises:
        StoreError: the store cannot be read.
    """
    from mlflow.exceptions import MlflowException

    with store.errors(f"reading the version {alias} of {name}"):
        try:
            version = store.client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            # MLflow's authentication forbids the alias of a model that is not there, but says that it is not.
            if _is_missing(error) or (error.error_code == "PERMISSION_DENIED" and not _has_model(store, name)):
                return None
            raise
    return _version(version, {other: int(version.version) for other in version.aliases})


def read_changes(store: Store, name: str) -> list[ChampionChange]:
    """The history of the champion, oldest first.

    Raises:
        StoreError: the history cannot be read, or was altered.
    """
    return list(_read_history(store, name).changes.values())


def read_pending(store: Store, name: str) -> ChampionChange | None:
    """The newest change in the history if the aliases do not show it yet; otherwise None.

    Raises:
        StoreError: the history cannot be read, or was altered.
    """
    return _read_history(store, name).pending


def register(
    store: Store, name: str, run_id: str, model_id: str, tags: Mapping[str, str], description: str
) -> VersionRecord:
    """Create a version of this model, or update the one that exists, with these tags and this description."""
    with store.errors(f"registering a version of {name}"):
        if _registered(store, name) is None:
            _create_registered(store, name)
    # A lost reply of the server, or a challenger that is promoted later, must not give a second version.
    known = find_version_of_model(store, name, model_id)
    with store.errors(f"registering a version of {name}"):
        if known:
            number = known.version
            set_version_tags(store, known, tags)
            store.client.update_model_version(name, str(number), description)
        else:
            with store.as_default():
                created = store.client.create_model_version(
                    name, f"models:/{model_id}", run_id, dict(tags), description=description, model_id=model_id
                )
            number = int(created.version)
    return read_version(store, name, number)


def find_version_of_model(store: Store, name: str, model_id: str) -> VersionRecord | None:
    """The newest version of a logged model; None where it was not registered by that name."""
    found = (one for one in read_versions(store, name) if one.tags.get(VersionTag.MODEL_ID) == model_id)
    return next(found, None)


def set_version_tags(store: Store, version: VersionRecord, tags: Mapping[str, str]) -> None:
    """Set tags of a version; its other tags stay."""
    with store.errors(f"recording {version.title}"):
        for key, value in tags.items():
            store.client.set_model_version_tag(version.name, str(version.version), key, value)


def set_champion(store: Store, version: VersionRecord, change: ChampionChange) -> None:
    """Make a version the champion and the champion until then ``previous``.

    Args:
        store: open for writing.
        version: of the change.
        change: a promotion.
    """
    # First, as an incomplete change is recognised only while it is the newest.
    settle(store, version.name)
    _apply_change(store, version.name, change)


def settle(store: Store, name: str) -> ChampionChange | None:
    """Set the aliases by the history; a second call changes nothing. Needs :meth:`Store.exclusively`.

    An alias ``champion`` that was moved by other means, as by hand in MLflow's UI, is valid: it is added to the
    history. One that was deleted stays deleted.

    Returns:
        The change that was pending until this call; None where there was none.

    Raises:
        StoreError: the store cannot be written, or its history was altered.
    """
    history = _read_history(store, name)
    if not history.exists:
        return None
    versions = {version.version: version for version in read_versions(store, name)}
    pending, current = history.pending, history.aliases.get(Alias.CHAMPION)
    left = champions_left(history.changes.values(), versions)
    with store.errors(f"moving the aliases of {name}"):
        if pending is None and current is not None and left[-1:] != [current]:
            kind = ChangeKind.REINSTATED if current in left else ChangeKind.PROMOTED
            change = ChampionChange.now(current, kind, MOVED_BY_OTHERS)
            history = history.with_change(_write_change(store, name, change, history))
            left = champions_left(history.changes.values(), versions)
        if left and (pending or current is not None):
            _move(store, name, Alias.CHAMPION, current, left[-1])
            _move(store, name, Alias.PREVIOUS, history.aliases.get(Alias.PREVIOUS), left[-2] if len(left) > 1 else None)
        challenger = versions.get(history.aliases.get(Alias.CHALLENGER, 0))
        if challenger and challenger.tags.get(VersionTag.GATE) in ACCEPTED:
            _move(store, name, Alias.CHALLENGER, challenger.version, None)
        if history.shown != history.last:
            store.client.set_registered_model_tag(name, SHOWN, history.last)
    return pending


def set_challenger(store: Store, version: VersionRecord) -> None:
    """Give a refused version the alias ``challenger``; the champion stays."""
    with store.errors(f"moving the alias {Alias.CHALLENGER} of {version.name}"):
        _set_alias(store, version.name, Alias.CHALLENGER, version.version)


def rollback_champion(store: Store, name: str, reason: str = "") -> tuple[VersionRecord, VersionRecord]:
    """Make the version ``previous`` the champion, and the champion before it ``previous``, if there is one.

    A call that was interrupted is completed by the next one, which goes no further back.

    Returns:
        The new champion and the replaced one.

    Raises:
        NotFoundError: there is no champion, or none before it.
        ModelError: the model of the previous champion is missing or not the one that was logged; the champion stays.
    """
    with store.exclusively():
        completed = settle(store, name)
        if completed is not None and completed.kind is ChangeKind.REINSTATED:
            replaced = champion_stack(read_changes(store, name)[:-1])[-1]
            return read_version(store, name, completed.version), read_version(store, name, replaced)
        current = champion(store, name)
        previous = read_version_by_alias(store, name, Alias.PREVIOUS)
        if current is None:
            raise NotFoundError(f"{name}: no champion in {store.shown}; promote one first (mnist-search promote SWEEP)")
        if previous is None or previous.version == current.version:
            raise NotFoundError(f"{name}: no previous champion to go back to; version {current.version} stays")
        with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
            fetch_version(store, previous, Path(folder))
        _apply_change(store, name, ChampionChange.now(previous.version, ChangeKind.REINSTATED, reason))
    return previous, current


@dataclass(frozen=True)
class _History:
    """The champions of a registered model, as recorded in its tags and aliases.

    Args:
        exists: False where there is no such registered model.
        changes: by the key of their tag, oldest first.
        aliases: version number of each alias.
        shown: key of the last change that the aliases show; None in an older registry.
    """

    exists: bool
    changes: Mapping[str, ChampionChange]
    aliases: Mapping[str, int]
    shown: str | None

    @property
    def last(self) -> str:
        """Key of the newest change."""
        return list(self.changes)[-1] if self.changes else NO_CHANGE

    @property
    def pending(self) -> ChampionChange | None:
        """The newest change if the aliases do not show it, otherwise None."""
        return self.changes.get(self.last) if self.shown not in (None, self.last) else None

    def with_change(self, change: ChampionChange) -> _History:
        """This history with one more change."""
        return replace(self, changes={**self.changes, _key(change): change})


def _read_history(store: Store, name: str) -> _History:
    with store.errors(f"reading the history of {name}"):
        registered = _registered(store, name)
    if registered is None:
        return _History(False, {}, {}, None)
    tags = registered.tags
    changes = {key: _parse_change(name, key, tags[key]) for key in sorted(tags) if key.startswith(HISTORY_PREFIX)}
    aliases = {alias: int(version) for alias, version in registered.aliases.items()}
    return _History(True, changes, aliases, tags.get(SHOWN))


def _apply_change(store: Store, name: str, change: ChampionChange) -> None:
    history = _read_history(store, name)
    with store.errors(f"recording the change of champion of {name}"):
        _write_change(store, name, change, history)
    settle(store, name)


def _has_model(store: Store, name: str) -> bool:
    """False where the registry says that there is no registered model of a name."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_registered_model(name)
    except MlflowException as error:
        return str(error.error_code) != "RESOURCE_DOES_NOT_EXIST"
    return True


def _is_missing(error: MlflowException) -> bool:
    """MLflow found no such registered model, or no version of it with the alias."""
    no_model = error.error_code == "RESOURCE_DOES_NOT_EXIST"
    no_alias = error.error_code == "INVALID_PARAMETER_VALUE" and "alias" in str(error) and "not found" in str(error)
    return no_model or no_alias


def _set_alias(store: Store, name: str, alias: Alias, version: int) -> None:
    store.client.set_registered_model_alias(name, alias, str(version))


def _move(store: Store, name: str, alias: Alias, current: int | None, wanted: int | None) -> None:
    if wanted is None:
        if current is not None:
            store.client.delete_registered_model_alias(name, alias)
    elif current != wanted:
        _set_alias(store, name, alias, wanted)


def _key(change: ChampionChange) -> str:
    return f"{HISTORY_PREFIX}{change.at.replace(':', '.')}"


def _write_change(store: Store, name: str, change: ChampionChange, history: _History) -> ChampionChange:
    change = change.after(history.changes.values())
    fields = asdict(change)
    fields["act"] = fields.pop("kind").value
    store.client.set_registered_model_tag(name, _key(change), json.dumps(fields))
    return change


def _parse_change(name: str, key: str, text: str) -> ChampionChange:
    try:
        fields = {**json.loads(text)}
        datetime.fromisoformat(fields["at"])
        return ChampionChange(kind=ChangeKind(fields.pop("act")), **fields)
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
    except MlflowException as error:  # another process created it meanwhile
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
