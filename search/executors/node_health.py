"""The nodes of a cluster that get no trials: those that would train otherwise, and those on which workers die."""

from __future__ import annotations

from collections.abc import Mapping

MAX_DEATHS_IN_A_ROW = 3
"""Of different trials."""


class NodeHealth:
    """Counts, for each node, the trials whose workers died since its last result."""

    def __init__(self) -> None:
        self._deaths: dict[str, set[int]] = {}
        self._left_out: set[str] = set()

    @property
    def left_out(self) -> frozenset[str]:
        """Ids of the nodes that get no trials."""
        return frozenset(self._left_out)

    def is_left_out(self, node: str) -> bool:
        """Return whether a node gets no trials."""
        return node in self._left_out

    def leave_out(self, node: str) -> bool:
        """Give a node no trials any more; False where that is so already."""
        is_new = node not in self._left_out
        self._left_out.add(node)
        return is_new

    def record_result(self, node: str) -> None:
        """Record that a trial has ended on a node with a result."""
        self._deaths.pop(node, None)

    def record_death(self, node: str, trial: int) -> bool:
        """Record that a worker died under a trial, given by its number; True where different trials lost theirs so.

        One trial that ends its worker in each attempt says nothing of the node.
        """
        trials = self._deaths.setdefault(node, set())
        trials.add(trial)
        return len(trials) >= MAX_DEATHS_IN_A_ROW


def version_problem(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return the difference between the versions of a node and those of the driver; empty where there is none.

    The patch level of Python is compared too: models and values travel as pickles.
    """
    differences = [
        f"{name} {there.get(name, 'missing')} there, {version} here"
        for name, version in here.items()
        if there.get(name, "missing") != version
    ]
    return "; ".join(differences)
