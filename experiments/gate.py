"""The gate before the alias ``champion``: pure checks over figures that were read, each with what it saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from experiments.evaluation import EvaluationRecord
from experiments.records import FLOOR, RunRecord, Tag
from mnist_core.evaluation import mcnemar

SIGNIFICANT = 0.05


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
class Candidate:
    """A run whose model was fetched and found to be the one that was logged, and what it did on the test set."""

    run: RunRecord
    evaluation: EvaluationRecord


def examine(candidate: Candidate, champion: Candidate | None, floor: float = FLOOR) -> list[Check]:
    """Every check.

    Args:
        candidate: that wants to be champion.
        champion: that is, evaluated on the same images; None where there is none.
        floor: least test accuracy, in [0, 1].
    """
    accuracy = candidate.evaluation.figures.accuracy
    return [
        Check("model", True, f"{candidate.run.model_id} is READY"),
        Check("file", True, f"SHA-256 {candidate.run.tags.get(Tag.MODEL_SHA256, '')[:12]}… is the recorded one"),
        _finite(candidate),
        Check(
            "accuracy",
            accuracy.value >= floor,
            f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}] on the test set, at least {floor:g} asked",
        ),
        _against(candidate, champion),
    ]


def verdict(checks: Sequence[Check], force: str | None) -> Verdict:
    """What follows from the checks, and from the user's reason to override them."""
    if all(check.passed for check in checks):
        return Verdict.PASSED
    return Verdict.FORCED if force else Verdict.REFUSED


def _finite(candidate: Candidate) -> Check:
    figures = {
        **{name: value for name, value in candidate.run.metrics.items() if name.startswith("best_")},
        **{name: estimate.value for name, estimate in candidate.evaluation.figures.headline().items()},
    }
    odd = [name for name, value in figures.items() if not math.isfinite(value)]
    seen = f"not finite: {', '.join(odd)}" if odd else f"all {len(figures)} figures of validation and test"
    return Check("finite", not odd, seen)


def _against(candidate: Candidate, champion: Candidate | None) -> Check:
    if champion is None:
        return Check("champion", True, "there is none yet")
    if champion.run.run_id == candidate.run.run_id:
        return Check("champion", True, "it is the champion")
    labels = candidate.evaluation.labels
    test = mcnemar(candidate.evaluation.answers, champion.evaluation.answers, labels)
    worse = test.p_value < SIGNIFICANT and test.second_only > test.first_only
    word = "not significantly unlike"
    if test.p_value < SIGNIFICANT:
        word = "significantly worse than" if worse else "significantly better than"
    return Check(
        "champion",
        not worse,
        f"{word} {champion.run.title}: of {len(labels):,} images {test.first_only} recognised by it alone, "
        f"{test.second_only} by the champion alone (McNemar p = {test.p_value:.2g})",
    )
