"""The learning curves of a report of many trials."""

from __future__ import annotations

from experiments.reporting.sections import curves
from experiments.reporting.sections.history import history_caption
from experiments.reporting.sections.parameters import parameters_caption
from experiments.reporting.sections.trials import trials_table
from experiments.reporting.timeline import BEST_OF_SAMPLE, MAX_SAMPLE
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


def test_the_plots_and_tables_of_a_report_of_many_trials_are_of_a_sample_and_say_so() -> None:
    timeline = many_trials(1300)
    finished = sum(trial.run.state.is_finished for trial in timeline.trials)
    assert len(timeline.outcomes()) == MAX_SAMPLE < finished
    assert {run.number for run in timeline.ranked[:BEST_OF_SAMPLE]} <= set(timeline.outcomes())
    note = f"Drawn from 1,000 of {finished:,} finished trials: the 200 best"
    assert note in history_caption(timeline)
    assert note in parameters_caption(timeline)
    table = trials_table(timeline)
    assert "The best 200 of 1,300 trials" in table.caption
    assert [row[0] for row in table.rows] == [run.name for run in timeline.ranked[:200]]


def test_the_plots_of_a_report_of_few_trials_are_of_all() -> None:
    timeline = many_trials(300)
    assert set(timeline.outcomes()) == {trial.run.number for trial in timeline.trials if trial.run.state.is_finished}
    assert timeline.sample_note == ""
    assert len(trials_table(timeline).rows) == 300
