"""The learning curves of a report of many trials."""

from __future__ import annotations

from experiments.reporting.sections import curves
from experiments.reporting.sections.history import history_caption
from experiments.reporting.sections.parameters import parameters_caption
from experiments.reporting.sections.trials import trials_table
from experiments.reporting.timeline import BEST_OF_SAMPLE, MAX_SAMPLE
from search.trial import TrialState
from tests.helpers import synthetic_sweeps
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


def test_a_sample_with_few_complete_trials_says_how_many_of_the_best_it_has() -> None:
    few = [synthetic_sweeps.run(number, began=number, ended=number + 1) for number in range(7)]
    pruned = [
        synthetic_sweeps.run(number, None, number, number + 1, TrialState.PRUNED) for number in range(7, MAX_SAMPLE + 9)
    ]
    curve = {run.number: [(0.5, run.number + 0.5)] for run in (*few, *pruned)}
    timeline = synthetic_sweeps.timeline([*few, *pruned], curve)
    assert len(timeline.ranked) == 7
    for caption in (curves.curves_caption(timeline), timeline.sample_note):
        assert "the 7 best, the others" in caption
    assert trials_table(timeline).caption.startswith("The best 7 and 193 more of 1,009 trials; all: ")


def test_the_plots_of_a_report_of_few_trials_are_of_all() -> None:
    timeline = many_trials(300)
    assert set(timeline.outcomes()) == {trial.run.number for trial in timeline.trials if trial.run.state.is_finished}
    assert timeline.sample_note == ""
    assert len(trials_table(timeline).rows) == 300
