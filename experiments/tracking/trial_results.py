"""Results of recorded trials: their curves, and the state from which a sweep is resumed."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.tracking.queries import utc_time
from experiments.tracking.records import CurvePoint, RunRecord
from experiments.tracking.store import Store
from mnist_core.metrics import MONITORED, EpochMetrics, Metric, StopReason
from search.executors.base import Finished
from search.resume import ResumeState
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState


def read_resume_state(store: Store, runs: Iterable[RunRecord], spec: SweepSpec) -> ResumeState:
    """Read the state from which a sweep is resumed: finished trials with curves, and the last attempt at each other.

    Trials that failed, other than by numbers that are not finite, are tried again: a disk may have space by now.
    """
    finished: dict[int, Finished] = {}
    lost: dict[int, Trial] = {}
    with store.errors("reading the results of the sweep"):
        for run in runs:
            trial = spec.trial(run.number, run.point, run.attempt)
            if run.state.is_finished and not _may_be_retried(run):
                finished[run.number] = Finished(trial, read_result(store, run))
            else:
                lost[run.number] = trial
    unfinished = [trial for number, trial in lost.items() if number not in finished]
    return ResumeState(tuple(finished.values()), tuple(unfinished))


def _may_be_retried(run: RunRecord) -> bool:
    """True if a failure may be the machine's, such as a full disk; numbers that overflow would do so again."""
    return run.state is TrialState.FAILED and run.stop_reason != StopReason.NON_FINITE.value


def count_finished(runs: Iterable[RunRecord]) -> int:
    """Number of trials that a resumed sweep does not try again, without the cost of reading their curves."""
    return len({run.number for run in runs if run.state.is_finished and not _may_be_retried(run)})


def read_curve(store: Store, run: RunRecord, metric: Metric) -> tuple[CurvePoint, ...]:
    """Read one metric of a run, epoch by epoch."""
    with store.errors(f"reading {metric.value} of run {run.title}"):
        points = store.client.get_metric_history(run.run_id, metric.value)
    # Step 0 is no epoch: an earlier version recorded evaluations on data called "val" there.
    ordered = sorted((point for point in points if point.step > 0), key=lambda point: point.step)
    return tuple(CurvePoint(point.value, utc_time(point.timestamp)) for point in ordered)


def read_epochs(store: Store, run: RunRecord) -> tuple[EpochMetrics, ...]:
    """Read every epoch of a run; runs of versions without a curve of the cross-entropy have None for it."""
    recorded = [metric for metric in Metric if metric in MONITORED or metric.value in run.metrics]
    curves = [[point.value for point in read_curve(store, run, metric)] for metric in recorded]
    names = [metric.value for metric in recorded]
    return tuple(EpochMetrics(**dict(zip(names, values, strict=True))) for values in zip(*curves, strict=False))


def read_result(store: Store, run: RunRecord) -> TrialResult:
    """Read a run's curves and best epoch as the worker returned them, without its files."""
    history, weights = read_epochs(store, run), run.metrics.get("weights")
    size = None if weights is None else int(weights)
    return TrialResult.read_back(run.state, history, run.best_epoch, size, run.error)
