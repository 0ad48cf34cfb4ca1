"""The gate before the champion: every check passing and failing, on made values."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.registry.gate import (
    MARGIN,
    NO_FORMER,
    Check,
    EvaluatedRun,
    FormerChampions,
    Verdict,
    needed_margin,
    run_checks,
    verdict,
)
from mnist_core import classification
from mnist_core.classification import paired_lower_bound
from tests.helpers.factories import candidate, run

NO_MISTAKES: list[int] = []


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw ten bootstrap resamples for each evaluation: no check reads a bootstrap interval."""
    monkeypatch.setattr(classification, "RESAMPLES", 10)


def check(
    name: str,
    new: EvaluatedRun,
    champion: EvaluatedRun | None = None,
    former: FormerChampions = NO_FORMER,
    floor: float = 0.9,
    margin: float | None = None,
) -> Check:
    """The one check of that name."""
    (found,) = (one for one in run_checks(new, champion, former, floor, margin) if one.name == name)
    return found


def test_a_good_first_champion_passes_every_check() -> None:
    checks = run_checks(candidate(0, wrong=[3]), champion=None)
    assert [one.name for one in checks] == ["finite", "accuracy", "champion", "former"]
    assert all(one.passed for one in checks)
    assert verdict(checks, force=None) is Verdict.PASSED
    assert check("champion", candidate(0, wrong=[3])).detail == "no champion yet"
    assert check("former", candidate(0, wrong=[3])).detail == "no former champion to compare with"


@pytest.mark.parametrize(
    ("mistakes", "floor", "passed"), [(10, 0.9, True), (11, 0.9, False), (0, 1.0, True), (100, 0.0, True)]
)
def test_the_accuracy_must_reach_the_floor(mistakes: int, floor: float, passed: bool) -> None:
    found = check("accuracy", candidate(0, range(mistakes)), floor=floor)
    assert found.passed is passed
    assert found.detail.startswith(f"{1 - mistakes / 100:.4f} [")
    assert f"at least {floor:g} required" in found.detail


# An infinity comes back from MLflow as the largest double.
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, sys.float_info.max, -sys.float_info.max])
def test_a_validation_metric_that_is_not_finite_fails_and_is_named(value: float) -> None:
    new = candidate(0, NO_MISTAKES, metrics={"best_val_accuracy": 0.9, "best_val_loss": value, "seconds": math.inf})
    found = check("finite", new)
    assert not found.passed
    assert found.detail == "not finite: best_val_loss"


def test_finite_metrics_are_counted() -> None:
    assert check("finite", candidate(0, NO_MISTAKES)).detail == "all 8 validation and test metrics"


# Of 10,000 images, 21 lost ones give a bound of -0.0029995, 22 one of -0.0031169.
@pytest.mark.parametrize(("lost", "passed"), [(20, True), (21, True), (22, False), (40, False)])
def test_a_candidate_must_not_be_worse_than_the_champion_by_more_than_the_margin(lost: int, passed: bool) -> None:
    images = 10_000
    found = check("champion", candidate(1, range(lost), images), candidate(0, NO_MISTAKES, images))
    assert found.passed is passed
    assert found.detail.startswith("no worse than" if passed else "not shown to be no worse than")
    bound = paired_lower_bound(0, lost, images)
    assert (bound >= -0.003) is passed
    for part in (
        f"small/trial-000: accuracy {-lost / images:+.4f}, at least {bound:+.4f} with 95% confidence",
        f"{-MARGIN:+.4f} allowed; of 10,000 images",
        f"0 recognised by this run only, {lost} by the other only (McNemar p = {2 / 2**lost:.2g})",
    ):
        assert part in found.detail


@pytest.mark.parametrize(("margin", "passed"), [(0.0, False), (0.05, False), (0.1, True), (1.0, True)])
def test_the_margin_is_the_users_where_one_is_given(margin: float, passed: bool) -> None:
    found = check("champion", candidate(1, range(5)), candidate(0, NO_MISTAKES), margin=margin)
    assert found.passed is passed
    assert f"{-margin:+.4f} allowed" in found.detail


def test_a_better_candidate_passes_with_any_margin() -> None:
    found = check("champion", candidate(1, NO_MISTAKES), candidate(0, range(6)), margin=0)
    assert found.passed
    assert "accuracy +0.0600" in found.detail
    assert "6 recognised by this run only, 0 by the other only" in found.detail


def test_a_candidate_with_as_many_mistakes_on_other_images_passes() -> None:
    count = 10_000
    new, champion = candidate(1, range(60, 260), count), candidate(0, range(200), count)
    assert check("champion", new, champion).passed


@pytest.mark.parametrize("images", [1, 20, 1000, 60_000])
def test_a_candidate_equal_to_a_champion_without_mistakes_passes_on_any_number_of_images(images: int) -> None:
    assert check("champion", candidate(1, NO_MISTAKES, images), candidate(0, NO_MISTAKES, images)).passed


