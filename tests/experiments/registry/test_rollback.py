"""Rollbacks, and the list of the versions and of the history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.registry.champion_history import ChangeKind
from experiments.registry.versions import read_changes
from experiments.tracking.store import Store
from tests.helpers.stores import aliases_of, copy_store, registry_of
from tests.helpers.sweeps import Run

BEST, SECOND, WORST = "mixed/trial-000", "mixed/trial-001", "mixed/trial-002"
NAME = "mnist-classifier"


@pytest.fixture
def three_champions(promoted: Callable[..., Path], tmp_path: Path) -> Store:
    """A store in which three versions were champion in turn."""
    return copy_store(promoted(WORST, SECOND, BEST), tmp_path / "mlruns")


def test_rolling_back_makes_the_previous_champion_champion_again(command: Run, three_champions: Store) -> None:
    code, out, _ = command("rollback", "--reason", "fives look like sixes")
    assert code == 0
    assert out == f"{NAME} version 2 is champion again, instead of version 3\n"
    assert aliases_of(three_champions) == {"champion": 2, "previous": 1}
    change = read_changes(three_champions, NAME)[-1]
    assert (change.version, change.kind, change.reason) == (2, ChangeKind.REINSTATED, "fives look like sixes")
    assert change.by


def test_rollbacks_end_at_the_first_champion(command: Run, three_champions: Store) -> None:
    assert [command("rollback")[0] for _ in range(2)] == [0, 0]
    assert aliases_of(three_champions) == {"champion": 1}
    before = registry_of(three_champions)
    code, _, err = command("rollback")
    assert code == 2
    assert err == f"mnist-search: {NAME}: no previous champion to go back to; version 1 stays\n"
    assert registry_of(three_champions) == before


def test_a_version_that_was_rolled_back_can_be_promoted_again(command: Run, three_champions: Store) -> None:
    command("rollback")
    assert command("promote", BEST, "--yes", "--no-explain", "--floor", "0")[0] == 0
    assert aliases_of(three_champions) == {"champion": 3, "previous": 2}
    assert command("rollback")[0] == 0
    assert aliases_of(three_champions) == {"champion": 2, "previous": 1}


def test_a_rollback_of_an_older_version_that_was_promoted_again_returns_to_the_one_it_replaced(
    command: Run, three_champions: Store
) -> None:
    assert command("promote", SECOND, "--yes", "--no-explain", "--floor", "0", "--margin", "1")[0] == 0
    assert aliases_of(three_champions) == {"champion": 2, "previous": 3}
    assert command("rollback")[0] == 0
    assert aliases_of(three_champions) == {"champion": 3, "previous": 2}


def test_a_deleted_version_is_skipped(command: Run, three_champions: Store) -> None:
    three_champions.client.delete_model_version(NAME, "1")
    assert command("rollback")[0] == 0
    assert aliases_of(three_champions) == {"champion": 2}


def test_without_a_champion_there_is_no_rollback(command: Run, evaluated_store: Store) -> None:
    a_challenger_alone = ["promote", BEST, "--yes", "--no-explain", "--floor", "1"]
    for prepare in ([], a_challenger_alone):
        if prepare:
            assert command(*prepare)[0] == 1
        code, _, err = command("rollback")
        assert code == 2
        assert f"{NAME}: no champion in" in err
        assert "mnist-search promote" in err


def test_the_registry_lists_versions_and_the_history_of_the_champion(command: Run, three_champions: Store) -> None:
    command("rollback", "--reason", "by mistake")
    code, out, _ = command("registry")
    assert code == 0
    table, _, history = out.partition("\nchampions\n")
    header, *rows = [line.split() for line in table.splitlines() if line.strip()]
    assert header[:3] == ["version", "aliases", "run"]
    assert [row[0] for row in rows] == ["3", "2", "1"]
    for row, run, alias in zip(rows, (BEST, SECOND, WORST), (None, "champion", "previous"), strict=True):
        assert run in row
        assert alias is None or row[1] == alias
        assert "passed" in row
    lines = history.splitlines()
    changes = ["version 1 promoted by", "version 2 promoted by", "version 3 promoted by", "version 2 reinstated by"]
    assert [change in line for change, line in zip(changes, lines, strict=True)] == [True] * 4
    assert lines[-1].endswith(": by mistake")
