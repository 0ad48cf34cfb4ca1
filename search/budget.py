"""The budgets of a sweep and the reasons for its end, decided from what it is told, without a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum

from mnist_core.errors import SpecError
from mnist_core.metrics import Direction
from search.durations import parse_duration
from search.trial import Outcome, TrialState


class EndReason(Enum):
    """The ways in which a sweep can end."""

    DONE = "done"
    EXHAUSTED = "exhausted"
    """The searcher has no more points, although more were asked for."""
    TIMED_OUT = "timed out"
    """The time of the call is over: no trial was started after it, and those that ran were finished."""
    INTERRUPTED = "interrupted"
    TIME = "stopped by time"
    EPOCHS = "stopped by epochs"
    TARGET = "stopped by target"
    PLATEAU = "stopped by plateau"

    @property
    def ends_trials(self) -> bool:
        """True for the budgets of a sweep, which end its running trials too."""
        return self in _KEYS

    @property
    def key(self) -> str | None:
        """The key of ``[stop]`` that sets this budget; None for the other reasons."""
        return _KEYS.get(self)


_KEYS = {EndReason.TIME: "time", EndReason.EPOCHS: "epochs", EndReason.TARGET: "target", EndReason.PLATEAU: "plateau"}


@dataclass(frozen=True)
class StopRules:
    """The budgets of a sweep, all its calls together; None for no such limit.

    A sweep that reaches one starts no further trial, and ends those that run after the epoch that they are in.

    Args:
        time: seconds for which trials may run.
        epochs: that are trained, those of lost attempts included.
        target: value of the objective that a complete trial is to reach.
        plateau: trials in a row, complete or pruned, of which none is better than the best before them.

    Raises:
        SpecError: a value is out of its range.
    """

    time: float | None = None
    epochs: int | None = None
    target: float | None = None
    plateau: int | None = None

    def __post_init__(self) -> None:
        if self.time is not None and parse_duration(self.time, "time") != self.time:
            raise SpecError(f"time: expected a number of seconds, received {self.time!r}")
        for key, count, noun in (("epochs", self.epochs, "epochs"), ("plateau", self.plateau, "trials")):
            if count is not None and not (type(count) is int and count >= 1):
                raise SpecError(f"{key}: expected a number of {noun}, 1 or more, received {count!r}")
        if self.target is not None and not (type(self.target) in (int, float) and 0 < self.target <= 1e12):
            raise SpecError(f"target: expected a value of the objective, more than 0, received {self.target!r}")

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def describe(self, reason: EndReason, objective: str) -> str:
        """Return the cause of an end by one of these budgets in a few words; empty for another reason.

        Args:
            reason: of the end.
            objective: name of the metric that ranks the trials.
        """
        if reason is EndReason.TIME:
            return f"its trials have run for {self.time:,.6g} s"
        if reason is EndReason.EPOCHS:
            return f"{self.epochs:,} epochs are trained"
        if reason is EndReason.TARGET:
            return f"{objective} has reached {self.target:g}"
        if reason is EndReason.PLATEAU:
            return f"the last {self.plateau:,} trials brought nothing better"
        return ""


@dataclass(frozen=True)
class Spent:
    """The use that earlier calls of a sweep made of its budgets.

    Args:
        seconds: for which its trials ran.
        epochs: that were trained, in all attempts.
        values: the objective of each trained trial in the order in which they ended; None for a pruned one.
    """

    seconds: float = 0.0
    epochs: int = 0
    values: tuple[float | None, ...] = ()


NOTHING_SPENT = Spent()
"""That of a new sweep."""


class Budget:
    """Says whether a sweep is to end, and for which reason, from what it is told of epochs and ends of trials.

    Args:
        rules: the budgets of the sweep.
        direction: in which its objective is better.
        spent: by earlier calls.
        timeout: seconds of this call after which no trial is started; None for no limit.
    """

    def __init__(
        self,
        rules: StopRules,
        direction: Direction,
        spent: Spent = NOTHING_SPENT,
        timeout: float | None = None,
    ) -> None:
        self._rules, self._direction, self._spent, self._timeout = rules, direction, spent, timeout
        self._epochs = spent.epochs
        self._values: dict[int, float | None] = {}
        self._best, self._since_best = direction.worst, 0
        self._count(spent.values)

    def epoch_ended(self) -> None:
        """Count an epoch of any trial."""
        self._epochs += 1

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        """Take the end of a trial into account.

        A second call for the same trial corrects the first: a model that could not be stored makes a trial FAILED.
        Failed trials count for nothing.
        """
        if outcome.state is not TrialState.FAILED:
            self._values[number] = outcome.value if outcome.state is TrialState.COMPLETE else None
            self._count([self._values[number]])
        elif number in self._values:
            del self._values[number]
            self._best, self._since_best = self._direction.worst, 0
            self._count([*self._spent.values, *self._values.values()])

    def reason(self, seconds: float) -> EndReason | None:
        """Return the reason for which the sweep is to end; None where it is to go on.

        Args:
            seconds: since this call began to run trials.
        """
        rules = self._rules
        if rules.target is not None and not self._direction.better(rules.target, self._best):
            return EndReason.TARGET
        if rules.plateau is not None and math.isfinite(self._best) and self._since_best >= rules.plateau:
            return EndReason.PLATEAU
        if rules.epochs is not None and self._epochs >= rules.epochs:
            return EndReason.EPOCHS
        if rules.time is not None and self._spent.seconds + seconds >= rules.time:
            return EndReason.TIME
        return EndReason.TIMED_OUT if self._timeout is not None and seconds >= self._timeout else None

    def _count(self, values: Iterable[float | None]) -> None:
        for value in values:
            if value is not None and self._direction.better(value, self._best):
                self._best, self._since_best = value, 0
            else:
                self._since_best += 1
