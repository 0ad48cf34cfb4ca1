"""Metrics of a classifier, compared with scikit-learn, with values worked out by hand, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics

from mnist_core.classification import (
    Evaluation,
    confident_mistakes,
    evaluate_predictions,
    mcnemar,
    paired_lower_bound,
    wilson,
)
from mnist_core.errors import DataError, NonFiniteError

Labels = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float64]

MACRO = ("macro_precision", "macro_recall", "macro_f1")

seeded = settings(derandomize=True, database=None, deadline=None, max_examples=15)


def random_probabilities(count: int, seed: int = 0, skill: float = 2.0) -> tuple[Probabilities, Labels]:
    """Random probabilities, raised for the true digit by ``skill``, and labels with equal numbers of each digit."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    scores = rng.normal(size=(count, 10))
    scores[np.arange(count), labels] += skill
    shares = np.exp(scores)
    return shares / shares.sum(axis=1, keepdims=True), labels


def probabilities_of(*answers: tuple[int, int, float]) -> tuple[Probabilities, Labels]:
    """Probabilities and labels from (label, predicted, its probability); the rest is spread evenly."""
    rows = []
    for _, answer, share in answers:
        row = np.full(10, (1 - share) / 9)
        row[answer] = share
        rows.append(row)
    return np.array(rows), np.array([truth for truth, *_ in answers], np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_equals_that_of_scikit_learn(seed: int) -> None:
    probabilities, labels = random_probabilities(500, seed)
    answers = probabilities.argmax(axis=1)
    found = evaluate_predictions(probabilities, labels)
    assert found.images == 500
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(labels, answers))
    macro = metrics.precision_recall_fscore_support(labels, answers, average="macro")[:3]
    assert [getattr(found, name).value for name in MACRO] == pytest.approx(macro)
    assert found.log_loss.value == pytest.approx(metrics.log_loss(labels, probabilities))
    assert found.confusion == tuple(map(tuple, metrics.confusion_matrix(labels, answers)))
    each = metrics.precision_recall_fscore_support(labels, answers)
    assert [(c.precision, c.recall, c.f1, c.images) for c in found.classes] == list(zip(*each, strict=True))
    assert [one.label for one in found.classes] == list(range(10))


def test_a_small_case_equals_the_values_worked_out_by_hand() -> None:
    found = evaluate_predictions(*probabilities_of((0, 0, 0.5), (0, 1, 0.55), (1, 1, 0.25), (1, 1, 0.5)))
    assert found.accuracy.value == 0.75
    assert found.errors == 1
    # Precision 1 and 2/3, recall 1/2 and 1; the eight digits without images do not count.
    assert found.macro_precision.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.macro_recall.value == pytest.approx(0.75)
    assert found.macro_f1.value == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found.log_loss.value == pytest.approx(-(2 * math.log(0.5) + math.log(0.05) + math.log(0.25)) / 4)
    assert [row[:2] for row in found.confusion[:2]] == [(1, 1), (0, 2)]
    assert list(map(str, found.confused())) == ["0 predicted as 1 (1)"]


def test_calibration_errors_of_two_bins_add_up_and_do_not_cancel() -> None:
    # Four predictions at 90%, three of them correct; six at 55%, four of them correct: one bin above, one below.
    bold = [(3, 3, 0.9)] * 3 + [(3, 4, 0.9)]
    shy = [(5, 5, 0.55)] * 4 + [(5, 6, 0.55)] * 2
    found = evaluate_predictions(*probabilities_of(*bold, *shy))
    assert found.calibration_error.value == pytest.approx((abs(3.6 - 3) + abs(3.3 - 4)) / 10)


def test_a_probability_of_1_belongs_to_the_last_bin() -> None:
    assert evaluate_predictions(*probabilities_of((1, 1, 1.0), (2, 2, 1.0))).calibration_error.value == 0
    assert evaluate_predictions(*probabilities_of((1, 2, 1.0), (2, 1, 1.0))).calibration_error.value == 1


def test_the_log_loss_of_a_certain_mistake_is_large_and_finite() -> None:
    found = evaluate_predictions(*probabilities_of((1, 2, 1.0), (2, 2, 1.0)))
    assert found.log_loss.value == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2)


