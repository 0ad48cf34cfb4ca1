"""Sweeps side by side: what each reached, how soon, and what it spent. Pure functions of their stories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from experiments.reporting.statistics import TimeSpent, accuracy_of, seconds_to_reach, time_spent
from experiments.reporting.tables import number
from experiments.reporting.timeline import SweepTimeline, workers_of
from experiments.tracking.datasets import SHOWN_DIGEST
from experiments.tracking.records import Tag

MARKS = (0.97, 0.98, 0.983)
"""Validation accuracies whose first reaching is timed."""

# Sweeps that differ in one of these do not answer the same question.
COMMON = {Tag.DATASET_DIGEST: "training images", Tag.VALIDATION: "validation part", Tag.SPLIT_SEED: "split seed"}


@dataclass(frozen=True)
class Comparison:
    """What one sweep came to.

    Args:
        name: of the sweep.
        engine: that chose its points.
        sampler: of the engine.
        pruner: of the engine.
        workers: trials at a time.
        attempts: at all trials.
        complete: trials that may win.
        best: validation accuracy of the run that the sweep names as its best; None where no trial completed.
        median: validation accuracy, of the complete trials.
        reached: for each of ``MARKS``, seconds until a trial of that accuracy had ended; None where none did.
        seconds: wall time.
        spent: what the workers' time went into.
    """

    name: str
    engine: str
    sampler: str
    pruner: str
    workers: int
    attempts: int
    complete: int
    best: float | None
    median: float | None
    reached: Sequence[float | None]
    seconds: float
    spent: TimeSpent


def measure(timeline: SweepTimeline) -> Comparison:
    """Sum one sweep up."""
    accuracies = [accuracy_of(run) for run in timeline.ranked]
    return Comparison(
        name=timeline.sweep.name,
        engine=timeline.spec.engine.value,
        sampler=timeline.spec.sampler,
        pruner=timeline.spec.pruner,
        workers=workers_of(timeline),
        attempts=len(timeline.trials),
        complete=len(accuracies),
        best=accuracies[0] if accuracies else None,
        median=median(accuracies) if accuracies else None,
        reached=[seconds_to_reach(timeline, mark) for mark in MARKS],
        seconds=timeline.seconds,
        spent=time_spent(timeline),
    )


def rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Measure by measure, its name and then its text for each sweep."""
    return [list(row) for row in zip(_MEASURES, *map(_texts, comparisons), strict=True)]


_MEASURES = (
    *("engine", "sampler", "pruner", "workers", "attempts", "complete trials", "best accuracy", "median accuracy"),
    *(f"seconds to {100 * mark:g}%" for mark in MARKS),
    *("seconds in all", "workers' seconds: training", "  saving models", "  tracking", "  lost attempts", "  waiting"),
)


def _texts(each: Comparison) -> list[str]:
    spent = each.spent
    seconds = (each.seconds, spent.training, spent.saving, spent.tracking, spent.lost, spent.waiting)
    return [
        *(each.engine, each.sampler, each.pruner),
        *map(str, (each.workers, each.attempts, each.complete)),
        *(number(value, ".4f") for value in (each.best, each.median)),
        *(number(time, ",.0f") or "never" for time in each.reached),
        *(number(time, ",.1f") or "not recorded" for time in seconds),
    ]


def differences(timelines: Sequence[SweepTimeline]) -> list[str]:
    """Why the figures of these sweeps are not to be compared, one sentence for each reason."""
    sentences = []
    for tag, what in COMMON.items():
        values = [timeline.sweep.tags.get(tag, "unknown") for timeline in timelines]
        if len(set(values)) > 1:
            each = zip(timelines, values, strict=True)
            told = ", ".join(f"{timeline.sweep.name} {value[:SHOWN_DIGEST]}" for timeline, value in each)
            sentences.append(f"not the same {what}: {told}; accuracies are not comparable")
    return sentences
