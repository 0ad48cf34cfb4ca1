"""The estimate of the time that a sweep still takes."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from experiments import parse_spec
from experiments.cli.time_left import TimeLeft, TimeLeftColumn
from search.budget import Spent
from search.executors.base import Finished
from search.resume import NOTHING_DONE, ResumeState
from search.testing.values import result_of
from tests.helpers.sweep_texts import SMALL


class Watched:
    """An estimate of a sweep of ten trials, and its clock."""

    def __init__(self, *overrides: str, history: ResumeState = NOTHING_DONE) -> None:
        self.now = 500.0
        self.left = TimeLeft(lambda: self.now)
        self.left.sweep_started(parse_spec(SMALL, ["trials=10", *overrides]), history)

    def run(self, number: int, seconds: float, epochs: int = 0) -> None:
        """One trial from its start to its end, whatever its result."""
        self.left.trial_started(number)
        for _ in range(epochs):
            self.left.epoch_ended()
        self.now += seconds
        self.left.trial_ended(number)


def test_is_unknown_before_a_trial_has_ended() -> None:
    watched = Watched()
    watched.left.trial_started(0)
    watched.now += 5
    assert watched.left.seconds() is None


def test_is_the_mean_of_long_and_short_trials_for_each_that_is_left() -> None:
    watched = Watched()
    watched.run(0, seconds=10)
    watched.run(1, seconds=2)  # as a pruned one
    assert watched.left.seconds() == 8 * 6.0


def test_is_shared_by_the_trials_that_run_at_a_time_and_falls_while_they_run() -> None:
    watched = Watched()
    watched.run(0, seconds=10)
    for number in (1, 2, 3):
        watched.left.trial_started(number)
    assert watched.left.seconds() == 9 * 10.0 / 3
    watched.now += 4
    assert watched.left.seconds() == (9 * 10.0 - 3 * 4) / 3


def test_counts_a_lost_attempt_neither_as_ended_nor_as_running() -> None:
    watched = Watched()
    watched.run(0, seconds=10)
    watched.left.trial_started(1)
    watched.left.trial_lost(1)
    assert watched.left.seconds() == 90.0


def test_leaves_out_the_trials_of_earlier_calls() -> None:
    spec = parse_spec(SMALL)
    done = [Finished(spec.trial(number, {"hidden_size": 8 + number}), result_of(0.5)) for number in range(7)]
    watched = Watched(history=ResumeState(done))
    watched.run(7, seconds=10)
    assert watched.left.seconds() == 20.0


def test_is_no_more_than_the_budgets_leave() -> None:
    by_time = Watched("stop.time=100", history=ResumeState(spent=Spent(seconds=30)))
    by_time.now += 10
    assert by_time.left.seconds() == 60.0
    by_epochs = Watched("stop.epochs=20", history=ResumeState(spent=Spent(epochs=5)))
    by_epochs.run(0, seconds=10, epochs=5)
    assert by_epochs.left.seconds() == 20.0
    by_epochs.now += 1000
    by_epochs.run(1, seconds=10, epochs=20)
    assert by_epochs.left.seconds() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "--:--"), (0.4, "00:00"), (61.9, "01:01"), (3600.0 * 27 + 62, "27:01:02")]
)
def test_is_shown_in_hours_minutes_and_seconds(seconds: float | None, text: str) -> None:
    bar = Progress()
    bar.add_task("sweep")
    assert TimeLeftColumn(lambda: seconds).render(bar.tasks[0]).plain == text
