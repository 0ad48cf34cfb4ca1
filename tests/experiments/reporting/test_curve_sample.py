"""The learning curves of a report of many trials."""

from __future__ import annotations

from experiments.reporting.sections import curves
from tests.helpers.synthetic_sweeps import many_trials


def test_a_report_of_many_trials_shows_the_best_curves_and_a_sample_and_says_so() -> None:
    timeline = many_trials(500)
    shown = curves.sampled_curves(timeline)
    best = {run.run_id for run in timeline.ranked[: curves.BEST_CURVES]}
    assert len(shown) == len(curves.curves_table(timeline).rows) == curves.MAX_CURVES
    assert best <= {trial.run.run_id for trial in shown}
    assert shown == curves.sampled_curves(timeline)
    finished = len(curves.finished_curves(timeline))
    assert f"Curves of 300 of {finished} trials: the 200 best" in curves.curves_caption(timeline)


def test_a_report_of_few_trials_shows_every_curve() -> None:
    timeline = many_trials(100)
    assert curves.sampled_curves(timeline) == curves.finished_curves(timeline)
    assert "Curves of" not in curves.curves_caption(timeline)
