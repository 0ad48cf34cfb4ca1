"""The history of the champion: how each came to be it, and who would follow whom back. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from experiments.tracking import provenance


def utc_now() -> str:
    """UTC, ISO 8601 with microseconds, so that texts sort as the moments do."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


class ChangeKind(Enum):
    """How the champion changed."""

    PROMOTED = "promoted"
    FORCED = "promoted by force"
    REINSTATED = "reinstated"


@dataclass(frozen=True)
class ChampionChange:
    """One change of the champion.

    Args:
        version: the champion from then on.
        act: how it came.
        by: name of the user.
        at: when, as :func:`utc_now` writes it.
        reason: the user's, where one was given.
    """

    version: int
    act: ChangeKind
    by: str
    at: str
    reason: str = ""

    @classmethod
    def now(cls, version: int, act: ChangeKind, reason: str = "") -> ChampionChange:
        """A change that this user makes at this moment."""
        return cls(version, act, provenance.user(), utc_now(), reason)


def champion_stack(changes: Iterable[ChampionChange]) -> list[int]:
    """Who would follow whom if the champions stepped back one by one: the last is the reigning one.

    A promotion puts a version on top; a rollback takes what is above its version away.
    """
    stack: list[int] = []
    for change in changes:
        if change.act is ChangeKind.REINSTATED and change.version in stack:
            del stack[len(stack) - stack[::-1].index(change.version) :]
        elif stack[-1:] != [change.version]:
            stack.append(change.version)
    return stack


def champions_left(changes: Iterable[ChampionChange], known: Collection[int]) -> list[int]:
    """:func:`champion_stack`, of the versions that there still are."""
    stack: list[int] = []
    for version in champion_stack(changes):
        if version in known and stack[-1:] != [version]:
            stack.append(version)
    return stack