def test_a_digit_that_is_never_predicted_has_no_precision_and_no_recall() -> None:
    found = evaluate_predictions(*probabilities_of((7, 1, 0.9), (1, 1, 0.9)))
    seven = found.classes[7]
    assert (seven.images, seven.precision, seven.recall, seven.f1) == (1, 0, 0, 0)


def test_the_most_frequent_confusions_come_first() -> None:
    found = evaluate_predictions(
        *probabilities_of(*[(4, 9, 0.9)] * 3, *[(3, 5, 0.9)] * 2, (0, 6, 0.9), *[(1, 1, 0.9)] * 9)
    )
    pairs = found.confused()
    assert [(pair.label, pair.predicted, pair.count) for pair in pairs] == [(4, 9, 3), (3, 5, 2), (0, 6, 1)]
    assert found.confused(1) == pairs[:1]


# Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, score method.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_equal_the_published_ones(successes: int, trials: int, low: float, high: float) -> None:
    share = wilson(successes, trials)
    assert share.value == successes / trials
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


@seeded
@given(st.integers(1, 20).flatmap(lambda tens: st.tuples(st.just(10 * tens), st.integers(0, 99), st.floats(0, 6))))
def test_every_interval_contains_its_value_and_is_within_the_range_of_the_metric(case: tuple[int, int, float]) -> None:
    found = evaluate_predictions(*random_probabilities(*case))
    for name, one in found.headline().items():
        assert 0 <= one.low <= one.high, name
        assert name == "log_loss" or one.high <= 1, name
        assert one.low <= one.value <= one.high, name


def test_intervals_shrink_with_the_root_of_the_number_of_images() -> None:
    few, many = (
        evaluate_predictions(*random_probabilities(400)).headline(),
        evaluate_predictions(*random_probabilities(6400)).headline(),
    )
    for name in few:
        ratio = (few[name].high - few[name].low) / (many[name].high - many[name].low)
        # Sixteen times the images: a quarter of the width, within the noise of a thousand resamples.
        assert 2.5 < ratio < 6, name


def test_the_bootstrap_is_seeded() -> None:
    probabilities, labels = random_probabilities(200)
    first, again, other = (evaluate_predictions(probabilities, labels, seed) for seed in (1, 1, 2))
    assert first == again
    assert other.macro_f1.value == first.macro_f1.value
    assert other.macro_f1.low != first.macro_f1.low


@seeded
@given(st.integers(0, 99))
def test_the_order_of_the_images_does_not_matter(seed: int) -> None:
    probabilities, labels = random_probabilities(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    values = [figures(evaluate_predictions(probabilities[chosen], labels[chosen])) for chosen in (np.arange(60), order)]
    assert values[0] == pytest.approx(values[1])


def figures(evaluation: Evaluation) -> list[float]:
    return [one.value for one in evaluation.headline().values()]


@pytest.mark.parametrize("shape", [(3, 10), (5, 10), (4, 9), (4, 11), (40,), (4, 10, 1)])
def test_shapes_that_do_not_match_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"probabilities: expected shape \(4, 10\)") as refusal:
        evaluate_predictions(np.zeros(shape), np.zeros(4, np.uint8))
    assert str(shape) in str(refusal.value)


def test_an_empty_test_set_is_refused() -> None:
    with pytest.raises(DataError, match="one row or more"):
        evaluate_predictions(np.zeros((0, 10)), np.zeros(0, np.uint8))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_nan_is_refused_with_the_number_of_affected_images(odd: float) -> None:
    probabilities, labels = random_probabilities(30)
    probabilities[[3, 7], 2] = odd
    with pytest.raises(NonFiniteError, match="received others for 2 of 30"):
        evaluate_predictions(probabilities, labels)


def pair(first_only: int, second_only: int, both: int = 5) -> tuple[Labels, Labels, Labels]:
    """Predictions of two classifiers by numbers of images that only one, or both, predict correctly; labels are 1."""
    first = np.repeat([1, 0, 1], [first_only, second_only, both]).astype(np.uint8)
    second = np.repeat([0, 1, 1], [first_only, second_only, both]).astype(np.uint8)
    return first, second, np.ones_like(first)


