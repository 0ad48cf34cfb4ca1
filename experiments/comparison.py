"""Comparison of sweeps: accuracy, time to reach it, and use of the workers' time. Pure functions of timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from experiments.formatting import format_number
from experiments.reporting.timeline import (
    SweepTimeline,
    TimeSpent,
    accuracy_of,
    seconds_to_reach,
    time_spent,
    workers_of,
)
from experiments.tracking.datasets import SHOWN_DIGEST
from experiments.tracking.records import Tag

MARKS = (0.97, 0.98, 0.983)
"""Validation accuracies whose time to reach is measured."""

# Accuracies of sweeps that differ in one of these cannot be compared.
COMPARED_TAGS = {Tag.DATASET_DIGEST: "training images", Tag.VALIDATION: "validation part", Tag.SPLIT_SEED: "split seed"}


@dataclass(frozen=True)
class SweepMeasures:
    """The measures of one sweep that are compared.

    Args:
        name: of the sweep.
        engine: that suggested its points.
        sampler: of the engine.
        pruner: of the engine.
        workers: trials at a time.
        attempts: number of attempts at all trials.
        complete: number of trials that may win.
        best: validation accuracy of its best run; None where no trial completed.
        median: of the validation accuracies of the complete trials.
        reached: for each of ``MARKS``, seconds until a trial of that accuracy had ended; None where none did.
        seconds: wall time.
        spent: the workers' time by its use.
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


def measure_sweep(timeline: SweepTimeline) -> SweepMeasures:
    """Measure one sweep."""
    accuracies = [accuracy_of(run) for run in timeline.ranked]
    return SweepMeasures(
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


def comparison_rows(sweeps: Sequence[SweepMeasures]) -> list[list[str]]:
    """One row for each measure: its name, then its value for each sweep."""
    return [list(row) for row in zip(_MEASURES, *map(_texts, sweeps), strict=True)]


_MEASURES = (
    *("engine", "sampler", "pruner", "workers", "attempts", "complete trials", "best accuracy", "median accuracy"),
    *(f"seconds to {100 * mark:g}%" for mark in MARKS),
    *("seconds in all", "workers' seconds: training", "  saving models", "  tracking", "  lost attempts", "  waiting"),
)


def _texts(each: SweepMeasures) -> list[str]:
    spent = each.spent
    seconds = (each.seconds, spent.training, spent.saving, spent.tracking, spent.lost, spent.waiting)
    return [
        *(each.engine, each.sampler, each.pruner),
        *map(str, (each.workers, each.attempts, each.complete)),
        *(format_number(value, ".4f") for value in (each.best, each.median)),
        *(format_number(time, ",.0f") or "never" for time in each.reached),
        *(format_number(time, ",.1f") or "not recorded" for time in seconds),
    ]


def comparability_warnings(timelines: Sequence[SweepTimeline]) -> list[str]:
    """Reasons against comparing the accuracies of these sweeps, one sentence each."""
    warnings = []
    for tag, what in COMPARED_TAGS.items():
        values = [timeline.sweep.tags.get(tag, "unknown") for timeline in timelines]
        if len(set(values)) > 1:
            each = zip(timelines, values, strict=True)
            listed = ", ".join(f"{timeline.sweep.name} {value[:SHOWN_DIGEST]}" for timeline, value in each)
            warnings.append(f"not the same {what}: {listed}; accuracies are not comparable")
    return warnings
