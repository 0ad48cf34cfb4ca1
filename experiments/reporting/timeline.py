"""A sweep from its first trial to its last, read from MLflow once and told in seconds of its own time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from experiments import selection
from experiments.tracking.queries import read_recorded_spec, read_runs
from experiments.tracking.records import CurvePoint, RunRecord, SweepRecord, Tag
from experiments.tracking.store import Store
from experiments.tracking.trial_results import read_curve
from search.space import Point
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

# No trial open for longer than this: the sweep was left, and resumed later.
MAX_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class TrialTimeline:
    """One attempt at one trial.

    Args:
        run: as recorded.
        point: the searched parameters.
        curve: the objective after each epoch.
        began: seconds into the sweep at which it was handed to a worker.
        ended: seconds into the sweep at which it was closed, or last heard of.
    """

    run: RunRecord
    point: Point
    curve: tuple[float, ...]
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """From its beginning to its end."""
        return self.ended - self.began


@dataclass(frozen=True)
class SweepTimeline:
    """All that a report is made from.

    Args:
        sweep: the parent run.
        spec: what was searched.
        trials: every attempt, by trial number.
        pauses: seconds into the sweep at which it was left and resumed.
        seconds: wall time in which it ran, pauses left out.
    """

    sweep: SweepRecord
    spec: SweepSpec
    trials: tuple[TrialTimeline, ...]
    pauses: tuple[float, ...]
    seconds: float

    @property
    def ranked(self) -> list[RunRecord]:
        """The runs that may win, best first."""
        return selection.rank((trial.run for trial in self.trials), self.spec.objective)

    @property
    def complete(self) -> list[TrialTimeline]:
        """Trials that may win, by number."""
        return [trial for trial in self.trials if selection.selectable(trial.run)]

    def values(self) -> list[float]:
        """The objective of the runs that may win, in the order of :attr:`ranked`."""
        return [value for run in self.ranked if (value := run.value(self.spec.objective)) is not None]

    def best_configuration(self) -> selection.Configuration | None:
        """The one whose mean is best, which :attr:`ranked` begins with; None where no trial completed."""
        found = selection.configurations((trial.run for trial in self.trials), self.spec.objective)
        return found[0] if found else None

    def best_point(self) -> Point:
        """The searched parameters of the best run.

        Raises:
            IndexError: no trial completed.
        """
        best = self.ranked[0].run_id
        return next(trial.point for trial in self.trials if trial.run.run_id == best)

    def of_state(self, state: TrialState) -> list[TrialTimeline]:
        """Attempts that ended so."""
        return [trial for trial in self.trials if trial.run.state is state]

    def outcomes(self) -> dict[int, tuple[Point, Outcome]]:
        """Finished trials in the terms of a searcher, by number."""
        return {
            trial.run.number: (
                trial.point,
                Outcome.read_back(trial.run.state, trial.run.value(self.spec.objective), trial.curve),
            )
            for trial in self.trials
            if trial.run.state.is_finished
        }


def read_timeline(store: Store, sweep: SweepRecord) -> SweepTimeline:
    """Read all of a sweep.

    Raises:
        StoreError: the store cannot be read, or lacks the sweep's file.
        SpecError: that file is not one.
    """
    spec, runs = read_recorded_spec(store, sweep), read_runs(store, sweep)
    return build_timeline(sweep, spec, runs, {run.run_id: read_curve(store, run, spec.metric) for run in runs})


def build_timeline(
    sweep: SweepRecord, spec: SweepSpec, runs: Sequence[RunRecord], curves: Mapping[str, Sequence[CurvePoint]]
) -> SweepTimeline:
    """Put runs and their curves on one clock that stands still while the sweep does not run.

    Args:
        sweep: the parent run.
        spec: what was searched.
        runs: every attempt.
        curves: the objective by epoch, by run id.
    """
    spans = {run.run_id: _span(run, curves[run.run_id]) for run in runs}
    sessions = _sessions(spans.values())

    def seconds(moment: datetime) -> float:
        before = sum((end - start).total_seconds() for start, end in sessions if end < moment)
        current = next((start for start, end in sessions if start <= moment <= end), moment)
        return before + (moment - current).total_seconds()

    trials = tuple(
        TrialTimeline(
            run,
            run.point,
            tuple(point.value for point in curves[run.run_id]),
            *map(seconds, spans[run.run_id]),
        )
        for run in runs
    )
    ends = [seconds(end) for _, end in sessions]
    return SweepTimeline(sweep, spec, trials, pauses=tuple(ends[:-1]), seconds=ends[-1] if ends else 0.0)


def workers_of(timeline: SweepTimeline) -> int:
    """How many trials ran at a time."""
    return max(1, int(timeline.sweep.tags.get(Tag.WORKERS, "1")))


def _span(run: RunRecord, curve: Sequence[CurvePoint]) -> tuple[datetime, datetime]:
    """From its start to its end; a lost run, which may have been closed days later, ends where it was last heard of."""
    started = run.started or datetime.fromtimestamp(0, UTC)
    heard = max([started, *(point.time for point in curve)])
    return started, max(started, run.ended) if run.ended and run.state.is_finished else heard


def _sessions(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    sessions: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if sessions and (start - sessions[-1][1]).total_seconds() <= MAX_PAUSE_SECONDS:
            sessions[-1] = (sessions[-1][0], max(sessions[-1][1], end))
        else:
            sessions.append((start, end))
    return sessions
