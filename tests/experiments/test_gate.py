"""The gate before the champion: every check passing and failing, over values made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from handmade import candidate

from experiments.gate import Candidate, Check, Verdict, examine, verdict

NO_MISTAKES: list[int] = []


def check(name: str, new: Candidate, champion: Candidate | None = None, floor: float = 0.9) -> Check:
    """The check of that name, which there is once."""
    (found,) = (one for one in examine(new, champion, floor) if one.name == name)
    return found


def test_a_good_first_champion_passes_every_check() -> None:
    checks = examine(candidate(0, wrong=[3]), champion=None)
    assert [one.name for one in checks] == ["model", "file", "finite", "accuracy", "champion"]
    assert all(one.passed for one in checks)
    assert verdict(checks, force=None) is Verdict.PASSED
    assert check("champion", candidate(0, wrong=[3])).figure == "there is none yet"


def test_model_and_file_are_named_by_what_tells_them_from_others() -> None:
    new = candidate(7, NO_MISTAKES)
    assert check("model", new).figure == "m-7 is READY"
    assert f"{7:064x}"[:12] in check("file", new).figure


@pytest.mark.parametrize(
    ("mistakes", "floor", "passed"), [(10, 0.9, True), (11, 0.9, False), (0, 1.0, True), (100, 0.0, True)]
)
def test_the_accuracy_has_to_reach_the_floor(mistakes: int, floor: float, passed: bool) -> None:
    found = check("accuracy", candidate(0, range(mistakes)), floor=floor)
    assert found.passed is passed
    assert found.figure.startswith(f"{1 - mistakes / 100:.4f} [")
    assert f"at least {floor:g} asked" in found.figure


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_a_validation_figure_that_is_no_number_fails_and_is_named(odd: float) -> None:
    new = candidate(0, NO_MISTAKES, metrics={"best_val_accuracy": 0.9, "best_val_loss": odd, "seconds": math.inf})
    found = check("finite", new)
    assert not found.passed
    assert found.figure == "not finite: best_val_loss"


def test_finite_figures_are_counted() -> None:
    assert check("finite", candidate(0, NO_MISTAKES)).figure == "all 8 figures of validation and test"


# Of the images on which the two differ, all are lost by the newcomer: with 5, p = 2 / 2⁵; with 6, p = 2 / 2⁶.
@pytest.mark.parametrize(("lost", "passed"), [(5, True), (6, False), (40, False)])
def test_a_newcomer_must_not_be_significantly_worse(lost: int, passed: bool) -> None:
    found = check("champion", candidate(1, range(lost)), candidate(0, NO_MISTAKES))
    assert found.passed is passed
    assert found.figure.startswith("not significantly unlike" if passed else "significantly worse than")
    assert f"0 recognised by it alone, {lost} by the champion alone (McNemar p = {2 / 2**lost:.2g})" in found.figure
    assert "small/trial-000: of 100 images" in found.figure


def test_a_newcomer_that_is_significantly_better_passes_and_that_is_said() -> None:
    found = check("champion", candidate(1, NO_MISTAKES), candidate(0, range(6)))
    assert found.passed
    assert found.figure.startswith("significantly better than small/trial-000")
    assert "6 recognised by it alone, 0 by the champion alone" in found.figure


def test_as_many_mistakes_on_other_images_are_no_worse() -> None:
    found = check("champion", candidate(1, range(20)), candidate(0, range(50, 70)))
    assert found.passed
    assert found.figure.startswith("not significantly unlike")


def test_the_champion_itself_is_not_compared_with_itself() -> None:
    reigning = candidate(0, range(3))
    assert check("champion", reigning, reigning).figure == "it is the champion"


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
    checks = examine(candidate(0, NO_MISTAKES), None)
    for index, each in enumerate(checks):
        failing = [*checks[:index], replace(each, passed=False), *checks[index + 1 :]]
        assert verdict(failing, None) is Verdict.REFUSED
