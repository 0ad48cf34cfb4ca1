"""The history of the champion, and the versions that rollbacks would return to. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from experiments.tracking import provenance


def utc_now() -> str:
    """The current time as :func:`time_text` writes it."""
    return time_text(datetime.now(UTC))


def time_text(moment: datetime) -> str:
    """A time as text: UTC, ISO 8601 with microseconds, so that texts sort as the times do."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


class ChangeKind(Enum):
    """Kinds of changes of the champion."""

    PROMOTED = "promoted"
    FORCED = "promoted by force"
    REINSTATED = "reinstated"


@dataclass(frozen=True)
class ChampionChange:
    """One change of the champion.

    Args:
        version: the champion from then on.
        kind: of the change.
        by: name of the user.
        at: time, as :func:`time_text` writes it; later than that of every earlier change.
        reason: of the user; may be empty.
    """

    version: int
    kind: ChangeKind
    by: str
    at: str
    reason: str = ""

    @classmethod
    def now(cls, version: int, kind: ChangeKind, reason: str = "") -> ChampionChange:
        """A change by this user at the current time."""
        return cls(version, kind, provenance.user(), utc_now(), reason)

    def after(self, earlier: Iterable[ChampionChange]) -> ChampionChange:
        """This change; a microsecond later than the latest of those before it where its time is no later than theirs.

        A history is ordered by its times, and the clock of one machine may be behind that of another.

        Raises:
            ValueError: the latest time is none.
        """
        latest = max((change.at for change in earlier), default="")
        if self.at > latest:
            return self
        return replace(self, at=time_text(datetime.fromisoformat(latest) + timedelta(microseconds=1)))


def champion_stack(changes: Iterable[ChampionChange]) -> list[int]:
    """The champions as a stack: the last is the current one, and each rollback returns to the one below.

    A promotion pushes a version; a rollback pops all versions above its own.
    """
    stack: list[int] = []
    for change in changes:
        if change.kind is ChangeKind.REINSTATED and change.version in stack:
            del stack[len(stack) - stack[::-1].index(change.version) :]
        elif stack[-1:] != [change.version]:
            stack.append(change.version)
    return stack


def champions_left(changes: Iterable[ChampionChange], known: Collection[int]) -> list[int]:
    """The :func:`champion_stack` without versions that were deleted.

    Args:
        changes: oldest first.
        known: numbers of the versions that exist.
    """
    stack: list[int] = []
    for version in champion_stack(changes):
        if version in known and stack[-1:] != [version]:
            stack.append(version)
    return stack
