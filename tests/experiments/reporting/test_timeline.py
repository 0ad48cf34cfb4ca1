"""The numbers of a report, on synthetic sweeps."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from experiments.reporting.plot_style import focus_limits
from experiments.reporting.sections.curves import draw_curves
from experiments.reporting.sections.history import best_so_far
from experiments.reporting.sections.timeline import lanes, timeline_caption
from experiments.reporting.sections.tradeoffs import accuracy_front, weights_of
from experiments.reporting.summary import format_counts
from experiments.reporting.timeline import SweepTimeline, accuracy_of, seconds_to_reach, time_spent
from mnist_core.metrics import Direction
from search.trial import TrialState
from tests.helpers.synthetic_sweeps import many_trials, run, timeline

DAY = 86_400.0


def front(*points: tuple[float, float]) -> list[int]:
    """Numbers of the runs on the front of these points: weights and accuracy."""
    runs = [run(number, accuracy, weights=int(weights)) for number, (weights, accuracy) in enumerate(points)]
    return [each.number for each in accuracy_front(runs, weights_of)]


def test_the_pareto_front_holds_each_run_that_no_cheaper_one_beats() -> None:
    assert front((100, 0.90), (200, 0.95), (300, 0.94), (400, 0.97)) == [0, 1, 3]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 0.9), (100, 0.95)], [1]),
        ([(100, 0.9), (200, 0.9)], [0]),
        ([(100, 0.9), (100, 0.9)], [0, 1]),
        ([(300, 0.9)], [0]),
        ([], []),
        ([(300, 0.99), (200, 0.98), (100, 0.97)], [2, 1, 0]),
    ],
    ids=["same cost", "same accuracy", "same of both", "one", "none", "all"],
)
def test_the_pareto_front_of_ties(points: list[tuple[float, float]], expected: list[int]) -> None:
    assert front(*points) == expected


def test_no_run_of_a_large_sweep_beats_one_on_the_front() -> None:
    runs = many_trials(80).ranked
    on_front = accuracy_front(runs, weights_of)
    for one in on_front:
        assert not [
            other
            for other in runs
            if (weights_of(other) or 0) <= (weights_of(one) or 0) and accuracy_of(other) > accuracy_of(one)
        ]
    assert accuracy_of(on_front[-1]) == max(map(accuracy_of, runs))


def test_the_best_value_so_far_ignores_pruned_trials() -> None:
    sweep = timeline([run(0, 0.95), run(1, 0.99, state=TrialState.PRUNED), run(2, 0.94), run(3, 0.97)])
    assert best_so_far(sweep) == [(0, 0.95, 0.95), (2, 0.94, 0.95), (3, 0.97, 0.97)]


def test_a_pause_of_a_day_is_cut_out() -> None:
    sweep = timeline(
        [run(0, began=0, ended=10), run(1, began=DAY, ended=DAY + 30), run(2, began=DAY + 5, ended=DAY + 20)]
    )
    assert [(trial.began, trial.ended) for trial in sweep.trials] == [(0, 10), (10, 40), (15, 30)]
    assert sweep.pauses == (10,)
    assert sweep.seconds == 40


def test_a_lost_attempt_ends_with_its_last_logged_epoch() -> None:
    lost = run(0, None, began=0, ended=DAY, state=TrialState.KILLED)
    sweep = timeline([lost, run(1, began=DAY, ended=DAY + 10)], curves={0: [(0.8, 4.0), (0.9, 9.0)]})
    assert (sweep.trials[0].began, sweep.trials[0].ended) == (0, 9)
    assert sweep.seconds == 19


def test_trials_of_one_lane_do_not_overlap() -> None:
    sweep = many_trials(60)
    rows = lanes(sweep.trials)
    for row in set(rows):
        trials = [trial for trial, lane in zip(sweep.trials, rows, strict=True) if lane == row]
        assert all(before.ended <= after.began for before, after in pairwise(trials))


def test_there_are_no_more_lanes_than_workers() -> None:
    spans = [(0, 10), (0, 4), (4, 12), (10, 11)]
    sweep = timeline([run(number, began=began, ended=ended) for number, (began, ended) in enumerate(spans)])
    assert lanes(sweep.trials) == [0, 1, 1, 0]


def test_the_activities_add_up_to_the_time_of_all_workers() -> None:
    runs = [
        run(0, began=0, ended=10, training_seconds=7.0, saving_seconds=1.0),
        run(1, None, began=0, ended=99, state=TrialState.KILLED),
    ]
    spent = time_spent(timeline(runs, curves={1: [(0.5, 4.0)]}, tracking=0.5))
    assert (spent.training, spent.saving, spent.lost, spent.tracking) == (7, 1, 4, 0.5)
    assert spent.waiting == 2 * 10 - 7 - 1 - 4 - 0.5
    assert spent.total == 20


def test_tracking_time_that_was_not_recorded_is_none_and_not_zero() -> None:
    assert time_spent(timeline([run(0)])).tracking is None


def test_seconds_to_reach_an_accuracy_end_with_the_first_trial_that_has_it() -> None:
    pruned = run(3, 0.99, 5, 8, TrialState.PRUNED)
    sweep = timeline([run(0, 0.96, 0, 5), run(1, 0.985, 0, 30), run(2, 0.981, 5, 20), pruned])
    assert seconds_to_reach(sweep, 0.98) == 20
    assert seconds_to_reach(sweep, 0.983) == 30
    assert seconds_to_reach(sweep, 0.99) is None


@pytest.mark.parametrize(
    "sweep", [timeline([]), timeline([run(0, None, state=TrialState.FAILED)])], ids=["empty", "failed"]
)
def test_a_sweep_without_a_complete_trial_has_numbers(sweep: SweepTimeline) -> None:
    assert best_so_far(sweep) == []
    assert sweep.ranked == []
    assert seconds_to_reach(sweep, 0.1) is None
    assert time_spent(sweep).training == 0


def test_an_axis_shows_the_good_values() -> None:
    values = np.array([0.1, 0.96, 0.97, 0.97, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98])
    low, high = focus_limits(values, Direction.MAXIMIZE)
    assert 0.9 < low < 0.96
    assert 0.98 < high < 0.99
    mirrored = focus_limits(-values, Direction.MINIMIZE)
    assert mirrored == (-high, -low)


def test_a_trial_that_was_tried_again_is_counted_once() -> None:
    failed, again = run(0, None, state=TrialState.FAILED), replace(run(0), attempt=2, run_id="b" * 32)
    sweep = timeline([failed, again, run(1, state=TrialState.PRUNED)])
    assert format_counts(sweep) == "1 complete, 1 pruned"
    assert timeline_caption(sweep).startswith("3 attempts on 2 workers in 10 seconds. ")


def test_a_caption_says_once_of_one_pause() -> None:
    caption = timeline_caption(timeline([run(0, ended=10), run(1, began=DAY, ended=DAY + 30)]))
    assert caption.startswith("2 attempts on 2 workers in 40 seconds, left and resumed once (pauses are cut out). ")
    assert timeline_caption(timeline([run(0)])).startswith("1 attempt on ")


def test_curves_without_a_finite_value_are_not_drawn() -> None:
    sweep = timeline([run(0, None, state=TrialState.FAILED)], curves={0: [(math.nan, 1.0)]})
    with pytest.raises(ValueError, match=r"^no value is finite$"):
        draw_curves(sweep)
