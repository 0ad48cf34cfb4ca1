"""The memory that keeps any searcher from training one point twice."""

from __future__ import annotations

import math
from collections import defaultdict

from search.searchers.base import NoSuggestion, Searcher, Suggestion
from search.space import Point, PointKey, key_of
from search.trial import Outcome

MIN_DRAWS = 100


def draws_to_meet_any(size: float) -> int:
    """Return how many draws at random miss a given point of a finite space with probability exp(-25) at most.

    The probability is (1 - 1/size) ** draws < exp(-draws / size), for points that are equally likely.

    Args:
        size: number of points; of an infinite space, whose points do not come up again, ``MIN_DRAWS`` is returned.
    """
    return MIN_DRAWS if math.isinf(size) else max(MIN_DRAWS, 25 * int(size))


class DeduplicatingSearcher:
    """A searcher around another that answers from memory when a point comes up again.

    All trials of a sweep share one seed, so a point that was trained once would end the same again. A
    repeated suggestion is told the known outcome at once, or that of the trial that is running, and the
    inner searcher is asked for another. This is also how an engine that replays a fixed sequence is resumed:
    it suggests what it suggested before, and only what is missing is run.

    Args:
        inner: chooses the points.
        size: how many points its space has; once all are known or running, it is not asked any more.
        draws: repeats in a row, beyond one for each known point, after which it has no more points to suggest.
    """

    def __init__(self, inner: Searcher, size: float = math.inf, draws: int = MIN_DRAWS) -> None:
        self._inner = inner
        self._size = size
        self._draws = draws
        self._known: dict[PointKey, Outcome] = {}
        self._running: dict[int, PointKey] = {}
        self._duplicates: dict[PointKey, list[int]] = defaultdict(list)

    def add(self, point: Point, outcome: Outcome) -> None:
        """Remember the outcome, and pass it on."""
        self._known[key_of(point)] = outcome
        self._inner.add(point, outcome)

    def enqueue(self, point: Point) -> None:
        """Pass it on."""
        self._inner.enqueue(point)

    def ask(self) -> Suggestion | NoSuggestion:
        """Return the next point that is neither known nor running.

        EXHAUSTED where the space has none; where only repeats came, WAIT while a trial runs, EXHAUSTED after that.
        """
        if len(self._known) + len(self._running) >= self._size:
            return NoSuggestion.EXHAUSTED
        for _ in range(len(self._known) + self._draws):
            suggestion = self._inner.ask()
            if isinstance(suggestion, NoSuggestion):
                return suggestion
            key = key_of(suggestion.point)
            if key in self._known:
                self._pass_on(suggestion.id, self._known[key])
            elif key in self._running.values():
                self._duplicates[key].append(suggestion.id)
            else:
                self._running[suggestion.id] = key
                return suggestion
        return NoSuggestion.WAIT if self._running else NoSuggestion.EXHAUSTED

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Pass it on."""
        return self._inner.report(id, epoch, value)

    def tell(self, id: int, outcome: Outcome) -> None:
        """Remember the outcome, and pass it on, also for those who asked for the same point meanwhile."""
        key = self._running.pop(id)
        self._known[key] = outcome
        self._inner.tell(id, outcome)
        for duplicate in self._duplicates.pop(key, ()):
            self._pass_on(duplicate, outcome)

    def _pass_on(self, id: int, outcome: Outcome) -> None:
        for epoch, value in enumerate(outcome.curve, start=1):
            self._inner.report(id, epoch, value)
        self._inner.tell(id, outcome)
