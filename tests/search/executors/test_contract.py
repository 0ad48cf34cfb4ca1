"""The contract of an executor, for those of this project, on real digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_core.metrics import EpochMetrics
from search.executors.base import InProcessExecutor
from search.executors.factory import load_executor
from search.executors.local import LocalExecutor
from search.testing.executors import PRUNED, TRIALS, UNSAVED, WHOLE, ExecutorContract, ExecutorRun, run_all
from search.testing.values import context_of
from search.trial import Trial
from search.worker import WorkerContext

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


@pytest.fixture(scope="module")
def run_in_process(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> ExecutorRun:
    staging = tmp_path_factory.mktemp("in-process")
    return run_all(InProcessExecutor(context_of(small_npz, staging)), TRIALS, staging)


@pytest.fixture(scope="module")
def run_in_workers(two_workers: LocalExecutor) -> ExecutorRun:
    return run_all(two_workers, TRIALS, two_workers._context.staging)


class TestInProcessExecutor(ExecutorContract):
    def make_executor(self, context: WorkerContext) -> InProcessExecutor:
        return InProcessExecutor(context)

    @pytest.fixture
    def archive(self, small_npz: Path) -> Path:
        return small_npz

    @pytest.fixture
    def ran(self, run_in_process: ExecutorRun) -> ExecutorRun:
        return run_in_process

    def test_runs_one_trial_at_a_time(self, small_npz: Path, tmp_path: Path) -> None:
        assert InProcessExecutor(context_of(small_npz, tmp_path)).capacity == 1

    def test_an_error_of_the_searcher_is_raised_and_fails_no_trial(self, small_npz: Path, tmp_path: Path) -> None:
        executor = InProcessExecutor(context_of(small_npz, tmp_path))
        executor.submit(WHOLE)

        def broken(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
            raise ZeroDivisionError("of the searcher")

        with pytest.raises(ZeroDivisionError, match="of the searcher"):
            executor.poll(broken, timeout=0.1)


class TestLocalExecutor(ExecutorContract):
    def make_executor(self, context: WorkerContext) -> LocalExecutor:
        return LocalExecutor(context, workers=1)

    @pytest.fixture
    def archive(self, small_npz: Path) -> Path:
        return small_npz

    @pytest.fixture
    def ran(self, run_in_workers: ExecutorRun) -> ExecutorRun:
        return run_in_workers


class TestAnExecutorFromOutsideWithNothingButTheSuite(ExecutorContract):
    """Its data are the suite's own."""

    def make_executor(self, context: WorkerContext) -> InProcessExecutor:
        executor = load_executor("tests.helpers.search_fakes:OutsideExecutor")(context, 1)
        assert isinstance(executor, InProcessExecutor)
        return executor


@pytest.mark.parametrize("trial", [WHOLE, PRUNED, UNSAVED], ids=lambda trial: trial.name)
def test_a_trial_has_the_same_curves_wherever_it_runs(
    run_in_process: ExecutorRun, run_in_workers: ExecutorRun, trial: Trial
) -> None:
    in_process, in_a_worker = run_in_process.result(trial).history, run_in_workers.result(trial).history
    assert len(in_process) == len(in_a_worker)
    for one, other in zip(in_process, in_a_worker, strict=True):
        # The workers have one thread. This process may have more, if an earlier test took them, and then adds
        # up in another order: float32 sums differ in the last digits, accuracies by an image of 200.
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-3)
        assert one.accuracy == pytest.approx(other.accuracy, abs=0.0051)
        assert one.val_accuracy == pytest.approx(other.val_accuracy, abs=0.0051)
