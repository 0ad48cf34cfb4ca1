"""The state that a resumed sweep starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.budget import NOTHING_SPENT, Spent
from search.executors.base import Finished
from search.trial import Trial


@dataclass(frozen=True)
class ResumeState:
    """The trials of earlier calls.

    Args:
        finished: trials with their results.
        unfinished: trials that were lost; each is tried again under its number, as its next attempt.
        spent: the use that those calls made of the sweep's budgets.
    """

    finished: Sequence[Finished] = ()
    unfinished: Sequence[Trial] = ()
    spent: Spent = NOTHING_SPENT


NOTHING_DONE = ResumeState()
"""The state of a new sweep."""
