"""The stack of champions that follows from their history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.registry.champion_history import ChampionChange, ChangeKind, champion_stack

PROMOTED, FORCED, REINSTATED = ChangeKind.PROMOTED, ChangeKind.FORCED, ChangeKind.REINSTATED


def history(*changes: tuple[ChangeKind, int]) -> list[ChampionChange]:
    return [
        ChampionChange(version, kind, "somebody", f"{number:06d}") for number, (kind, version) in enumerate(changes)
    ]


@pytest.mark.parametrize(
    ("changes", "stack"),
    [
        ([], []),
        ([(PROMOTED, 1)], [1]),
        ([(PROMOTED, 1), (PROMOTED, 2)], [1, 2]),
        ([(PROMOTED, 1), (FORCED, 2), (PROMOTED, 3)], [1, 2, 3]),
        ([(PROMOTED, 1), (PROMOTED, 2), (REINSTATED, 1)], [1]),
        ([(PROMOTED, 1), (PROMOTED, 2), (PROMOTED, 3), (REINSTATED, 2)], [1, 2]),
        ([(PROMOTED, 1), (PROMOTED, 2), (PROMOTED, 3), (REINSTATED, 2), (REINSTATED, 1)], [1]),
        ([(PROMOTED, 1), (PROMOTED, 2), (REINSTATED, 1), (PROMOTED, 2)], [1, 2]),
        ([(PROMOTED, 1), (PROMOTED, 2), (PROMOTED, 1)], [1, 2, 1]),
        ([(PROMOTED, 1), (PROMOTED, 2), (PROMOTED, 1), (REINSTATED, 2)], [1, 2]),
        ([(PROMOTED, 1), (PROMOTED, 2), (PROMOTED, 1), (REINSTATED, 2), (REINSTATED, 1)], [1]),
    ],
)
def test_a_promotion_pushes_a_version_and_a_rollback_pops_those_above_its_own(
    changes: list[tuple[ChangeKind, int]], stack: list[int]
) -> None:
    assert champion_stack(history(*changes)) == stack


def test_a_champion_that_is_promoted_again_is_on_the_stack_once() -> None:
    assert champion_stack(history((PROMOTED, 1), (PROMOTED, 1), (FORCED, 2), (FORCED, 2))) == [1, 2]


def test_a_rollback_to_a_version_without_a_promotion_pushes_it() -> None:
    assert champion_stack(history((PROMOTED, 2), (REINSTATED, 1))) == [2, 1]


promotion_lists = st.lists(st.tuples(st.sampled_from([PROMOTED, FORCED]), st.integers(1, 4)), min_size=1, max_size=12)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(promotion_lists, st.integers(0, 20))
def test_no_number_of_rollbacks_removes_the_first_champion(
    promotions: list[tuple[ChangeKind, int]], steps: int
) -> None:
    changes = history(*promotions)
    for _ in range(steps):
        stack = champion_stack(changes)
        if len(stack) < 2:
            break
        changes += history((REINSTATED, stack[-2]))
        assert champion_stack(changes) == stack[:-1]
    assert champion_stack(changes)[0] == promotions[0][1]


def test_changes_have_times_in_microseconds_that_sort_as_text() -> None:
    before = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    changes = [ChampionChange.now(1, PROMOTED), ChampionChange.now(2, FORCED, "a reason")]
    assert [before, *(change.at for change in changes)] == sorted([before, *(change.at for change in changes)])
    assert all(len(change.at) == len("2026-01-02T03:04:05.123456Z") for change in changes)
    assert [change.reason for change in changes] == ["", "a reason"]
    assert all(change.by for change in changes)


def test_a_change_comes_after_all_others_also_where_its_clock_is_behind() -> None:
    earlier = [ChampionChange(number, PROMOTED, "somebody", f"2026-01-0{number}T00:00:00.000000Z") for number in (2, 1)]
    behind = ChampionChange(3, FORCED, "another", "2026-01-01T12:00:00.000000Z", "a reason")
    assert behind.after(earlier) == replace(behind, at="2026-01-02T00:00:00.000001Z")
    assert behind.after(earlier[1:]) is behind
    assert behind.after([]) is behind
