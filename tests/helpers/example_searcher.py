"""A searcher from outside this project, for ``engine = "tests.helpers.example_searcher:HillClimber"``."""

from __future__ import annotations

import random

from search.domains import Choices, Domain, IntRange, Value
from search.searchers.base import Suggestion
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome


class HillClimber:
    """Keeps most values of the best point so far, and draws the others at random."""

    def __init__(self, spec: SweepSpec, history: int) -> None:
        self.space, self.direction = spec.space, spec.metric.direction
        self.random = random.Random(spec.seed + history)
        self.best: Point = {}
        self.best_value = self.direction.worst
        self.queue: list[Point] = []
        self.suggested: list[Point] = []

    def add(self, point: Point, outcome: Outcome) -> None:
        if outcome.value is not None and self.direction.better(outcome.value, self.best_value):
            self.best, self.best_value = point, outcome.value

    def enqueue(self, point: Point) -> None:
        self.queue.append(point)

    def ask(self) -> Suggestion:
        self.suggested.append(self.queue.pop(0) if self.queue else self.space.draw(self.choose))
        return Suggestion(len(self.suggested) - 1, self.suggested[-1])

    def report(self, id: int, epoch: int, value: float) -> bool:
        return True  # no trial is pruned

    def tell(self, id: int, outcome: Outcome) -> None:
        self.add(self.suggested[id], outcome)

    def choose(self, name: str, domain: Domain) -> Value:
        if name in self.best and self.random.random() < 0.7:
            return self.best[name]
        if isinstance(domain, Choices) or domain.listed():
            return self.random.choice(domain.listed() or ())
        if isinstance(domain, IntRange):
            return self.random.randint(domain.low, domain.high)
        return self.random.uniform(domain.low, domain.high)
