"""The time for which running trials have reported nothing, and its limit."""

from __future__ import annotations

import time
from collections.abc import Callable

MIN_AUTOMATIC_SECONDS = 1800.0
SILENCE_FACTOR = 20.0
MAX_STEP_SECONDS = 2.0


class SilenceWatch:
    """A clock for silent trials that runs only while the driver looks at it.

    The time from one look to the next counts as two seconds at most. So a driver that was stopped by Ctrl-Z with its
    workers, or that waited for its store, does not count that time as silence of its trials.

    Args:
        limit: seconds after which a silent trial counts as hung. None derives it from the silences until now
            (start-up, epochs, saving): 20 times the longest, and no less than half an hour.
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
        return self._limit or max(MIN_AUTOMATIC_SECONDS, SILENCE_FACTOR * self._longest)

    def look(self) -> None:
        """Bring ``now`` up to date."""
        time_now = self._clock()
        self.now += min(time_now - self._looked_at, MAX_STEP_SECONDS)
        self._looked_at = time_now

    def end_silence(self, since: float) -> None:
        """Record that a trial that was silent since ``since`` has reported something."""
        self._longest = max(self._longest, self.now - since)

    def is_hung(self, since: float) -> bool:
        """Return whether a trial that is silent since ``since`` has been so for longer than the limit."""
        return self.now - since > self.limit
