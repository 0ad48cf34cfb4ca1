"""The numbers behind a report, on sweeps that were made up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from experiments.reporting import statistics
from experiments.reporting.plots import focus_limits
from experiments.reporting.statistics import best_so_far, lanes, pareto_front, seconds_to_reach, time_spent, weights_of
from experiments.reporting.timeline import SweepTimeline
from mnist_core.metrics import Direction
from search.trial import TrialState
from tests.helpers.synthetic_sweeps import many_trials, run, timeline

DAY = 86_400.0


def front(*points: tuple[float, float]) -> list[int]:
    """Numbers of the runs on the front of (weights, accuracy)."""
    runs = [run(number, accuracy, weights=int(weights)) for number, (weights, accuracy) in enumerate(points)]
    return [each.number for each in pareto_front(runs, weights_of)]


def test_the_pareto_front_holds_what_nothing_cheaper_beats() -> None:
    assert front((100, 0.90), (200, 0.95), (300, 0.94), (400, 0.97)) == [0, 1, 3]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 0.9), (100, 0.95)], [1]),
        ([(100, 0.9), (200, 0.9)], [0]),
        ([(300, 0.9)], [0]),
        ([], []),
        ([(300, 0.99), (200, 0.98), (100, 0.97)], [2, 1, 0]),
    ],
    ids=["same cost", "same accuracy", "one", "none", "all"],
)
def test_the_pareto_front_of_ties(points: list[tuple[float, float]], expected: list[int]) -> None:
    assert front(*points) == expected


def test_no_run_of_many_beats_one_on_the_front() -> None:
    runs = many_trials(80).ranked
    chosen = pareto_front(runs, weights_of)
    for one in chosen:
        assert not [
            other
            for other in runs
            if (weights_of(other) or 0) <= (weights_of(one) or 0)
            and statistics.accuracy_of(other) > statistics.accuracy_of(one)
        ]
    assert statistics.accuracy_of(chosen[-1]) == max(map(statistics.accuracy_of, runs))


def test_the_best_so_far_leaves_out_what_cannot_win() -> None:
    told = timeline([run(0, 0.95), run(1, 0.99, state=TrialState.PRUNED), run(2, 0.94), run(3, 0.97)])
    assert best_so_far(told) == [(0, 0.95, 0.95), (2, 0.94, 0.95), (3, 0.97, 0.97)]


def test_a_night_between_two_calls_is_cut_out() -> None:
    told = timeline(
        [run(0, began=0, ended=10), run(1, began=DAY, ended=DAY + 30), run(2, began=DAY + 5, ended=DAY + 20)]
    )
    assert [(trial.began, trial.ended) for trial in told.trials] == [(0, 10), (10, 40), (15, 30)]
    assert told.pauses == (10,)
    assert told.seconds == 40


def test_a_lost_attempt_ends_where_it_was_last_heard_of() -> None:
    lost = run(0, None, began=0, ended=DAY, state=TrialState.KILLED)
    told = timeline([lost, run(1, began=DAY, ended=DAY + 10)], curves={0: [(0.8, 4.0), (0.9, 9.0)]})
    assert (told.trials[0].began, told.trials[0].ended) == (0, 9)
    assert told.seconds == 19


def test_lanes_hold_trials_that_do_not_overlap() -> None:
    told = many_trials(60)
    rows = lanes(told.trials)
    for row in set(rows):
        mine = [trial for trial, lane in zip(told.trials, rows, strict=True) if lane == row]
        assert all(before.ended <= after.began for before, after in pairwise(mine))


def test_lanes_are_as_few_as_there_were_workers() -> None:
    spans = [(0, 10), (0, 4), (4, 12), (10, 11)]
    told = timeline([run(number, began=began, ended=ended) for number, (began, ended) in enumerate(spans)])
    assert lanes(told.trials) == [0, 1, 1, 0]


def test_every_second_of_the_workers_goes_somewhere() -> None:
    runs = [
        run(0, began=0, ended=10, training_seconds=7.0, saving_seconds=1.0),
        run(1, None, began=0, ended=99, state=TrialState.KILLED),
    ]
    spent = time_spent(timeline(runs, curves={1: [(0.5, 4.0)]}, tracking=0.5))
    assert (spent.training, spent.saving, spent.lost, spent.tracking) == (7, 1, 4, 0.5)
    assert spent.waiting == 2 * 10 - 7 - 1 - 4 - 0.5
    assert spent.total == 20


def test_tracking_that_was_not_recorded_is_unknown_and_not_zero() -> None:
    assert time_spent(timeline([run(0)])).tracking is None


def test_seconds_to_reach_an_accuracy_are_those_of_the_first_trial_that_ended_with_it() -> None:
    pruned = run(3, 0.99, 5, 8, TrialState.PRUNED)
    told = timeline([run(0, 0.96, 0, 5), run(1, 0.985, 0, 30), run(2, 0.981, 5, 20), pruned])
    assert seconds_to_reach(told, 0.98) == 20
    assert seconds_to_reach(told, 0.983) == 30
    assert seconds_to_reach(told, 0.99) is None


@pytest.mark.parametrize(
    "told", [timeline([]), timeline([run(0, None, state=TrialState.FAILED)])], ids=["empty", "failed"]
)
def test_a_sweep_that_came_to_nothing_has_its_numbers(told: SweepTimeline) -> None:
    assert best_so_far(told) == []
    assert told.ranked == []
    assert seconds_to_reach(told, 0.1) is None
    assert time_spent(told).training == 0


def test_an_axis_looks_at_the_good_end() -> None:
    values = np.array([0.1, 0.96, 0.97, 0.97, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98])
    low, high = focus_limits(values, Direction.MAXIMIZE)
    assert 0.9 < low < 0.96
    assert 0.98 < high < 0.99
    mirrored = focus_limits(-values, Direction.MINIMIZE)
    assert mirrored == (-high, -low)