@pytest.mark.parametrize(("images", "mistakes"), [(250, 30), (1000, 20), (1000, 100), (10_000, 200), (10_000, 1000)])
def test_equal_networks_pass_the_needed_margin_with_a_probability_of_four_fifths(images: int, mistakes: int) -> None:
    margin, differing = needed_margin(images, mistakes), math.ceil(2 * mistakes / 3)
    passing = [
        count
        for count in range(differing + 1)
        if paired_lower_bound(count, differing - count, images) >= -margin - 1e-9
    ]
    probability = stats.binom.sf(passing[0] - 1, differing, 0.5)
    assert 0.8 <= probability <= 0.92
    # One image less, and fewer would pass.
    assert stats.binom.sf(passing[0], differing, 0.5) < 0.8


def test_the_default_margin_is_enough_on_ten_thousand_images_and_not_on_a_thousand() -> None:
    assert needed_margin(10_000, 198) < MARGIN < needed_margin(1000, 20)


def worse_mistakes(count: int, than: set[int], rng: np.random.Generator, images: int) -> set[int]:
    """Mistakes of another network: two thirds of the given ones, and ``count`` more than those in all."""
    kept = set(rng.choice(sorted(than), size=2 * len(than) // 3, replace=False).tolist())
    others = sorted(set(range(images)) - than)
    return kept | set(rng.choice(others, size=len(than) - len(kept) + count, replace=False).tolist())


def test_successive_champions_cannot_fall_below_the_best_by_more_than_the_margin() -> None:
    images, rng = 10_000, np.random.default_rng(0)
    mistakes = [set(range(200))]
    champions = [candidate(0, sorted(mistakes[0]), images)]
    promoted = 0
    for number in range(1, 25):
        wrong = worse_mistakes(8, mistakes[-1], rng, images)
        new = candidate(number, sorted(wrong), images)
        if all(one.passed for one in run_checks(new, champions[-1], FormerChampions(champions[:-1]))):
            champions.append(new)
            mistakes.append(wrong)
            promoted += 1
    allowed = max(MARGIN, needed_margin(images, min(map(len, mistakes))))
    assert promoted  # one that is a little worse passes
    assert max(map(len, mistakes)) - min(map(len, mistakes)) <= allowed * images
    # Against the newest champion alone, each of so many steps would pass.
    chain = [set(range(200))]
    for number in range(1, 9):
        chain.append(worse_mistakes(8, chain[-1], rng, images))
        before, after = (candidate(number, sorted(wrong), images) for wrong in chain[-2:])
        assert check("champion", replace(after, run=run(99)), before).passed
    assert len(chain[-1]) - len(chain[0]) > allowed * images


def test_a_candidate_is_compared_with_the_most_accurate_former_champion() -> None:
    count = 1000
    former = FormerChampions([candidate(0, range(90), count), candidate(1, range(3), count)])
    found = check("former", candidate(3, range(60), count), candidate(2, range(60), count), former)
    assert not found.passed
    assert found.detail.startswith("not shown to be no worse than small/trial-001: accuracy -0.0570")


def test_former_champions_that_cannot_be_compared_are_named() -> None:
    skipped = FormerChampions([], ["version 1", "version 4"])
    note = "; not evaluated on these images: version 1, version 4"
    assert check("former", candidate(0, [1]), former=skipped).detail == f"no former champion to compare with{note}"
    some = FormerChampions([candidate(1, [2])], ["version 4"])
    assert check("former", candidate(0, [1]), former=some).detail.endswith("images: version 4")


def test_the_best_former_champion_passes_against_itself() -> None:
    best = candidate(1, NO_MISTAKES)
    found = check("former", best, candidate(2, range(5)), FormerChampions([best, candidate(0, range(50))]))
    assert (found.passed, found.detail) == (True, "this run is the best former champion")


def test_the_champion_is_not_compared_with_itself() -> None:
    current = candidate(0, range(3))
    assert check("champion", current, current).detail == "this run is the champion"


@pytest.mark.parametrize(
    ("passed", "force", "expected"),
    [
        ([True, True], None, Verdict.PASSED),
        ([True, True], "because", Verdict.PASSED),
        ([True, False], None, Verdict.REFUSED),
        ([True, False], "because", Verdict.FORCED),
        ([False, False], None, Verdict.REFUSED),
    ],
)
def test_the_verdict_follows_from_the_checks_and_the_reason(
    passed: list[bool], force: str | None, expected: Verdict
) -> None:
    checks = [Check(str(number), each, "") for number, each in enumerate(passed)]
    assert verdict(checks, force) is expected


def test_one_failed_check_is_enough() -> None:
    checks = run_checks(candidate(0, NO_MISTAKES), None)
    for index, each in enumerate(checks):
        failing = [*checks[:index], replace(each, passed=False), *checks[index + 1 :]]
        assert verdict(failing, None) is Verdict.REFUSED
