"""The numbers of a report: pure functions of a sweep's story."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from experiments.reporting.timeline import SweepTimeline, TrialTimeline, workers_of
from experiments.tracking.records import TRACKING_SECONDS, RunRecord
from mnist_core.metrics import Direction, Metric
from search import objectives
from search.trial import TrialState


def best_so_far(timeline: SweepTimeline) -> list[tuple[int, float, float]]:
    """For each complete trial by number: the number, its value, and the best value up to it."""
    metric = timeline.spec.metric
    best, rows = metric.direction.worst, []
    for trial in timeline.complete:
        value = trial.run.value(metric.value) or 0.0
        best = value if metric.direction.better(value, best) else best
        rows.append((trial.run.number, value, best))
    return rows


def pareto_front(runs: Iterable[RunRecord], cost: Callable[[RunRecord], float | None]) -> list[RunRecord]:
    """The runs that no other beats in accuracy without costing more, the cheapest first.

    Args:
        runs: that may win.
        cost: of a run, the less the better; runs without one are left out.
    """
    known = sorted(((spent, run) for run in runs if (spent := cost(run)) is not None), key=lambda pair: pair[0])
    directions = (Direction.MINIMIZE, Direction.MAXIMIZE)
    front = objectives.pareto_front(known, directions, lambda pair: (pair[0], accuracy_of(pair[1])))
    return [run for _, run in front]


def accuracy_of(run: RunRecord) -> float:
    """Validation accuracy of the saved weights; 0 where there is none."""
    return run.value(Metric.VAL_ACCURACY.value) or 0.0


def weights_of(run: RunRecord) -> float | None:
    """Number of its model's weights."""
    return run.metrics.get("weights")


def seconds_of(run: RunRecord) -> float | None:
    """Wall time of its training and saving."""
    return run.seconds


def lanes(trials: Sequence[TrialTimeline]) -> list[int]:
    """A lane for each trial such that none overlap, the lowest that is free: what a worker did, as far as it matters.

    Which worker a trial ran on is not recorded: workers are alike, and any assignment that fits shows the same
    gaps.
    """
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    found = [0] * len(trials)
    for index in sorted(range(len(trials)), key=lambda each: trials[each].began):
        while busy and busy[0][0] <= trials[index].began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        found[index] = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (trials[index].ended, found[index]))
    return found


@dataclass(frozen=True)
class TimeSpent:
    """What the workers' time went into, in seconds of workers.

    Args:
        training: building and training models.
        saving: writing model files.
        tracking: writing to MLflow, by the driver, for which workers may wait; None where it was not recorded.
        lost: attempts that came to nothing.
        waiting: the rest of workers × wall time: starting up, waiting for the driver or for the last trial's end.
    """

    training: float
    saving: float
    tracking: float | None
    lost: float
    waiting: float

    @property
    def total(self) -> float:
        """Of all, in seconds of workers."""
        return self.training + self.saving + (self.tracking or 0.0) + self.lost + self.waiting


def time_spent(timeline: SweepTimeline) -> TimeSpent:
    """Where the time of a sweep went."""
    training = sum(trial.run.metrics.get("training_seconds", 0.0) for trial in timeline.trials)
    saving = sum(trial.run.metrics.get("saving_seconds", 0.0) for trial in timeline.trials)
    tracking = timeline.sweep.metrics.get(TRACKING_SECONDS)
    lost = sum(trial.seconds for trial in timeline.of_state(TrialState.KILLED))
    rest = workers_of(timeline) * timeline.seconds - training - saving - (tracking or 0.0) - lost
    return TimeSpent(training, saving, tracking, lost, max(0.0, rest))


def seconds_to_reach(timeline: SweepTimeline, accuracy: float) -> float | None:
    """Seconds until a trial of that validation accuracy had ended; None if none did."""
    ends = [trial.ended for trial in timeline.complete if accuracy_of(trial.run) >= accuracy]
    return min(ends, default=None)
