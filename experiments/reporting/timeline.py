"""The timeline of a sweep: its trials on one clock, read from MLflow once, and the numbers that follow from it."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate

from experiments import ranking
from experiments.tracking.curves import read_curves
from experiments.tracking.queries import read_recorded_spec, read_runs
from experiments.tracking.records import TRACKING_SECONDS, CurvePoint, RunRecord, SweepRecord, Tag
from experiments.tracking.spent import sessions_of, span_of
from experiments.tracking.store import Store
from mnist_core.metrics import Metric
from search.execution import RAY
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

MAX_SAMPLE = 1000
"""Finished trials that the plots of a report are drawn from; of more, a sample is."""
BEST_OF_SAMPLE = 200


@dataclass(frozen=True)
class TrialTimeline:
    """One attempt at one trial.

    Args:
        run: as recorded.
        point: the searched parameters.
        curve: the objective after each epoch.
        began: seconds into the sweep at which a worker received it.
        ended: seconds into the sweep at which it was closed; of a lost attempt, at which it last logged something.
    """

    run: RunRecord
    point: Point
    curve: tuple[float, ...]
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.ended - self.began


@dataclass(frozen=True)
class SweepTimeline:
    """All data of a report.

    Args:
        sweep: the parent run.
        spec: as recorded with the sweep.
        trials: every attempt, by trial number.
        pauses: seconds into the sweep at which it was left and resumed.
        seconds: wall time in which it ran, pauses left out.
    """

    sweep: SweepRecord
    spec: SweepSpec
    trials: tuple[TrialTimeline, ...]
    pauses: tuple[float, ...]
    seconds: float

    @cached_property
    def ranked(self) -> list[RunRecord]:
        """The selectable runs, best first."""
        return ranking.rank((trial.run for trial in self.trials), self.spec.objective)

    @property
    def complete(self) -> list[TrialTimeline]:
        """The selectable trials, by number."""
        return [trial for trial in self.trials if ranking.selectable(trial.run)]

    def values(self) -> list[float]:
        """The objective of the selectable runs, in the order of :attr:`ranked`."""
        return [value for run in self.ranked if (value := run.value(self.spec.objective)) is not None]

    def best_configuration(self) -> ranking.Configuration | None:
        """The configuration of the best mean, the first of :attr:`ranked`; None where no trial completed."""
        found = ranking.configurations((trial.run for trial in self.trials), self.spec.objective)
        return found[0] if found else None

    def best_point(self) -> Point:
        """The searched parameters of the best run.

        Raises:
            IndexError: no trial completed.
        """
        best = self.ranked[0].run_id
        return next(trial.point for trial in self.trials if trial.run.run_id == best)

    def of_state(self, state: TrialState) -> list[TrialTimeline]:
        """Attempts in that state."""
        return [trial for trial in self.trials if trial.run.state is state]

    @cached_property
    def sampled(self) -> frozenset[str]:
        """Ids of the finished runs that plots are drawn from."""
        return sample_ids((trial.run for trial in self.trials), self.spec.objective)

    @property
    def sample_note(self) -> str:
        """A sentence on the sample, with a space before it; empty where it has every finished trial."""
        finished = sum(trial.run.state.is_finished for trial in self.trials)
        if finished == len(self.sampled):
            return ""
        best = min(BEST_OF_SAMPLE, len(self.ranked))
        return (
            f" Drawn from {len(self.sampled):,} of {finished:,} finished trials: the {best} best, the others at random."
        )

    def outcomes(self) -> dict[int, tuple[Point, Outcome]]:
        """Points and outcomes of the finished trials, by number; those of a sample where they are many."""
        return {
            trial.run.number: (
                trial.point,
                Outcome.read_back(trial.run.state, trial.run.value(self.spec.objective), trial.curve),
            )
            for trial in self.trials
            if trial.run.run_id in self.sampled
        }


def read_timeline(store: Store, sweep: SweepRecord, runs: Sequence[RunRecord] | None = None) -> SweepTimeline:
    """Read the runs of a sweep with their curves, of many runs with those of a sample and of the lost ones.

    Args:
        store: that holds it.
        sweep: its parent run.
        runs: every attempt, where they were read already.

    Raises:
        StoreError: the store cannot be read, or lacks the sweep's file.
        SpecError: that file is no valid sweep file.
    """
    spec, runs = read_recorded_spec(store, sweep), read_runs(store, sweep) if runs is None else runs
    sampled = sample_ids(runs, spec.objective)
    needed = [run for run in runs if run.run_id in sampled or not run.state.is_finished]
    return build_timeline(sweep, spec, runs, read_curves(store, needed, spec.metric))


def sample_ids(runs: Iterable[RunRecord], objective: str) -> frozenset[str]:
    """Ids of the finished runs that plots are drawn from: at most ``MAX_SAMPLE``, the best and others by a seed."""
    finished = [run for run in runs if run.state.is_finished]
    if len(finished) <= MAX_SAMPLE:
        return frozenset(run.run_id for run in finished)
    best = [run.run_id for run in ranking.rank(finished, objective)[:BEST_OF_SAMPLE]]
    rest = sorted({run.run_id for run in finished} - set(best))
    return frozenset(best + random.Random(0).sample(rest, MAX_SAMPLE - len(best)))


def build_timeline(
    sweep: SweepRecord, spec: SweepSpec, runs: Sequence[RunRecord], curves: Mapping[str, Sequence[CurvePoint]]
) -> SweepTimeline:
    """Put runs and their curves on one clock, which leaves out the pauses of the sweep.

    Args:
        sweep: the parent run.
        spec: as recorded with the sweep.
        runs: every attempt.
        curves: the objective by epoch, by run id; those of a sample where the runs are many.
    """
    spans = {run.run_id: span_of(run, curves.get(run.run_id, ())) for run in runs}
    sessions = sessions_of(spans.values())

    session_ends = [end for _, end in sessions]
    elapsed = list(accumulate(((end - start).total_seconds() for start, end in sessions), initial=0.0))

    def seconds(moment: datetime) -> float:
        place = bisect_left(session_ends, moment)
        start = min(sessions[place][0], moment) if place < len(sessions) else moment
        return elapsed[place] + (moment - start).total_seconds()

    trials = tuple(
        TrialTimeline(
            run,
            run.point,
            tuple(point.value for point in curves.get(run.run_id, ())),
            *map(seconds, spans[run.run_id]),
        )
        for run in runs
    )
    ends = [seconds(end) for end in session_ends]
    return SweepTimeline(sweep, spec, trials, pauses=tuple(ends[:-1]), seconds=ends[-1] if ends else 0.0)


def workers_of(timeline: SweepTimeline) -> int:
    """Number of trials that ran at a time; on a cluster, whose workers come and go, the greatest."""
    recorded = max(1, int(timeline.sweep.tags.get(Tag.WORKERS, "1")))
    return max(recorded, _max_at_a_time(timeline.trials)) if timeline.spec.execution.executor == RAY else recorded


def _max_at_a_time(trials: Sequence[TrialTimeline]) -> int:
    changes = sorted([(trial.ended, -1) for trial in trials] + [(trial.began, 1) for trial in trials])
    return max(accumulate(change for _, change in changes), default=0)


def accuracy_of(run: RunRecord) -> float:
    """Validation accuracy of the saved weights; 0 where there is none."""
    return run.value(Metric.VAL_ACCURACY.value) or 0.0


def seconds_to_reach(timeline: SweepTimeline, accuracy: float) -> float | None:
    """Seconds until the end of the first trial of that validation accuracy; None where no trial reached it."""
    ends = [trial.ended for trial in timeline.complete if accuracy_of(trial.run) >= accuracy]
    return min(ends, default=None)


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of the workers, by activity.

    Args:
        training: building and training models.
        saving: writing model files.
        tracking: writing to MLflow, by the driver, for which workers may wait; None where it was not recorded.
        lost: attempts without a result.
        waiting: the rest of workers × wall time: starting up, waiting for the driver or for the last trial's end.
    """

    training: float
    saving: float
    tracking: float | None
    lost: float
    waiting: float

    @property
    def total(self) -> float:
        """Sum of all activities, in seconds."""
        return self.training + self.saving + (self.tracking or 0.0) + self.lost + self.waiting


def time_spent(timeline: SweepTimeline) -> TimeSpent:
    """Add up the seconds of a sweep's workers by activity."""
    training = sum(trial.run.metrics.get("training_seconds", 0.0) for trial in timeline.trials)
    saving = sum(trial.run.metrics.get("saving_seconds", 0.0) for trial in timeline.trials)
    tracking = timeline.sweep.metrics.get(TRACKING_SECONDS)
    lost = sum(trial.seconds for trial in timeline.of_state(TrialState.KILLED))
    rest = workers_of(timeline) * timeline.seconds - training - saving - (tracking or 0.0) - lost
    return TimeSpent(training, saving, tracking, lost, max(0.0, rest))
