"""A searcher that suggests the points that the sweep lists, in their order."""

from __future__ import annotations

from search.searchers.base import NoSuggestion, Suggestion
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome


class ListedSearcher:
    """Suggests each listed point once. A :class:`search.searchers.base.Searcher`.

    Args:
        spec: a sweep whose engine is ``listed``.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._points = enumerate(spec.points)

    def add(self, point: Point, outcome: Outcome) -> None:
        """Do nothing: the outcome changes no suggestion."""

    def enqueue(self, point: Point) -> None:
        """Do nothing: the point is on the list."""

    def ask(self) -> Suggestion | NoSuggestion:
        """Return the next point of the list."""
        id, point = next(self._points, (0, None))
        return NoSuggestion.EXHAUSTED if point is None else Suggestion(id, point)

    def report(self, id: int, epoch: int, value: float) -> bool:
        """Return True: no trial is pruned."""
        return True

    def tell(self, id: int, outcome: Outcome) -> None:
        """Do nothing: the outcome changes no suggestion."""
