"""Sweeps side by side: what each reached, how soon, and what it spent. Pure functions of their stories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from experiments.records import Tag
from experiments.report.figures import TimeSpent, accuracy_of, seconds_to_reach, time_spent
from experiments.report.story import SweepStory, workers_of

MARKS = (0.97, 0.98, 0.983)
"""Validation accuracies whose first reaching is timed."""

# Sweeps that differ in one of these do not answer the same question.
COMMON = {Tag.DATASET_DIGEST: "training images", Tag.VALIDATION: "validation part", Tag.SPLIT_SEED: "split seed"}


@dataclass(frozen=True)
class Comparison:
    """One sweep's line.

    Args:
        name: of the sweep.
        searcher: engine, sampler and pruner.
        workers: trials at a time.
        attempts: at all trials.
        complete: trials that may win.
        best: validation accuracy of the run that the sweep names as its best; None where no trial completed.
        median: validation accuracy, of the complete trials.
        reached: seconds until a trial of each of ``MARKS`` had ended; None where none did.
        seconds: wall time.
        spent: what the workers' time went into.
    """

    name: str
    searcher: str
    workers: int
    attempts: int
    complete: int
    best: float | None
    median: float | None
    reached: Mapping[float, float | None]
    seconds: float
    spent: TimeSpent


def compare(story: SweepStory) -> Comparison:
    """Sum one sweep up."""
    accuracies = [accuracy_of(run) for run in story.ranked]
    spec = story.spec
    pruner = "" if spec.pruner == "none" else f" + {spec.pruner}"
    return Comparison(
        name=story.sweep.name,
        searcher=f"{spec.engine.value} {spec.sampler}{pruner}",
        workers=workers_of(story),
        attempts=len(story.trials),
        complete=len(accuracies),
        best=accuracies[0] if accuracies else None,
        median=median(accuracies) if accuracies else None,
        reached={mark: seconds_to_reach(story, mark) for mark in MARKS},
        seconds=story.seconds,
        spent=time_spent(story),
    )


def differences(stories: Sequence[SweepStory]) -> list[str]:
    """Why the figures of these sweeps are not to be compared, one sentence for each reason."""
    sentences = []
    for tag, what in COMMON.items():
        values = {story.sweep.name: story.sweep.tags.get(tag, "unknown") for story in stories}
        if len(set(values.values())) > 1:
            told = ", ".join(f"{name} {value[:12]}" for name, value in values.items())
            sentences.append(f"not the same {what}: {told}; accuracies are not comparable")
    return sentences
