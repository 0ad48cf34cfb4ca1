"""The contract of an executor as tests, with TensorFlow at work on synthetic digits."""

# ruff: noqa: D102 — the names of tests are sentences.

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Ended, Executor, Finished
from search.testing.values import DISK_FULL, context_of, small_trial, write_archive
from search.trial import Trial, TrialResult, TrialState
from search.worker import WorkerContext

WHOLE = small_trial(0, epochs=3)
PRUNED = small_trial(1, epochs=3, hidden_size=9)
UNSAVED = small_trial(DISK_FULL)
TRIALS = (WHOLE, PRUNED, UNSAVED)

# More than any machine needs; each waits up to a fifth of a second.
MAX_POLLS = 600


@dataclass
class ExecutorRun:
    """The epochs and the ends of the trials of one executor.

    Args:
        staging: folder in which the trials write their files.
        ended: the ends in their order.
        epochs: the epochs that were decided on, by trial number.
    """

    staging: Path
    ended: list[Ended] = field(default_factory=list)
    epochs: dict[int, list[tuple[int, EpochMetrics]]] = field(default_factory=dict)

    def decide(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        """Keep the epoch, and stop ``PRUNED`` after its second one."""
        self.epochs.setdefault(trial.number, []).append((epoch, metrics))
        return not (trial == PRUNED and epoch == 2)

    def result(self, trial: Trial) -> TrialResult:
        """Return the result of a trial that ended once, and was not lost."""
        (end,) = [end for end in self.ended if end.trial == trial]
        assert isinstance(end, Finished)
        return end.result


def run_all(executor: Executor, trials: Sequence[Trial], staging: Path) -> ExecutorRun:
    """Submit the trials and poll until all have ended."""
    run = ExecutorRun(staging)
    for trial in trials:
        executor.submit(trial)
    for _ in range(MAX_POLLS):
        run.ended += executor.poll(run.decide, timeout=0.2)
        if len(run.ended) == len(trials):
            break
    # An end that came twice would come now.
    run.ended += executor.poll(run.decide, timeout=0.2)
    return run


class ExecutorContract:
    """Tests that every executor passes, from a trial that completes to one whose model cannot be saved.

    A subclass overrides :meth:`make_executor`, and the fixtures where it has better ones.
    """

    finished_run: ClassVar[ExecutorRun]

    def make_executor(self, context: WorkerContext) -> Executor:
        """Return a new executor. The test closes it."""
        raise NotImplementedError

    @pytest.fixture
    def archive(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The training data."""
        return write_archive(tmp_path_factory.mktemp("data") / "synthetic.npz")

    @pytest.fixture
    def ran(self, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> ExecutorRun:
        """All of ``TRIALS``, run by one executor once for all tests of the class."""
        cls = type(self)
        if "finished_run" not in vars(cls):
            cls.finished_run = self.run(TRIALS, context_of(archive, tmp_path_factory.mktemp("staging")))
        return cls.finished_run

    def run(self, trials: Sequence[Trial], context: WorkerContext) -> ExecutorRun:
        """Run the trials by a new executor, and close it."""
        executor = self.make_executor(context)
        try:
            return run_all(executor, trials, context.staging)
        finally:
            executor.close()

    def test_every_trial_ends_once(self, ran: ExecutorRun) -> None:
        assert sorted(end.trial.number for end in ran.ended) == sorted(trial.number for trial in TRIALS)

    def test_a_whole_trial_is_complete_and_has_its_model(self, ran: ExecutorRun) -> None:
        result = ran.result(WHOLE)
        assert (result.state, result.stop_reason, len(result.history)) == (TrialState.COMPLETE, StopReason.BUDGET, 3)
        assert result.model is not None
        assert result.model.folder == ran.staging / "0-1"
        assert (result.model.folder / result.model.file).stat().st_size == result.model.size

    def test_a_result_names_the_place_in_which_it_ran(self, ran: ExecutorRun) -> None:
        for trial in TRIALS:
            worker = ran.result(trial).worker
            assert worker is not None
            assert worker.host
            assert worker.device
            assert "tensorflow" in dict(worker.versions)

    def test_each_epoch_is_decided_on_once_and_in_order(self, ran: ExecutorRun) -> None:
        for trial in (WHOLE, UNSAVED):
            epochs = ran.epochs[trial.number]
            assert [epoch for epoch, _ in epochs] == list(range(1, trial.training.epochs + 1))
            assert tuple(metrics for _, metrics in epochs) == ran.result(trial).history

    def test_the_decision_to_stop_prunes_the_trial(self, ran: ExecutorRun) -> None:
        result = ran.result(PRUNED)
        assert (result.state, result.stop_reason, len(result.history)) == (TrialState.PRUNED, StopReason.PRUNED, 2)
        assert [epoch for epoch, _ in ran.epochs[PRUNED.number]] == [1, 2]

    def test_a_decision_to_stop_changes_nothing_where_nothing_is_pruned(self, archive: Path, tmp_path: Path) -> None:
        run = self.run([PRUNED, WHOLE], replace(context_of(archive, tmp_path / "staging"), pruning=False))
        for trial in (PRUNED, WHOLE):
            result = run.result(trial)
            assert (result.state, result.stop_reason) == (TrialState.COMPLETE, StopReason.BUDGET)
            assert [epoch for epoch, _ in run.epochs[trial.number]] == [1, 2, 3]
            assert tuple(metrics for _, metrics in run.epochs[trial.number]) == result.history

    def test_an_exception_comes_back_as_a_failed_result(self, ran: ExecutorRun) -> None:
        result = ran.result(UNSAVED)
        assert (result.state, result.model, result.best_epoch) == (TrialState.FAILED, None, None)
        assert result.error is not None
        assert "No space left on device" in result.error
        assert "\n" not in result.error
        assert result.traceback is not None
        assert "save_keras" in result.traceback

    def test_a_failed_trial_leaves_no_files(self, ran: ExecutorRun) -> None:
        assert (ran.staging / f"{WHOLE.number}-1").is_dir()
        assert list(ran.staging.glob(f"{UNSAVED.number}-*")) == []

    def test_data_of_another_digest_fails_the_trial(self, archive: Path, tmp_path: Path) -> None:
        result = self.run([WHOLE], context_of(archive, tmp_path / "staging", digest="0" * 64)).result(WHOLE)
        assert (result.state, result.history) == (TrialState.FAILED, ())
        assert result.error is not None
        assert result.error.startswith("DataError")
        assert "altered" in result.error
        assert str(archive) in result.error
        assert result.traceback is not None

    def test_nothing_ends_where_nothing_was_submitted(self, archive: Path, tmp_path: Path) -> None:
        executor = self.make_executor(context_of(archive, tmp_path))
        try:
            assert list(executor.poll(ExecutorRun(tmp_path).decide, timeout=0.01)) == []
        finally:
            executor.close()

    def test_closing_twice_is_safe_and_leaves_no_process(self, archive: Path, tmp_path: Path) -> None:
        before = set(multiprocessing.active_children())
        executor = self.make_executor(context_of(archive, tmp_path))
        executor.submit(WHOLE)
        executor.close()
        executor.close()
        assert set(multiprocessing.active_children()) <= before
        assert list(tmp_path.iterdir()) == []
