"""An estimate of the time that a sweep still takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.progress import ProgressColumn, Task
from rich.text import Text

from search.budget import NOTHING_SPENT, StopRules
from search.resume import ResumeState
from search.spec import SweepSpec


class TimeLeft:
    """Estimates the seconds until a sweep ends, from the trials that have ended in this call.

    The mean time of a trial is that of complete, pruned and failed ones alike, so that a pruner which ends most trials
    early is taken into account. A budget of time or epochs may end the sweep before.

    Args:
        clock: seconds from any start, never falling.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rules, self._spent = StopRules(), NOTHING_SPENT
        self._began, self._unfinished = clock(), 0
        self._running: dict[int, float] = {}
        self._ended, self._ended_seconds, self._epochs = 0, 0.0, 0

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """The loop begins; the trials of earlier calls count as done."""
        self._rules, self._spent = spec.stop, history.spent
        self._began, self._unfinished = self._clock(), spec.target - len(history.finished)

    def trial_started(self, number: int) -> None:
        """An attempt at a trial was submitted."""
        self._running[number] = self._clock()

    def epoch_ended(self) -> None:
        """Any trial has ended an epoch."""
        self._epochs += 1

    def trial_lost(self, number: int) -> None:
        """An attempt ended without a result."""
        self._running.pop(number, None)

    def trial_ended(self, number: int) -> None:
        """A trial has its result."""
        self._ended_seconds += self._clock() - self._running.pop(number, self._clock())
        self._ended += 1
        self._unfinished -= 1

    def seconds(self) -> float | None:
        """Return the estimate; None where there is nothing yet to estimate it from."""
        now = self._clock()
        elapsed = now - self._began
        estimates = []
        if self._ended:
            mean = self._ended_seconds / self._ended
            # A list, since the thread of the display asks while trials start and end.
            done = sum(min(now - started, mean) for started in list(self._running.values()))
            estimates.append((mean * self._unfinished - done) / max(1, len(self._running)))
        if self._rules.time is not None:
            estimates.append(self._rules.time - self._spent.seconds - elapsed)
        if self._rules.epochs is not None and self._epochs:
            left = self._rules.epochs - self._spent.epochs - self._epochs
            estimates.append(left * elapsed / self._epochs)
        return max(0.0, min(estimates)) if estimates else None


class TimeLeftColumn(ProgressColumn):
    """The estimate as ``04:30`` or ``1:04:30``; ``--:--`` where there is none.

    Args:
        seconds: returns the estimate.
    """

    max_refresh = 0.5

    def __init__(self, seconds: Callable[[], float | None]) -> None:
        self._seconds = seconds
        super().__init__()

    def render(self, task: Task) -> Text:
        """The estimate at this moment."""
        seconds = self._seconds()
        if seconds is None:
            return Text("--:--", style="progress.remaining")
        minutes, rest = divmod(int(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
        return Text(text, style="progress.remaining")
