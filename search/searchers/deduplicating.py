"""A wrapper that keeps any searcher from training one point twice."""

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
    """A searcher around another one that answers repeated suggestions itself.

    All trials of a sweep share one seed, so a point that is trained again ends the same. The inner searcher is told
    the known outcome of a repeated suggestion at once, or that of the running trial when it ends, and is asked for
    another point. An engine that replays a fixed sequence is resumed in this way: it suggests the same points again,
    and only the missing ones are run.

    Args:
        inner: chooses the points.
        size: number of points of the space; when all are known or running, ``inner`` is not asked any more.
        draws: repeats in a row, beyond one for each known point, after which no more points are expected.
    """

    def __init__(self, inner: Searcher, size: float = math.inf, draws: int = MIN_DRAWS) -> None:
        self._inner = inner
        self._size = size
        self._draws = draws
        self._known: dict[PointKey, Outcome] = {}
        self._running: dict[int, PointKey] = {}
        self._duplicates: dict[PointKey, list[int]] = defaultdict(list)

    def add(self, point: Point, outcome: Outcome) -> None:
        """Keep the outcome, and pass it on."""
        self._known[key_of(point)] = outcome
        self._inner.add(point, outcome)

    def enqueue(self, point: Point) -> None:
        """Pass it on."""
        self._inner.enqueue(point)

    def ask(self) -> Suggestion | NoSuggestion:
        """Return the next point that is neither known nor running.

        EXHAUSTED where the space has none. After repeats alone, WAIT while a trial runs, else EXHAUSTED.
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
        """Keep the outcome, and pass it on for this suggestion and for its repeats."""
        key = self._running.pop(id)
        self._known[key] = outcome
        self._inner.tell(id, outcome)
        for duplicate in self._duplicates.pop(key, ()):
            self._pass_on(duplicate, outcome)

    def _pass_on(self, id: int, outcome: Outcome) -> None:
        for epoch, value in enumerate(outcome.curve, start=1):
            self._inner.report(id, epoch, value)
        self._inner.tell(id, outcome)
