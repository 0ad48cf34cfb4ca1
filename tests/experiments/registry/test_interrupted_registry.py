"""Promotions and rollbacks that end at any of their calls to MLflow: the next command completes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.candidates import Candidate
from experiments.evaluation import TestSet
from experiments.registry import champion_history
from experiments.registry.champion_history import ChangeKind, champions_left
from experiments.registry.promotion import PromotionPolicy, promote_run
from experiments.registry.versions import champion, read_changes, read_pending, read_versions, rollback_champion, settle
from experiments.tracking.queries import find_run
from experiments.tracking.records import Alias, VersionTag
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError
from tests.helpers.stores import aliases_of, copy_store
from tests.helpers.sweeps import Run

FIRST, SECOND, THIRD = "mixed/trial-002", "mixed/trial-001", "mixed/trial-000"
NAME = "mnist-classifier"
POLICY = PromotionPolicy(floor=0)


class ProcessEnd(KeyboardInterrupt):
    """The end of a process."""


WRITES = ("set_", "delete_", "create_", "update_", "log_")


class Failing:
    """A client whose process ends before the nth call whose name begins with one of the prefixes."""

    def __init__(self, client: Any, calls: int, prefixes: tuple[str, ...] = ("",)) -> None:
        self._client, self._left, self._prefixes = client, calls, prefixes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*given: Any, **named: Any) -> Any:
            self._left -= name.startswith(self._prefixes)
            if self._left <= 0:
                raise ProcessEnd
            return method(*given, **named)

        return call


def interrupt_at_each_call(store: Store, do: Callable[[Store], object], undo: Callable[[], None]) -> Iterator[None]:
    """Run ``do`` repeatedly, ended before its first call that writes, its second, and so on, until it completes.

    Reading changes nothing: an end at a call that reads is the same as before the next write.
    """
    for calls in range(1, 100):
        completed = False
        with suppress(ProcessEnd):
            do(replace(store, client=Failing(store.client, calls, WRITES)))  # type: ignore[arg-type]
            completed = True
        yield
        undo()
        if completed:
            return
    pytest.fail("it never completed")


def check_consistent(store: Store) -> None:
    """Assert that aliases and history agree, and no change is pending."""
    left = champions_left(read_changes(store, NAME), {one.version for one in read_versions(store, NAME)})
    aliases = aliases_of(store)
    assert aliases["champion"] == left[-1]
    assert aliases.get("previous") == (left[-2] if len(left) > 1 else None)
    assert "challenger" not in aliases
    assert read_pending(store, NAME) is None


def registry_state(store: Store) -> Callable[[], None]:
    """A function that restores the current aliases and history."""
    registered = store.client.get_registered_model(NAME)
    versions = {one.version for one in read_versions(store, NAME)}

    def restore() -> None:
        now = store.client.get_registered_model(NAME)
        for key in now.tags.keys() - registered.tags.keys():
            store.client.delete_registered_model_tag(NAME, key)
        for key, value in registered.tags.items():
            store.client.set_registered_model_tag(NAME, key, value)
        for one in {one.version for one in read_versions(store, NAME)} - versions:
            store.client.delete_model_version(NAME, str(one))
        for alias in now.aliases.keys() - registered.aliases.keys():
            store.client.delete_registered_model_alias(NAME, alias)
        for alias, version in registered.aliases.items():
            store.client.set_registered_model_alias(NAME, alias, version)

    return restore


@pytest.fixture
def with_champions(promoted: Callable[..., Path], tmp_path: Path) -> Callable[..., Store]:
    """Makes a copy of the store of ``evaluated_sweep`` in which the named runs were champion in turn."""
    return lambda *runs: copy_store(promoted(*runs), tmp_path / "mlruns")


def promote(command: Run, *runs: str) -> None:
    for run in runs:
        assert command("promote", run, "--yes", "--no-explain", "--floor", "0")[0] == 0


def test_a_rollback_interrupted_anywhere_is_completed_by_the_next_one(with_champions: Callable[..., Store]) -> None:
    store = with_champions(FIRST, SECOND, THIRD)
    restore = registry_state(store)
    count = 0
    for _ in interrupt_at_each_call(store, lambda one: rollback_champion(one, NAME, "why"), restore):
        count += 1
        with suppress(NotFoundError):
            rollback_champion(store, NAME)
        check_consistent(store)
        assert aliases_of(store)["champion"] in (1, 2)
    assert count == 5  # four calls that write, and the completed one


def test_a_recorded_interrupted_rollback_goes_back_one_version_only(with_champions: Callable[..., Store]) -> None:
    store = with_champions(FIRST, SECOND, THIRD)
    restore = registry_state(store)
    for _ in interrupt_at_each_call(store, lambda one: rollback_champion(one, NAME, "why"), restore):
        if read_pending(store, NAME) is None:
            continue
        current, replaced = rollback_champion(store, NAME)
        assert (current.version, replaced.version) == (2, 3)
        assert aliases_of(store) == {"champion": 2, "previous": 1}
        assert [change.reason for change in read_changes(store, NAME)][3:] == ["why"]


def test_a_promotion_interrupted_anywhere_is_completed_by_the_next_one(
    with_champions: Callable[..., Store], whole_test: TestSet
) -> None:
    store = with_champions(FIRST, SECOND)
    candidate = Candidate(find_run(store, THIRD), "to be interrupted")
    restore = registry_state(store)
    for _ in interrupt_at_each_call(store, lambda one: promote_run(one, candidate, whole_test, POLICY), restore):
        promote_run(store, candidate, whole_test, POLICY)
        check_consistent(store)
        aliases = aliases_of(store)
        assert (champion_run(store), aliases["previous"]) == (candidate.run.run_id, 2)


def champion_run(store: Store) -> str:
    found = champion(store, NAME)
    assert found is not None
    return found.run_id


def test_the_registry_command_shows_an_interrupted_change_and_keeps_it(
    command: Run, with_champions: Callable[..., Store]
) -> None:
    store = with_champions(FIRST, SECOND)
    tags = store.client.get_registered_model(NAME).tags
    newest = max(key for key in tags if key.startswith("champion."))
    store.client.set_registered_model_tag(
        NAME, "champion.9999", json.dumps({**json.loads(tags[newest]), "version": 1, "act": "reinstated"})
    )
    _, out, _ = command("registry")
    assert out.splitlines()[-1] == "interrupted: version 1 reinstated; the next promote or rollback completes it"
    assert aliases_of(store) == {"champion": 2, "previous": 1}


def test_a_champion_that_was_rolled_back_loses_the_alias_challenger(
    command: Run, with_champions: Callable[..., Store]
) -> None:
    store = with_champions(FIRST)
    assert command("promote", SECOND, "--yes", "--no-explain", "--floor", "1")[0] == 1
    promote(command, SECOND)
    # The state that older releases left after an interruption.
    store.client.set_registered_model_alias(NAME, "challenger", "2")
    assert command("rollback")[0] == 0
    assert aliases_of(store) == {"champion": 1}


def test_a_refused_version_stays_challenger_after_a_rollback(
    command: Run, with_champions: Callable[..., Store]
) -> None:
    store = with_champions(FIRST, SECOND)
    assert command("promote", THIRD, "--yes", "--no-explain", "--floor", "1")[0] == 1
    assert command("rollback")[0] == 0
    assert aliases_of(store) == {"champion": 1, "challenger": 3}


def make_older(store: Store) -> None:
    """Delete the tag that older registries do not have."""
    store.client.delete_registered_model_tag(NAME, "aliases_show")


def test_an_older_registry_can_be_used_further(command: Run, with_champions: Callable[..., Store]) -> None:
    store = with_champions(FIRST, SECOND, THIRD)
    make_older(store)
    assert command("rollback")[0] == 0
    assert aliases_of(store) == {"champion": 2, "previous": 1}
    check_consistent(store)


def test_an_alias_that_was_moved_by_an_older_release_is_added_to_the_history(
    command: Run, with_champions: Callable[..., Store]
) -> None:
    store = with_champions(FIRST, SECOND)
    make_older(store)
    store.client.set_registered_model_alias(NAME, "champion", "1")
    code, _, err = command("rollback")
    assert (code, err) == (2, f"mnist-search: {NAME}: no previous champion to go back to; version 1 stays\n")
    check_consistent(store)
    last = read_changes(store, NAME)[-1]
    assert (last.version, last.kind, last.reason) == (1, ChangeKind.REINSTATED, "the alias was found moved")
    promote(command, SECOND)
    assert aliases_of(store) == {"champion": 2, "previous": 1}


def test_a_machine_whose_clock_is_behind_promotes_and_rolls_back_too(
    command: Run, with_champions: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = with_champions(FIRST)
    monkeypatch.setattr(champion_history, "utc_now", lambda: "2001-01-01T00:00:00.000000Z")
    promote(command, SECOND, THIRD)
    assert aliases_of(store) == {"champion": 3, "previous": 2}
    assert command("rollback")[0] == 0
    assert aliases_of(store) == {"champion": 2, "previous": 1}
    store.client.set_registered_model_alias(NAME, "champion", "3")
    settle(store, NAME)
    check_consistent(store)
    assert [change.version for change in read_changes(store, NAME)] == [1, 2, 3, 2, 3]


def test_an_alias_that_was_deleted_by_hand_stays_deleted(with_champions: Callable[..., Store]) -> None:
    store = with_champions(FIRST, SECOND)
    store.client.delete_registered_model_alias(NAME, "champion")
    assert settle(store, NAME) is None
    assert champion(store, NAME) is None


def test_the_champion_is_found_in_one_call_with_all_its_aliases(with_champions: Callable[..., Store]) -> None:
    store = with_champions(FIRST)
    store.client.set_registered_model_alias(NAME, "reference", "1")
    client = Failing(store.client, 2)
    found = champion(replace(store, client=client), NAME)  # type: ignore[arg-type]
    assert found is not None
    assert (found.version, found.aliases) == (1, (Alias.CHAMPION, "reference"))
    assert found == read_versions(store, NAME)[0]
    assert found.tags[VersionTag.RUN] == FIRST
    assert champion(store, "nobody") is None
