"""The executor that runs trials in a Ray cluster, on Ray of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from mnist_core.errors import WorkerError
from mnist_core.metrics import EpochMetrics
from mnist_core.models.custom import CustomModel
from search.execution import Execution
from search.executors.base import Ended, Executor, Finished, InProcessExecutor, LossKind, Lost
from search.executors.factory import make_executor
from search.testing.executors import PRUNED, TRIALS, WHOLE, ExecutorContract, ExecutorRun, run_all
from search.testing.values import context_of, small_trial
from search.trial import Trial, TrialState
from search.worker import WorkerContext

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
]

ray = pytest.importorskip("ray")

from search.executors.ray import RayExecutor  # noqa: E402
from search.executors.ray_cluster import Cluster, Node  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for the temporary files of workers.

    Ray is started once for all tests of this file: an executor uses the connection that there is.
    """
    folder = tmp_path_factory.mktemp("temporary")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    modules = [str(Path(__file__).parents[3] / "tests")]
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        runtime_env={"py_modules": modules, "env_vars": {"TMPDIR": str(folder)}},
    )
    yield folder
    ray.shutdown()


def make(context: WorkerContext, max_workers: int = 1, gpus_per_trial: float = 0.0) -> Executor:
    execution = Execution("ray", gpus_per_trial=gpus_per_trial, max_workers=max_workers)
    return make_executor(execution, context, max_workers, print)


def poll_until(executor: Executor, count: int) -> list[Ended]:
    ended: list[Ended] = []
    for _ in range(600):
        ended += executor.poll(lambda *_: True, timeout=0.2)
        if len(ended) >= count:
            break
    return ended


class TestRayExecutor(ExecutorContract):
    def make_executor(self, context: WorkerContext) -> Executor:
        return make(context)

    @pytest.fixture
    def archive(self, small_npz: Path) -> Path:
        return small_npz

    def test_data_of_another_digest_fails_the_trial(self, archive: Path, tmp_path: Path) -> None:
        """Here it is found before a trial starts: a node whose data differ never gets one."""
        with pytest.raises(WorkerError, match=r"no node .* is left .*DataError.*altered since the sweep began"):
            self.run([WHOLE], context_of(archive, tmp_path / "staging", digest="0" * 64))


def test_a_trial_has_the_same_curves_as_in_this_process_and_leaves_no_files_on_its_node(
    small_npz: Path, tmp_path: Path, temporary_files: Path
) -> None:
    before = set(temporary_files.iterdir())
    local = InProcessExecutor(context_of(small_npz, tmp_path / "local"))
    expected = run_all(local, TRIALS, tmp_path / "local")
    executor = make(context_of(small_npz, tmp_path / "ray"), max_workers=2)
    try:
        received = run_all(executor, TRIALS, tmp_path / "ray")
        assert set(temporary_files.iterdir()) <= before
    finally:
        executor.close()
    for trial in (WHOLE, PRUNED):
        assert received.result(trial).history == expected.result(trial).history


def test_a_custom_model_is_trained(small_npz: Path, tmp_path: Path) -> None:
    trial = replace(small_trial(0), hyperparameters=CustomModel("tests.helpers.custom_parts:softmax", {"units": 4}))
    executor = make(replace(context_of(small_npz, tmp_path), modules=("tests.helpers.custom_parts",)))
    try:
        executor.submit(trial)
        (end,) = poll_until(executor, 1)
    finally:
        executor.close()
    assert isinstance(end, Finished)
    assert end.result.state is TrialState.COMPLETE, end.result.error


def test_a_worker_that_dies_loses_its_trial_and_is_replaced(small_npz: Path, tmp_path: Path) -> None:
    executor = make(context_of(small_npz, tmp_path))
    killed: list[int] = []

    def kill(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        if not killed:
            killed.append(0)
            for process in _actors():
                os.kill(process, signal.SIGKILL)
        return True

    try:
        executor.submit(small_trial(0, epochs=3))
        ended: list[Ended] = []
        for _ in range(600):
            ended += executor.poll(kill, timeout=0.2)
            if ended:
                break
        (lost,) = ended
        assert isinstance(lost, Lost)
        assert lost.kind is LossKind.WORKER
        assert "died" in lost.cause
        executor.submit(replace(lost.trial, attempt=2))
        (end,) = poll_until(executor, 1)
        assert isinstance(end, Finished)
    finally:
        executor.close()


def test_a_worker_that_died_while_it_was_idle_costs_the_next_trial_nothing(small_npz: Path, tmp_path: Path) -> None:
    executor = make(context_of(small_npz, tmp_path))
    try:
        executor.submit(small_trial(0, epochs=1))
        poll_until(executor, 1)
        idle = _actors()
        for process in idle:
            os.kill(process, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(process) for process in idle if psutil.pid_exists(process)], 10)
        executor.submit(small_trial(1, epochs=1))
        (end,) = poll_until(executor, 1)
    finally:
        executor.close()
    assert isinstance(end, Finished)
    assert end.trial.attempt == 1


