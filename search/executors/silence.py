"""How long running trials have reported nothing, and for how long they may."""

from __future__ import annotations

import time
from collections.abc import Callable

MIN_AUTOMATIC_SECONDS = 1800.0
TIMES_THE_LONGEST = 20.0
MAX_STEP_SECONDS = 2.0


class SilenceWatch:
    """Seconds for which somebody was looking.

    Time counts from one look to the next, a long gap as two seconds only: a driver that was stopped by Ctrl-Z and its
    workers with it, or that waited for its store, does not find its trials silent for as long when it goes on.

    Args:
        limit: seconds after which a silent trial counts as hung. None derives it from what words have taken until
            now (start-up, epochs, saving): 20 times the longest, and no less than half an hour.
        clock: seconds from any start, never falling.
    """

    def __init__(self, limit: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._looked_at = clock()
        self._longest = 0.0
        self.now = 0.0

    @property
    def limit(self) -> float:
        """Seconds for which a trial may report nothing."""
        return self._limit or max(MIN_AUTOMATIC_SECONDS, TIMES_THE_LONGEST * self._longest)

    def look(self) -> None:
        """Bring ``now`` up to date."""
        time_now = self._clock()
        self.now += min(time_now - self._looked_at, MAX_STEP_SECONDS)
        self._looked_at = time_now

    def end_silence(self, since: float) -> None:
        """Note that a trial that was silent ``since`` then has reported something."""
        self._longest = max(self._longest, self.now - since)

    def is_hung(self, since: float) -> bool:
        """Whether a trial that is silent ``since`` then has been so for too long."""
        return self.now - since > self.limit
