"""The gate before the alias ``champion``: pure checks of recorded metrics, each with its detail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from experiments.evaluation import EvaluationRecord
from experiments.ranking import STORED_INFINITY
from experiments.tracking.records import FLOOR, RunRecord
from mnist_core.classification import mcnemar, paired_lower_bound

MARGIN = 0.003
"""Accuracy that a candidate may lack against a champion, as a share, where the images are enough to measure it."""
POWER = 0.8
"""Probability that a candidate as good as the champion passes with the margin of :func:`needed_margin`."""
DIFFERING_SHARE = 2 / 3
"""Images on which two equally good networks differ, per mistake of one of them. Measured: two champions with 184 and
198 mistakes on 10,000 images differed on 126."""


class Verdict(Enum):
    """Decision of the gate on a candidate."""

    PASSED = "passed"
    REFUSED = "refused"
    FORCED = "forced"
    """A check failed, but the user gave a reason to promote the candidate all the same."""


@dataclass(frozen=True)
class Check:
    """The outcome of one condition.

    Args:
        name: of the condition.
        passed: True where it holds.
        detail: the measured and the required values, in a line.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class EvaluatedRun:
    """A run with its recorded evaluation on the test set."""

    run: RunRecord
    evaluation: EvaluationRecord


@dataclass(frozen=True)
class FormerChampions:
    """The champions before the current one that were not rolled back.

    Args:
        evaluated: those with an evaluation on the images of the candidate.
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
    """Run every check. The caller has verified the candidate's model file.

    The candidate has to be no worse than the champion by more than the margin, with a confidence of 95%: the bound of
    :func:`mnist_core.classification.paired_lower_bound` lies above ``-margin``. The same holds against the most
    accurate of the former champions; otherwise each new champion could be a little worse than the one before.

    Args:
        candidate: for the alias ``champion``.
        champion: the current one, evaluated on the same images; None where there is none.
        former: the champions before it.
        floor: minimum test accuracy, in [0, 1].
        margin: as a share, in [0, 1]; None takes ``MARGIN``, or :func:`needed_margin` where that is more.
    """
    return [
        _finite(candidate),
        _above_floor(candidate, floor),
        _against_champion(candidate, champion, margin),
        _against_former(candidate, former, margin),
    ]


def needed_margin(images: int, mistakes: int) -> float:
    """The margin that a candidate as good as its champion passes with a probability of ``POWER`` or more.

    Two equally good networks are assumed to differ on ``DIFFERING_SHARE`` images for each mistake of the champion; the
    number that only the candidate recognises is binomial with p = 0.5. The margin is the bound at the quantile of that
    distribution which is reached with probability ``POWER``. Without mistakes, an equal candidate passes.

    Args:
        images: number of test images, 1 or more.
        mistakes: number of the champion's.

    Returns:
        A share, in [0, 1].
    """
    from scipy.stats import binom

    differing = math.ceil(DIFFERING_SHARE * mistakes)
    candidate_only = int(binom.ppf(1 - POWER, differing, 0.5)) if differing else 0
    return -paired_lower_bound(candidate_only, differing - candidate_only, images)


def verdict(checks: Sequence[Check], force: str | None) -> Verdict:
    """The decision from the checks, and from the user's reason to override them."""
    if all(check.passed for check in checks):
        return Verdict.PASSED
    return Verdict.FORCED if force else Verdict.REFUSED


def _finite(candidate: EvaluatedRun) -> Check:
    metrics = {
        **{name: value for name, value in candidate.run.metrics.items() if name.startswith("best_")},
        **{name: estimate.value for name, estimate in candidate.evaluation.metrics.headline().items()},
    }
    infinite = [name for name, value in metrics.items() if not abs(value) < STORED_INFINITY]
    detail = f"not finite: {', '.join(infinite)}" if infinite else f"all {len(metrics)} validation and test metrics"
    return Check("finite", not infinite, detail)


def _above_floor(candidate: EvaluatedRun, floor: float) -> Check:
    accuracy = candidate.evaluation.metrics.accuracy
    interval = f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]"
    return Check("accuracy", accuracy.value >= floor, f"{interval} on the test set, at least {floor:g} required")


def _against_champion(candidate: EvaluatedRun, champion: EvaluatedRun | None, margin: float | None) -> Check:
    if champion is None:
        return Check("champion", True, "no champion yet")
    if champion.run.run_id == candidate.run.run_id:
        return Check("champion", True, "this run is the champion")
    return _no_worse("champion", candidate, champion, margin)


def _against_former(candidate: EvaluatedRun, former: FormerChampions, margin: float | None) -> Check:
    note = f"; not evaluated on these images: {', '.join(former.skipped)}" if former.skipped else ""
    if not former.evaluated:
        return Check("former", True, f"no former champion to compare with{note}")
    best = max(former.evaluated, key=lambda evaluated: -_mistakes(evaluated))
    if best.run.run_id == candidate.run.run_id:
        return Check("former", True, f"this run is the best former champion{note}")
    check = _no_worse("former", candidate, best, margin)
    return replace(check, detail=f"{check.detail}{note}")


def _no_worse(name: str, candidate: EvaluatedRun, reference: EvaluatedRun, margin: float | None) -> Check:
    labels = candidate.evaluation.labels
    images = len(labels)
    test = mcnemar(candidate.evaluation.predicted, reference.evaluation.predicted, labels)
    bound = paired_lower_bound(test.first_only, test.second_only, images)
    allowed = max(MARGIN, needed_margin(images, _mistakes(reference))) if margin is None else margin
    # The margin may be such a bound itself: rounding decides nothing.
    passed = bound >= -allowed - 1e-9
    text = "no worse than" if passed else "not shown to be no worse than"
    return Check(
        name,
        passed,
        f"{text} {reference.run.title}: accuracy {(test.first_only - test.second_only) / images:+.4f}, at least "
        f"{bound:+.4f} with 95% confidence, {-allowed:+.4f} allowed; of {images:,} images, {test.first_only} "
        f"recognised by this run only, {test.second_only} by the other only (McNemar p = {test.p_value:.2g})",
    )


def _mistakes(evaluated: EvaluatedRun) -> int:
    return int((evaluated.evaluation.predicted != evaluated.evaluation.labels).sum())
