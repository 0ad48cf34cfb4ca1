"""Ranking of runs and selection by each rule, over runs from a factory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy import stats

from experiments import ranking, selection
from experiments.ranking import configurations
from experiments.selection import Selection, SelectionRule, select
from experiments.tracking.records import RunRecord
from mnist_core.errors import NotFoundError
from search.objectives import MODEL_SIZE, VAL_ACCURACY
from search.trial import TrialState
from tests.helpers.factories import run, sized

MLFLOW_INFINITY = 1.7976931348623157e308


def numbers(runs: list[RunRecord]) -> list[int]:
    return [run.number for run in runs]


def test_higher_accuracy_wins_and_lower_loss_breaks_ties() -> None:
    runs = [run(0, 0.97, 0.2), run(1, 0.98, 0.3), run(2, 0.98, 0.1), run(3, 0.96, 0.01)]
    assert numbers(ranking.rank(runs)) == [2, 1, 0, 3]
    best = ranking.best_run(runs)
    assert best is not None
    assert best.number == 2


def test_for_a_loss_objective_lower_loss_wins_and_higher_accuracy_breaks_ties() -> None:
    runs = [run(0, 0.97, 0.2), run(1, 0.98, 0.2), run(2, 0.99, 0.3)]
    assert numbers(ranking.rank(runs, "val_loss")) == [1, 0, 2]


def with_crossentropy(number: int, accuracy: float, loss: float, crossentropy: float | None) -> RunRecord:
    """A run whose loss may include more than the cross-entropy; None for a run recorded without that."""
    metrics = {"best_val_accuracy": accuracy, "best_val_loss": loss}
    extra = {} if crossentropy is None else {"best_val_crossentropy": crossentropy}
    return run(number, metrics=metrics | extra, params={"label_smoothing": str(number)})


def orders(runs: list[RunRecord], objective: str = "val_accuracy") -> list[list[int]]:
    """The same ranking of runs, of configurations and of a selection."""
    selected = select(runs, SelectionRule.BEST, objective, IMAGES)
    return [
        numbers(ranking.rank(runs, objective)),
        [one.run.number for one in configurations(runs, objective)],
        [one.run.number for one in selected.ranked],
    ]


def test_equal_accuracies_are_ranked_by_the_cross_entropy_and_not_by_losses_of_another_kind() -> None:
    smoothed = with_crossentropy(0, 0.98, loss=0.6, crossentropy=0.05)
    plain = with_crossentropy(1, 0.98, loss=0.1, crossentropy=0.1)
    better = with_crossentropy(2, 0.99, loss=0.9, crossentropy=0.9)
    assert orders([plain, smoothed, better]) == [[2, 0, 1]] * 3


def test_where_one_run_was_recorded_without_it_all_are_ranked_by_their_loss() -> None:
    new = [with_crossentropy(0, 0.98, 0.6, crossentropy=0.05), with_crossentropy(1, 0.98, 0.2, crossentropy=0.1)]
    old = with_crossentropy(2, 0.98, 0.4, crossentropy=None)
    assert orders(new) == [[0, 1]] * 3
    assert orders([*new, old]) == [[1, 2, 0]] * 3


def test_a_run_that_may_not_win_does_not_change_the_tie_breaker() -> None:
    new = [with_crossentropy(0, 0.98, 0.2, crossentropy=0.1), with_crossentropy(1, 0.98, 0.6, crossentropy=0.05)]
    failed = replace(with_crossentropy(2, 0.98, 0.4, crossentropy=None), state=TrialState.FAILED)
    assert orders([*new, failed]) == [[1, 0]] * 3
    pruned = [replace(one, state=TrialState.PRUNED) for one in new]
    assert numbers(ranking.unranked([*pruned, run(3, None, None, state=TrialState.PRUNED)])) == [1, 0, 3]


def test_a_loss_objective_is_still_ranked_by_the_loss() -> None:
    runs = [with_crossentropy(0, 0.98, 0.2, crossentropy=0.1), with_crossentropy(1, 0.99, 0.3, crossentropy=0.05)]
    assert orders(runs, "val_loss") == [[0, 1]] * 3


@pytest.mark.parametrize(
    "loser",
    [
        run(0, 0.99, state=TrialState.PRUNED),
        run(0, 0.99, state=TrialState.FAILED),
        run(0, 0.99, state=TrialState.KILLED),
        run(0, 0.99, state=TrialState.RUNNING),
        run(0, 0.99, model_id=None),
        run(0, accuracy=None),
        run(0, math.nan),
        run(0, math.inf),
        run(0, MLFLOW_INFINITY),
        run(0, 0.99, loss=math.nan),
        run(0, 0.99, loss=MLFLOW_INFINITY),
        run(0, 0.99, loss=None),
    ],
    ids=lambda loser: f"{loser.state.value} {dict(loser.metrics)} {loser.model_id}",
)
def test_only_complete_finite_runs_with_a_ready_model_may_win(loser: RunRecord) -> None:
    assert numbers(ranking.rank([loser, run(1, 0.1)])) == [1]
    assert ranking.best_run([loser]) is None
    assert numbers(ranking.unranked([loser, run(1, 0.1)])) == [0]


def test_unranked_runs_are_ordered_by_state_then_by_their_metrics() -> None:
    rest = [
        run(0, None, None, state=TrialState.FAILED),
        run(1, 0.5, state=TrialState.PRUNED),
        run(2, 0.8, state=TrialState.PRUNED),
        run(3, None, None, state=TrialState.RUNNING),
    ]
    assert numbers(ranking.unranked(rest)) == [3, 2, 1, 0]


def test_no_runs_have_no_best() -> None:
    assert ranking.best_run([]) is None


IMAGES = 10_000
# Of a share of 0.98 of 10,000 images: √(0.98 · 0.02 / 10,000) = 0.0014.
ONE_SE = 0.0014


def number_of(selected: Selection) -> int:
    return selected.chosen.run.number


def test_by_the_rule_best_the_highest_accuracy_wins_whatever_its_size() -> None:
    selected = select([sized(0, 0.9795, 10), sized(1, 0.98, 9000)], SelectionRule.BEST, "val_accuracy", IMAGES)
    assert number_of(selected) == 1
    assert selected.margin == pytest.approx(ONE_SE)
    assert selected.reason == "the best val_accuracy; 1 other within 0.0014 of its accuracy"


def test_by_one_standard_error_the_smallest_of_those_within_it_wins() -> None:
    runs = [sized(0, 0.98, 9000), sized(1, 0.9787, 500), sized(2, 0.979, 700), sized(3, 0.978, 10)]
    selected = select(runs, SelectionRule.ONE_SE, "val_accuracy", IMAGES)
    assert number_of(selected) == 1
    assert [one.run.number for one in selected.tied] == [0, 2, 1]
    for part in ("500 weights", "9,000 of trial-000", "0.0013 higher", "within 0.0014"):
        assert part in selected.reason


def test_by_the_rule_smallest_the_margin_is_the_interval_of_95_percent() -> None:
    runs = [sized(0, 0.98, 9000), sized(1, 0.9787, 500), sized(2, 0.9773, 10), sized(3, 0.977, 1)]
    selected = select(runs, SelectionRule.SMALLEST, "val_accuracy", IMAGES)
    assert selected.margin == pytest.approx(0.0029)  # 0.98 less the lower limit of Wilson's interval, 0.97707
    assert number_of(selected) == 2


def test_fewer_validation_images_make_more_ties() -> None:
    runs = [sized(0, 0.98, 9000), sized(1, 0.96, 10)]
    assert number_of(select(runs, SelectionRule.ONE_SE, "val_accuracy", 10_000)) == 0
    assert (
        number_of(select(runs, SelectionRule.ONE_SE, "val_accuracy", 49)) == 1
    )  # √(0.98 · 0.02 / 49) = 0.02: just within


def test_of_equal_sizes_the_better_one_wins() -> None:
    runs = [sized(0, 0.98, 500, lr=1), sized(1, 0.9795, 100, lr=2), sized(2, 0.9798, 100, lr=3)]
    assert number_of(select(runs, SelectionRule.ONE_SE, "val_accuracy", IMAGES)) == 2


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [(0.981, "whose accuracy is 0.0010 lower"), (0.98, "is 0.0000 higher, which is within 0.0014")],
)
def test_the_reason_is_right_where_the_smallest_is_as_accurate_as_the_best_by_loss(accuracy: float, words: str) -> None:
    runs = [sized(0, 0.98, 20_000, loss=0.1), sized(1, accuracy, 10_000, loss=0.2)]
    selected = select(runs, SelectionRule.ONE_SE, "val_loss", IMAGES)
    assert selected.chosen.run.number == 1
    assert selected.reason.endswith(words)


def test_the_reason_states_that_the_best_is_also_the_smallest() -> None:
    selected = select([sized(0, 0.98, 10), sized(1, 0.9795, 500)], SelectionRule.ONE_SE, "val_accuracy", IMAGES)
    assert number_of(selected) == 0
    assert selected.reason == "the fewest weights of those within 0.0014 of the best accuracy, which is its own"


@pytest.mark.parametrize("rule", SelectionRule)
def test_a_single_run_is_chosen_by_every_rule(rule: SelectionRule) -> None:
    selected = select([sized(0, 0.5, 10)], rule, "val_accuracy", IMAGES)
    assert number_of(selected) == 0
    assert [*selected.tied, *selected.ranked] == [selected.chosen] * 2
    assert selected.reason


def test_a_best_accuracy_of_zero_has_no_margin() -> None:
    selected = select([sized(0, 0.0, 10), sized(1, 0.0, 5)], SelectionRule.ONE_SE, "val_accuracy", IMAGES)
    assert selected.margin == 0
    assert number_of(selected) == 1


@pytest.mark.parametrize(("rule", "mistakes"), [(SelectionRule.ONE_SE, 1), (SelectionRule.SMALLEST, 4)])
def test_a_perfect_best_also_has_ties(rule: SelectionRule, mistakes: int) -> None:
    runs = [sized(0, 1.0, 900), sized(1, 1 - mistakes / IMAGES, 10), sized(2, 1 - (mistakes + 1) / IMAGES, 1)]
    selected = select(runs, rule, "val_accuracy", IMAGES)
    assert selected.margin == pytest.approx(mistakes / IMAGES)
    assert [one.run.number for one in selected.tied] == [0, 1]
    assert number_of(selected) == 1


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98, 0.995])
@pytest.mark.parametrize("images", [1000, 6000, 10_000])
def test_the_margin_is_that_of_wilsons_interval_to_the_nearest_image(accuracy: float, images: int) -> None:
    right = round(accuracy * images)
    low = stats.binomtest(right, images).proportion_ci(0.95, method="wilson").low
    margin = selection.tie_margin(right / images, images, SelectionRule.SMALLEST.standard_errors)
    assert margin == pytest.approx(right / images - low, abs=0.501 / images)
    # A standard error of the accuracy itself, which it was before, differs by few images.
    usual = SelectionRule.SMALLEST.standard_errors * math.sqrt(accuracy * (1 - accuracy) / images)
    assert abs(margin - usual) * images <= 3


def test_equal_accuracies_are_ties_however_they_were_rounded() -> None:
    runs = [sized(0, 1.0, 10), sized(1, 1.0 - 1e-12, 5)]
    assert number_of(select(runs, SelectionRule.ONE_SE, "val_accuracy", IMAGES)) == 1


def test_a_loss_objective_ranks_by_the_loss_and_ties_by_the_accuracy_of_its_best() -> None:
    runs = [sized(0, 0.98, 9000, loss=0.1), sized(1, 0.99, 9001, loss=0.2), sized(2, 0.9795, 10, loss=0.3)]
    by_rule = {rule: select(runs, rule, "val_loss", IMAGES) for rule in SelectionRule}
    assert number_of(by_rule[SelectionRule.BEST]) == 0
    assert [one.run.number for one in by_rule[SelectionRule.BEST].ranked] == [0, 1, 2]
    assert "the best val_loss" in by_rule[SelectionRule.BEST].reason
    assert number_of(by_rule[SelectionRule.ONE_SE]) == 2


@pytest.mark.parametrize("rule", SelectionRule)
def test_selecting_among_runs_that_may_not_win_is_refused(rule: SelectionRule) -> None:
    runs = [run(0, math.nan), run(1, loss=MLFLOW_INFINITY), run(2, state=TrialState.PRUNED), run(3, model_id=None)]
    with pytest.raises(NotFoundError, match="no complete trial with finite metrics and a model that is READY"):
        select(runs, rule, "val_accuracy", IMAGES)


def test_runs_that_may_not_win_are_not_tied() -> None:
    runs = [sized(0, 0.98, 900), replace(sized(1, 0.98, 10), model_id=None), sized(2, MLFLOW_INFINITY, 5)]
    selected = select(runs, SelectionRule.SMALLEST, "val_accuracy", IMAGES)
    assert [one.run.number for one in selected.ranked] == [0]


def several() -> list[RunRecord]:
    """Two configurations: one with the best single seed, one with the better mean."""
    lucky = [sized(seed, value, 100, seed=seed) for seed, value in enumerate([0.99, 0.95, 0.96])]
    steady = [sized(3 + seed, value, 200, seed=seed) for seed, value in enumerate([0.97, 0.975, 0.98])]
    return [*lucky, *steady]


def test_runs_that_differ_by_their_seed_alone_are_one_configuration_ranked_by_its_mean() -> None:
    steady, lucky = configurations(several())
    assert [run.number for run in steady.runs] == [5, 4, 3]
    assert [run.number for run in lucky.runs] == [0, 2, 1]
    assert steady.mean("val_accuracy") == pytest.approx(0.975)
    assert (steady.weights, lucky.run.number) == (200, 0)


def test_rank_best_run_and_select_agree_on_the_best_of_several_seeds() -> None:
    runs = several()
    ranked, best = ranking.rank(runs), ranking.best_run(runs)
    assert numbers(ranked) == [5, 4, 3, 0, 2, 1]
    assert best == ranked[0] == select(runs, SelectionRule.BEST, "val_accuracy", IMAGES).chosen.run


def test_of_several_seeds_the_best_run_of_the_best_mean_is_selected() -> None:
    selected = select(several(), SelectionRule.BEST, "val_accuracy", IMAGES)
    assert number_of(selected) == 5
    assert selected.reason.startswith("the best mean val_accuracy; 0 others within")


def test_a_mean_has_the_interval_of_students_t() -> None:
    (steady, _), values = configurations(several()), [0.97, 0.975, 0.98]
    expected = stats.t.interval(0.95, 2, loc=0.975, scale=stats.sem(values))
    assert steady.interval("val_accuracy") == pytest.approx(expected)


def test_a_single_seed_has_no_interval() -> None:
    (one,) = configurations([sized(0, 0.98, 10, seed=1)])
    assert one.interval("val_accuracy") is None


def test_without_seeds_every_setting_is_one_configuration() -> None:
    runs = [sized(0, 0.98, 10, l2=0.0), sized(1, 0.97, 10, l2=0.1), sized(2, 0.96, 20, l2=0.0)]
    assert [[run.number for run in one.runs] for one in configurations(runs)] == [[0], [1], [2]]


SIZED = [sized(0, 0.90, 100), sized(1, 0.95, 500), sized(2, 0.94, 600), sized(3, 0.99, 5000), sized(4, 0.90, 90)]


def test_the_front_is_in_the_order_of_its_runs() -> None:
    ranked = ranking.configurations(SIZED)
    front = ranking.front(ranked, (VAL_ACCURACY, MODEL_SIZE))
    assert [one.run.number for one in front] == [3, 1, 4]


@pytest.mark.parametrize(("bound", "number"), [(None, 3), (5000, 3), (4999, 1), (500, 1), (499, 0), (90, 4)])
def test_a_maximum_number_of_weights_selects_the_best_within_it(bound: int | None, number: int) -> None:
    selected = select(SIZED, SelectionRule.BEST, "val_accuracy", 1000, bound)
    assert number_of(selected) == number
    assert all(bound is None or one.weights <= bound for one in selected.ranked)


def test_a_maximum_below_all_runs_is_refused_with_the_smallest() -> None:
    with pytest.raises(NotFoundError, match="no model of at most 89 weights; the smallest has 90"):
        select(SIZED, SelectionRule.BEST, "val_accuracy", 1000, 89)