def test_a_trial_that_ended_before_the_head_was_lost_is_returned(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = RayExecutor._finish

    def finish_and_lose_the_head(self: RayExecutor, *arguments: Any) -> Ended:
        def silent(_: Cluster) -> Sequence[Node]:
            raise WorkerError("the head of the Ray cluster has not answered")

        monkeypatch.setattr(Cluster, "nodes", property(silent))
        return finish(self, *arguments)

    executor = make(context_of(small_npz, tmp_path))
    try:
        executor.submit(small_trial(0, epochs=1))
        monkeypatch.setattr(RayExecutor, "_finish", finish_and_lose_the_head)
        (end,) = poll_until(executor, 1)
        assert isinstance(end, Finished)
        with pytest.raises(WorkerError, match="the head of the Ray cluster has not answered"):
            executor.poll(lambda *_: True, timeout=0.2)
    finally:
        executor.close()


def test_a_hung_trial_is_lost(small_npz: Path, tmp_path: Path) -> None:
    hung = replace(small_trial(1), hyperparameters=CustomModel("tests.helpers.custom_parts:sleeping", {"units": 4}))
    executor = make(replace(context_of(small_npz, tmp_path), trial_timeout=4.0))
    try:
        executor.submit(hung)
        (end,) = poll_until(executor, 1)
    finally:
        executor.close()
    assert isinstance(end, Lost)
    assert "reported nothing for 4 s" in end.cause


def test_a_request_that_no_node_can_meet_is_refused_with_what_there_is(small_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"no room|has room for a trial: asked 1 CPUs and 1 GPUs, there is 2 CPUs"):
        make(context_of(small_npz, tmp_path), gpus_per_trial=1.0)


def test_workers_are_shown_with_their_hosts_and_trials(small_npz: Path, tmp_path: Path) -> None:
    executor = make(context_of(small_npz, tmp_path), max_workers=2)
    seen: set[tuple[int, ...]] = set()

    def look(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        seen.add(tuple(sorted(worker.trial for worker in executor.workers if worker.trial is not None)))
        return True

    try:
        run = ExecutorRun(tmp_path)
        for number in (0, 1):
            executor.submit(small_trial(number, epochs=2))
        while len(run.ended) < 2:
            run.ended += executor.poll(look, timeout=0.2)
        assert executor.capacity == 2
        assert len({worker.host for worker in executor.workers}) == 1
    finally:
        executor.close()
    assert {0, 1} <= {number for numbers in seen for number in numbers}


def _actors() -> list[int]:
    names = [(process.pid, " ".join(process.cmdline())) for process in psutil.Process().children(recursive=True)]
    return [pid for pid, name in names if "RayActor" in name]


def test_without_an_address_ray_is_started_for_the_sweep_and_ends_with_it(small_npz: Path, tmp_path: Path) -> None:
    """In a process of its own, with nothing on its screen that is Ray's."""
    (tmp_path / "sweep.toml").write_text(
        'name = "alone"\nsampler = "random"\ntrials = 2\n[data]\nvalidation = 200\n[training]\nepochs = 1\n'
        "[space]\nhidden_size = { low = 8, high = 32 }\n"
    )
    words = ["sweep", "sweep.toml", "--executor", "ray", "--max-workers", "1", "--data", str(small_npz), "--no-report"]
    program = f"import sys; from experiments.cli.main import main; sys.argv[1:] = {words!r}; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/2]" in done.stdout
    shown = (done.stdout + done.stderr).splitlines()
    assert [line for line in shown if "ray" in line.lower() and "array" not in line.lower()] == []