# Twice the tail of the binomial distribution with one half, by hand: 2 · (C(10, 0) + C(10, 1)) / 2¹⁰ for 1 and 9.
@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [(0, 5, 2 / 32), (6, 0, 2 / 64), (1, 9, 22 / 1024), (9, 1, 22 / 1024), (5, 5, 1.0), (0, 1, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(first_only: int, second_only: int, p_value: float) -> None:
    test = mcnemar(*pair(first_only, second_only))
    assert (test.first_only, test.second_only) == (first_only, second_only)
    assert test.p_value == pytest.approx(p_value)


def test_mcnemar_ignores_images_on_which_both_agree() -> None:
    assert mcnemar(*pair(1, 9, both=0)).p_value == mcnemar(*pair(1, 9, both=500)).p_value


@pytest.mark.parametrize("both", [0, 100])
def test_classifiers_that_never_differ_have_a_p_value_of_1(both: int) -> None:
    assert mcnemar(*pair(0, 0, both)).p_value == 1


def test_different_mistakes_on_the_same_image_are_no_difference() -> None:
    answers = np.array([2, 3], np.uint8)
    assert mcnemar(answers, answers[::-1], np.array([1, 1], np.uint8)).p_value == 1


def test_confident_mistakes_are_the_wrong_images_with_the_most_confident_first() -> None:
    probabilities, labels = probabilities_of(
        (1, 1, 0.99), (2, 3, 0.6), (4, 5, 0.9), (6, 6, 0.5), (7, 8, 0.7), (0, 9, 0.9)
    )
    assert confident_mistakes(probabilities, labels).tolist() == [2, 5, 4, 1]
    assert confident_mistakes(probabilities, labels, count=2).tolist() == [2, 5]


def test_a_classifier_without_mistakes_has_no_confident_mistakes() -> None:
    assert confident_mistakes(*probabilities_of((1, 1, 0.9), (2, 2, 0.9))).tolist() == []


def score_of(first_only: int, second_only: int, images: int, difference: float) -> float:
    """The score statistic with the most likely shares found by search instead of by a formula."""
    both = images - first_only - second_only

    def unlikelihood(share: float) -> float:
        rest = max(1e-300, 1 - 2 * share - difference)
        terms = [(first_only, share + difference), (second_only, share), (both, rest)]
        return -sum(count * math.log(max(1e-300, part)) for count, part in terms if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    share = optimize.minimize_scalar(unlikelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (first_only - second_only - images * difference) / math.sqrt(
        images * (2 * share + difference - difference**2)
    )


@pytest.mark.parametrize(
    ("first_only", "second_only", "images"), [(12, 2, 50), (0, 5, 100), (70, 56, 10_000), (5, 9, 1000), (3, 40, 60)]
)
def test_the_paired_bound_is_the_difference_whose_score_is_the_quantile(
    first_only: int, second_only: int, images: int
) -> None:
    bound = paired_lower_bound(first_only, second_only, images)
    assert score_of(first_only, second_only, images, bound) == pytest.approx(stats.norm.ppf(0.95), abs=1e-3)


def test_the_paired_bound_equals_that_of_the_example_in_the_paper() -> None:
    # Tango 1998: of 44 lenses, one differed; the interval of 95% begins at −0.118.
    assert paired_lower_bound(0, 1, 44, 0.975) == pytest.approx(-0.118, abs=5e-4)


@pytest.mark.parametrize("images", [1, 10, 10_000])
def test_without_differing_images_the_paired_bound_depends_on_their_number_alone(images: int) -> None:
    square = stats.norm.ppf(0.95) ** 2
    assert paired_lower_bound(0, 0, images) == pytest.approx(-square / (images + square))


@pytest.mark.parametrize(("first_only", "second_only"), [(0, 7), (7, 0), (3, 4)])
def test_the_paired_bound_of_images_that_all_differ_is_a_difference(first_only: int, second_only: int) -> None:
    bound = paired_lower_bound(first_only, second_only, 7)
    assert -1 <= bound < max((first_only - second_only) / 7, -1 + 1e-9)


@pytest.mark.parametrize("difference", [-0.1, 0.0, 0.05])
def test_the_paired_bound_is_below_the_true_difference_with_its_confidence(difference: float) -> None:
    images, second = 200, 0.12
    shares = [second + difference, second, 1 - 2 * second - difference]
    drawn = np.random.default_rng(1).multinomial(images, shares, size=2000)
    below = [paired_lower_bound(int(first), int(other), images) <= difference for first, other, _ in drawn]
    assert np.mean(below) == pytest.approx(0.95, abs=0.02)
