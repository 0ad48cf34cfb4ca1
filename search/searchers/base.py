"""The protocol of a searcher, and the values that it returns."""

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
        id: identifies it to the searcher in ``report`` and ``tell``.
        point: one value for each parameter of the space.
    """

    id: int
    point: Point


class NoSuggestion(Enum):
    """The reason for which there is no suggestion."""

    WAIT = "wait"
    """There is none until a running trial has ended."""

    EXHAUSTED = "exhausted"
    """There is none any more."""


class Searcher(Protocol):
    """Chooses the points to try. Called from one thread.

    The history comes first: ``add`` and ``enqueue`` are called before the first ``ask`` only.
    """

    def add(self, point: Point, outcome: Outcome) -> None:
        """Add a trial that finished before this searcher was made."""

    def enqueue(self, point: Point) -> None:
        """Suggest this point soon, since its trial was lost."""

    def ask(self) -> Suggestion | NoSuggestion:
        """The next point to try."""

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Receive the first objective after a 1-based epoch of a running trial; return False to prune the trial.

        False has no effect where the sweep has no pruner, or several objectives. A further attempt at a lost trial
        reports its epochs again, from 1 on, under the same id.
        """

    def tell(self, id: int, outcome: Outcome) -> None:
        """Receive the end of a trial. Called once for each suggestion that was run."""
