"""The state that a resumed sweep starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.executors.base import Finished
from search.trial import Trial


@dataclass(frozen=True)
class ResumeState:
    """The trials of earlier calls.

    Args:
        finished: trials with their results.
        unfinished: trials that were lost; each is tried again under its number, as its next attempt.
    """

    finished: Sequence[Finished] = ()
    unfinished: Sequence[Trial] = ()


NOTHING_DONE = ResumeState()
"""The state of a new sweep."""
