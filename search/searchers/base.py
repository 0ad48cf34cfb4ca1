"""The protocol of a searcher, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from search.space import Point
from search.trial import Outcome


@dataclass(frozen=True)
class Suggestion:
    """A point to be tried.

    Args:
        id: names it to the searcher in ``report`` and ``tell``.
        point: one value for each parameter of the space.
    """

    id: int
    point: Point


class NoSuggestion(Enum):
    """Why there is no suggestion."""

    WAIT = "wait"
    """None now; ask again when a running trial has been told."""

    EXHAUSTED = "exhausted"
    """None any more."""


class Searcher(Protocol):
    """Decides which points to try. Called from one thread.

    History comes first: ``add`` and ``enqueue`` are called before the first ``ask`` only.
    """

    def add(self, point: Point, outcome: Outcome) -> None:
        """Learn of a trial that finished before this searcher was made."""

    def enqueue(self, point: Point) -> None:
        """See to it that this point is among the coming suggestions."""

    def ask(self) -> Suggestion | NoSuggestion:
        """The next point to try."""

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Take in the objective after a 1-based epoch of a running trial; whether it is worth going on."""

    def tell(self, id: int, outcome: Outcome) -> None:
        """Take in the end of a trial. Called once for each suggestion that was run."""
