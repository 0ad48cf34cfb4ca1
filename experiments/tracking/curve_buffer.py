"""Points of curves that wait to be written, and the times at which they are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Metric

FLUSH_SECONDS = 1.0
# Of the writer's time: with so many running trials that a round of writes takes longer, rounds become rarer, and short
# trials are written once, when they end.
MAX_SHARE = 0.2
# The most that MLflow takes in one request.
MAX_POINTS = 1000
# Between two batches the writer does what else there is to write.
MAX_RUNS = 8


class CurveBuffer:
    """Points of the curves of running trials, by run.

    They are written in rounds, each of which writes all runs that have points: about once a second, or so rarely that
    rounds take at most ``MAX_SHARE`` of the time. A run with ``MAX_POINTS`` points waits for no round.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._points: dict[str, list[Metric]] = {}
        self._round: deque[str] = deque()
        self._spent = 0.0
        self._next_round = clock() + FLUSH_SECONDS

    def add(self, run_id: str, points: Sequence[Metric]) -> None:
        """Add points of a run."""
        waiting = self._points.setdefault(run_id, [])
        waiting += points
        if len(waiting) >= MAX_POINTS and run_id not in self._round:
            self._round.appendleft(run_id)

    def take(self, run_id: str) -> list[Metric]:
        """Remove the points of a run, to be written with its end."""
        if run_id in self._round:
            self._round.remove(run_id)
            self._end_round()
        return self._points.pop(run_id, [])

    def seconds_left(self) -> float | None:
        """Seconds until points are to be written, 0 if they are now; None where there are none."""
        if self._round:
            return 0.0
        return max(0.0, self._next_round - self._clock()) if self._points else None

    def next_batch(self) -> list[tuple[str, list[Metric]]]:
        """Remove the points of the next runs of this round, of at most ``MAX_RUNS``, or of a new one."""
        if not self._round:
            self._round.extend(self._points)
        runs = [self._round.popleft() for _ in range(min(MAX_RUNS, len(self._round)))]
        return [(run_id, self._points.pop(run_id)) for run_id in runs]

    def written(self, seconds: float) -> None:
        """Account for the time that a batch took."""
        self._spent += seconds
        self._end_round()

    def _end_round(self) -> None:
        if not self._round:
            self._next_round = self._clock() + max(FLUSH_SECONDS, self._spent * (1 / MAX_SHARE - 1))
            self._spent = 0.0
