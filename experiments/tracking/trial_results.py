"""Results of recorded trials: their curves, and the state from which a sweep is resumed."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.tracking.curves import read_epochs_of
from experiments.tracking.records import RunRecord
from experiments.tracking.store import Store
from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Finished
from search.resume import ResumeState
from search.spec import SweepSpec
from search.trial import Trial, TrialResult, TrialState


def read_resume_state(store: Store, runs: Iterable[RunRecord], spec: SweepSpec) -> ResumeState:
    """Read the state from which a sweep is resumed: finished trials with curves, and the last attempt at each other.

    Trials that failed, other than by numbers that are not finite, are tried again: a disk may have space by now.
    """
    finished: dict[int, RunRecord] = {}
    lost: dict[int, RunRecord] = {}
    for run in runs:
        is_finished = run.state.is_finished and not _may_be_retried(run)
        (finished if is_finished else lost)[run.number] = run
    epochs = read_epochs_of(store, list(finished.values()))

    def trial(run: RunRecord) -> Trial:
        return spec.trial(run.number, run.point, run.attempt)

    results = tuple(Finished(trial(run), _result(run, epochs[run.run_id])) for run in finished.values())
    unfinished = tuple(trial(run) for number, run in lost.items() if number not in finished)
    return ResumeState(results, unfinished)


def _may_be_retried(run: RunRecord) -> bool:
    """True if a failure may be the machine's, such as a full disk; numbers that overflow would do so again."""
    return run.state is TrialState.FAILED and run.stop_reason != StopReason.NON_FINITE.value


def count_finished(runs: Iterable[RunRecord]) -> int:
    """Number of trials that a resumed sweep does not try again, without the cost of reading their curves."""
    return len({run.number for run in runs if run.state.is_finished and not _may_be_retried(run)})


def read_epochs(store: Store, run: RunRecord) -> tuple[EpochMetrics, ...]:
    """Read every epoch of a run; runs of versions without a curve of the cross-entropy have None for it."""
    return read_epochs_of(store, [run])[run.run_id]


def read_result(store: Store, run: RunRecord) -> TrialResult:
    """Read a run's curves and best epoch as the worker returned them, without its files."""
    return _result(run, read_epochs(store, run))


def _result(run: RunRecord, history: tuple[EpochMetrics, ...]) -> TrialResult:
    weights = run.metrics.get("weights")
    size = None if weights is None else int(weights)
    return TrialResult.read_back(run.state, history, run.best_epoch, size, run.error)
