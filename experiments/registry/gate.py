"""The gate before the alias ``champion``: pure checks over figures that were read, each with what it saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from experiments.evaluation import EvaluationRecord
from experiments.selection import STORED_INFINITY
from experiments.tracking.records import FLOOR, RunRecord
from mnist_core.classification import mcnemar, paired_lower_bound

MARGIN = 0.003
"""How much less accurate than a champion a candidate may be, as a share, where the images are enough to tell."""
POWER = 0.8
"""How probably a candidate that is as good as the champion passes :func:`needed_margin`."""
OWN_MISTAKES = 2 / 3
"""Images on which two equally good networks differ, for each mistake of one: of 10,000 images, two champions with 184
and 198 mistakes differed on 126."""


class Verdict(Enum):
    """What the gate says of a candidate."""

    PASSED = "passed"
    REFUSED = "refused"
    FORCED = "forced"
    """It would be refused, but for the reason that the user gave."""


@dataclass(frozen=True)
class Check:
    """One condition.

    Args:
        name: what was looked at.
        passed: whether it holds.
        figure: what was seen, and what was expected.
    """

    name: str
    passed: bool
    figure: str


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose model was fetched and found to be the one that was logged, and what it did on the test set."""

    run: RunRecord
    evaluation: EvaluationRecord


@dataclass(frozen=True)
class FormerChampions:
    """Those that were champion before the current one and were not rolled back.

    Args:
        evaluated: recorded on the images of the candidate.
        skipped: titles of the others, which cannot be compared.
    """

    evaluated: Sequence[EvaluatedRun] = ()
    skipped: Sequence[str] = ()


NO_FORMER = FormerChampions()


def run_checks(
    candidate: EvaluatedRun,
    champion: EvaluatedRun | None,
    former: FormerChampions = NO_FORMER,
    floor: float = FLOOR,
    margin: float | None = None,
) -> list[Check]:
    """Every check. That the candidate's model is there and is the one that was logged was a condition to come here.

    The candidate has to be no worse than the champion by more than the margin, with a confidence of 95%: the bound of
    :func:`mnist_core.classification.paired_lower_bound` lies above ``-margin``. The same holds against the most
    accurate of the former champions, or one champion after the other could each be a little worse.

    Args:
        candidate: that wants to be champion.
        champion: that is, evaluated on the same images; None where there is none.
        former: those before it.
        floor: least test accuracy, in [0, 1].
        margin: as a share, in [0, 1]; None takes ``MARGIN``, or :func:`needed_margin` where that is more.
    """
    accuracy = candidate.evaluation.metrics.accuracy
    return [
        _finite(candidate),
        Check(
            "accuracy",
            accuracy.value >= floor,
            f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}] on the test set, at least {floor:g} asked",
        ),
        _against_champion(candidate, champion, margin),
        _against_former(candidate, former, margin),
    ]


def needed_margin(images: int, mistakes: int) -> float:
    """The margin that a candidate as good as its champion passes with a probability of ``POWER`` or more.

    Taken are two networks that differ on ``OWN_MISTAKES`` images for each mistake of the champion, each recognising
    as many of them as chance gives: with ``POWER``, the candidate gets at least the quantile of the binomial
    distribution that this margin lets pass. Where there are no mistakes, it lets an equal one pass.

    Args:
        images: of the test set, 1 or more.
        mistakes: of the champion.

    Returns:
        A share, in [0, 1].
    """
    from scipy.stats import binom

    differing = math.ceil(OWN_MISTAKES * mistakes)
    candidate_only = int(binom.ppf(1 - POWER, differing, 0.5)) if differing else 0
    return -paired_lower_bound(candidate_only, differing - candidate_only, images)


def verdict(checks: Sequence[Check], force: str | None) -> Verdict:
    """What follows from the checks, and from the user's reason to override them."""
    if all(check.passed for check in checks):
        return Verdict.PASSED
    return Verdict.FORCED if force else Verdict.REFUSED


def _finite(candidate: EvaluatedRun) -> Check:
    figures = {
        **{name: value for name, value in candidate.run.metrics.items() if name.startswith("best_")},
        **{name: estimate.value for name, estimate in candidate.evaluation.metrics.headline().items()},
    }
    odd = [name for name, value in figures.items() if not abs(value) < STORED_INFINITY]
    seen = f"not finite: {', '.join(odd)}" if odd else f"all {len(figures)} figures of validation and test"
    return Check("finite", not odd, seen)


def _against_champion(candidate: EvaluatedRun, champion: EvaluatedRun | None, margin: float | None) -> Check:
    if champion is None:
        return Check("champion", True, "there is none yet")
    if champion.run.run_id == candidate.run.run_id:
        return Check("champion", True, "it is the champion")
    return _no_worse("champion", candidate, champion, margin)


def _against_former(candidate: EvaluatedRun, former: FormerChampions, margin: float | None) -> Check:
    skipped = f"; not compared, for want of a record on these images: {', '.join(former.skipped)}"
    note = skipped if former.skipped else ""
    if not former.evaluated:
        return Check("former", True, f"no former champion to compare with{note}")
    best = max(former.evaluated, key=lambda one: -_mistakes(one))
    if best.run.run_id == candidate.run.run_id:
        return Check("former", True, f"it is the best former champion{note}")
    check = _no_worse("former", candidate, best, margin)
    return replace(check, figure=f"{check.figure}{note}")


def _no_worse(name: str, candidate: EvaluatedRun, reference: EvaluatedRun, margin: float | None) -> Check:
    labels = candidate.evaluation.labels
    images = len(labels)
    test = mcnemar(candidate.evaluation.predicted, reference.evaluation.predicted, labels)
    bound = paired_lower_bound(test.first_only, test.second_only, images)
    allowed = max(MARGIN, needed_margin(images, _mistakes(reference))) if margin is None else margin
    # The least margin for equal networks is such a bound itself.
    passed = bound >= -allowed - 1e-9
    word = "no worse than" if passed else "not shown to be no worse than"
    return Check(
        name,
        passed,
        f"{word} {reference.run.title}: accuracy {(test.first_only - test.second_only) / images:+.4f}, at least "
        f"{bound:+.4f} with 95% confidence, {-allowed:+.4f} allowed; of {images:,} images {test.first_only} recognised "
        f"by it alone, {test.second_only} by the other alone (McNemar p = {test.p_value:.2g})",
    )


def _mistakes(one: EvaluatedRun) -> int:
    return int((one.evaluation.predicted != one.evaluation.labels).sum())
