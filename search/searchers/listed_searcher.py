"""The searcher that does not search: it hands out the points that the sweep lists, in their order."""

from __future__ import annotations

from search.searchers.base import NoSuggestion, Suggestion
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome


class ListedSearcher:
    """Hands out each listed point once. A :class:`search.searchers.base.Searcher`.

    Args:
        spec: a sweep whose engine is ``listed``.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._points = enumerate(spec.points)

    def add(self, point: Point, outcome: Outcome) -> None:
        """Nothing to learn."""

    def enqueue(self, point: Point) -> None:
        """Nothing to do: its turn comes."""

    def ask(self) -> Suggestion | NoSuggestion:
        """The next point of the list."""
        id, point = next(self._points, (0, None))
        return NoSuggestion.EXHAUSTED if point is None else Suggestion(id, point)

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Every trial is worth going on."""
        return True

    def tell(self, id: int, outcome: Outcome) -> None:
        """Nothing to learn."""
