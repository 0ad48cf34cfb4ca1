"""What every executor keeps to, with TensorFlow at work on real digits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Ended, Executor, Finished, InProcessExecutor
from search.executors.local import LocalExecutor
from search.trial import Trial, TrialResult, TrialState
from search.worker import WorkerContext
from tests.helpers.search_fakes import DISK_FULL, context_of, small_trial

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

WHOLE = small_trial(0, epochs=3)
PRUNED = small_trial(1, epochs=3, hidden_size=9)
UNSAVED = small_trial(DISK_FULL)
TRIALS = (WHOLE, PRUNED, UNSAVED)
POLLS = 600
"""More than any machine needs; each waits up to a fifth of a second."""


@dataclass
class Run:
    """What came of all trials of one executor."""

    staging: Path
    ended: list[Ended] = field(default_factory=list)
    epochs: dict[int, list[tuple[int, EpochMetrics]]] = field(default_factory=dict)

    def decide(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        self.epochs.setdefault(trial.number, []).append((epoch, metrics))
        return not (trial == PRUNED and epoch == 2)

    def result(self, trial: Trial) -> TrialResult:
        (end,) = [end for end in self.ended if end.trial == trial]
        assert isinstance(end, Finished)
        return end.result


def run_all(executor: Executor, trials: Sequence[Trial], staging: Path) -> Run:
    run = Run(staging)
    for trial in trials:
        executor.submit(trial)
    for _ in range(POLLS):
        run.ended += executor.poll(run.decide, timeout=0.2)
        if len(run.ended) == len(trials):
            break
    # An end that came twice would come now.
    run.ended += executor.poll(run.decide, timeout=0.2)
    return run


def one_worker(context: WorkerContext) -> LocalExecutor:
    return LocalExecutor(context, workers=1)


@pytest.fixture(scope="module")
def run_here(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    staging = tmp_path_factory.mktemp("here")
    return run_all(InProcessExecutor(context_of(small_npz, staging)), TRIALS, staging)


@pytest.fixture(scope="module")
def run_in_workers(two_workers: LocalExecutor) -> Run:
    return run_all(two_workers, TRIALS, two_workers._context.staging)


class ExecutorContract:
    """Inherited by the tests of every executor, each of which says what ``ran`` is."""

    make: Callable[[WorkerContext], Executor]

    def test_every_trial_ends_once(self, ran: Run) -> None:
        assert sorted(end.trial.number for end in ran.ended) == sorted(trial.number for trial in TRIALS)

    def test_a_whole_trial_is_complete_and_has_its_model(self, ran: Run) -> None:
        result = ran.result(WHOLE)
        assert (result.state, result.stop_reason, len(result.history)) == (TrialState.COMPLETE, StopReason.BUDGET, 3)
        assert result.model is not None
        assert result.model.folder == ran.staging / "0-1"
        assert (result.model.folder / result.model.file).stat().st_size == result.model.size

    def test_each_epoch_is_decided_on_once_and_in_order(self, ran: Run) -> None:
        for trial in (WHOLE, UNSAVED):
            epochs = ran.epochs[trial.number]
            assert [epoch for epoch, _ in epochs] == list(range(1, trial.training.epochs + 1))
            assert tuple(metrics for _, metrics in epochs) == ran.result(trial).history

    def test_the_decision_to_stop_prunes(self, ran: Run) -> None:
        result = ran.result(PRUNED)
        assert (result.state, result.stop_reason, len(result.history)) == (TrialState.PRUNED, StopReason.PRUNED, 2)
        assert [epoch for epoch, _ in ran.epochs[PRUNED.number]] == [1, 2]

    def test_where_nothing_is_pruned_no_decision_is_heeded_and_all_else_is_the_same(
        self, small_npz: Path, tmp_path: Path
    ) -> None:
        executor = type(self).make(replace(context_of(small_npz, tmp_path / "staging"), pruning=False))
        try:
            run = run_all(executor, [PRUNED, WHOLE], tmp_path)
        finally:
            executor.close()
        for trial in (PRUNED, WHOLE):
            result = run.result(trial)
            assert (result.state, result.stop_reason) == (TrialState.COMPLETE, StopReason.BUDGET)
            assert [epoch for epoch, _ in run.epochs[trial.number]] == [1, 2, 3]
            assert tuple(metrics for _, metrics in run.epochs[trial.number]) == result.history

    def test_an_exception_comes_back_as_a_failed_result(self, ran: Run) -> None:
        result = ran.result(UNSAVED)
        assert (result.state, result.model, result.best_epoch) == (TrialState.FAILED, None, None)
        assert result.error is not None
        assert "No space left on device" in result.error
        assert "\n" not in result.error
        assert result.traceback is not None
        assert "save_keras" in result.traceback

    def test_a_failed_trial_leaves_no_files(self, ran: Run) -> None:
        assert (ran.staging / f"{WHOLE.number}-1").is_dir()
        assert list(ran.staging.glob(f"{UNSAVED.number}-*")) == []

    def test_other_data_than_the_sweeps_fails_the_trial(self, small_npz: Path, tmp_path: Path) -> None:
        executor = type(self).make(context_of(small_npz, tmp_path / "staging", digest="0" * 64))
        try:
            run = run_all(executor, [WHOLE], tmp_path)
        finally:
            executor.close()
        result = run.result(WHOLE)
        assert (result.state, result.history) == (TrialState.FAILED, ())
        assert result.error is not None
        assert result.error.startswith("DataError")
        assert "altered" in result.error
        assert str(small_npz) in result.error
        assert result.traceback is not None

    def test_nothing_ends_where_nothing_was_submitted(self, small_npz: Path, tmp_path: Path) -> None:
        executor = type(self).make(context_of(small_npz, tmp_path))
        try:
            assert list(executor.poll(Run(tmp_path).decide, timeout=0.01)) == []
        finally:
            executor.close()

    def test_closing_twice_is_safe_and_leaves_no_process(self, small_npz: Path, tmp_path: Path) -> None:
        before = set(multiprocessing.active_children())
        executor = type(self).make(context_of(small_npz, tmp_path))
        executor.submit(WHOLE)
        executor.close()
        executor.close()
        assert set(multiprocessing.active_children()) <= before
        assert list(tmp_path.iterdir()) == []


class TestInProcessExecutor(ExecutorContract):
    make = InProcessExecutor

    @pytest.fixture
    def ran(self, run_here: Run) -> Run:
        return run_here

    def test_runs_one_trial_at_a_time(self, small_npz: Path, tmp_path: Path) -> None:
        assert InProcessExecutor(context_of(small_npz, tmp_path)).capacity == 1


class TestLocalExecutor(ExecutorContract):
    make = staticmethod(one_worker)

    @pytest.fixture
    def ran(self, run_in_workers: Run) -> Run:
        return run_in_workers


@pytest.mark.parametrize("trial", [WHOLE, PRUNED, UNSAVED], ids=lambda trial: trial.name)
def test_a_trial_has_the_same_curves_wherever_it_runs(run_here: Run, run_in_workers: Run, trial: Trial) -> None:
    here, there = run_here.result(trial).history, run_in_workers.result(trial).history
    assert len(here) == len(there)
    for mine, theirs in zip(here, there, strict=True):
        # The workers have one thread. This process may have more, if an earlier test took them, and then adds
        # up in another order: float32 sums differ in the last digits, accuracies by an image of 200.
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=1e-3)
        assert mine.accuracy == pytest.approx(theirs.accuracy, abs=0.0051)
        assert mine.val_accuracy == pytest.approx(theirs.val_accuracy, abs=0.0051)
