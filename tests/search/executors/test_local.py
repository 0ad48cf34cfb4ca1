"""Worker processes: the trials and the other workers when one of them dies, hangs or is interrupted."""

from __future__ import annotations

import errno
import functools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import WorkerError
from mnist_core.metrics import EpochMetrics
from mnist_core.models.custom import CustomModel
from search.executors import local
from search.executors.base import Ended, Finished, Lost
from search.executors.local import WORKER_MEMORY_BYTES, LocalExecutor, default_workers, usable_cores, usable_memory
from search.testing.values import context_of, save_keras, small_trial
from search.trial import SavedModel, Trial, TrialState
from search.worker import WorkerContext

POLLS = 600
"""More than any machine needs; each waits up to a fifth of a second."""

posix_only = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def never_stop(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
    return True


def poll_until(executor: LocalExecutor, count: int, decide: Callable[..., bool] = never_stop) -> list[Ended]:
    ended: list[Ended] = []
    for _ in range(POLLS):
        ended += executor.poll(decide, timeout=0.2)
        if len(ended) >= count:
            break
    return ended


def workers() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def is_complete(end: Ended) -> bool:
    return isinstance(end, Finished) and end.result.state is TrialState.COMPLETE


@pytest.fixture
def start() -> Iterator[Callable[..., LocalExecutor]]:
    """Makes executors of one worker, which has started, that are closed at the end of the test."""
    executors: list[LocalExecutor] = []

    def make(*arguments: Any) -> LocalExecutor:
        executors.append(LocalExecutor(*arguments, workers=1))
        executors[-1].poll(never_stop, timeout=0)
        return executors[-1]

    yield make
    for executor in executors:
        executor.close()


class WhenPickled:
    """A way to save models that does something when it is pickled, which is in the middle of starting a worker."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.do = do

    def __call__(self, model: Any, folder: Path) -> SavedModel:
        return save_keras(model, folder)

    def __reduce__(self) -> tuple[Any, ...]:
        self.do()
        return (functools.partial, (save_keras,))


def test_the_capacity_is_the_number_of_workers(two_workers: LocalExecutor) -> None:
    assert two_workers.capacity == 2


def test_more_trials_than_workers_wait_for_a_free_one(two_workers: LocalExecutor) -> None:
    for number in (20, 21, 22):
        two_workers.submit(small_trial(number, epochs=1))
    ended = poll_until(two_workers, 3)
    assert sorted(end.trial.number for end in ended) == [20, 21, 22]
    assert all(map(is_complete, ended))


def test_temporary_files_of_a_trial_are_in_the_folder_that_ends_with_the_sweep(two_workers: LocalExecutor) -> None:
    model = CustomModel("tests.helpers.custom_parts:leaving_a_temporary_file", {"units": 4})
    two_workers.submit(replace(small_trial(25, epochs=1), hyperparameters=model))
    assert all(map(is_complete, poll_until(two_workers, 1)))
    assert len(list(two_workers._context.staging.glob("left-by-a-trial-*"))) == 1


def test_a_trial_runs_where_a_cleaner_has_removed_the_folder_of_its_files(two_workers: LocalExecutor) -> None:
    shutil.rmtree(two_workers._context.staging)
    model = CustomModel("tests.helpers.custom_parts:leaving_a_temporary_file", {"units": 4})
    two_workers.submit(replace(small_trial(26, epochs=1), hyperparameters=model))
    assert all(map(is_complete, poll_until(two_workers, 1)))


@posix_only
def test_a_killed_worker_loses_its_trial_and_no_other(two_workers: LocalExecutor) -> None:
    for number in (30, 31):
        two_workers.submit(small_trial(number, epochs=3))
    staff = workers()
    killed: list[int] = []

    def kill_at_first_epoch(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        # Both are busy, as neither has come through three epochs: whichever it hits loses its trial.
        if not killed:
            killed.append(min(staff))
            os.kill(killed[0], signal.SIGKILL)
        return True

    ended = poll_until(two_workers, 2, kill_at_first_epoch)
    assert sorted(end.trial.number for end in ended) == [30, 31]
    (lost,) = [end for end in ended if isinstance(end, Lost)]
    assert lost.cause.startswith("the worker process was killed by SIGKILL, as the system does where memory runs out")
    (unharmed,) = [end for end in ended if isinstance(end, Finished)]
    assert (unharmed.result.state, len(unharmed.result.history)) == (TrialState.COMPLETE, 3)
    assert two_workers.capacity == 2
    assert len(workers()) == len(staff) == 2
    assert workers().isdisjoint(killed)


@posix_only
def test_a_worker_that_died_while_it_was_idle_costs_the_next_trial_nothing(two_workers: LocalExecutor) -> None:
    two_workers.poll(never_stop, timeout=0)
    # The newest, so that the one that stays has most likely loaded TensorFlow.
    victim = max(multiprocessing.active_children(), key=lambda process: process.pid or 0)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    for number in (40, 41):
        two_workers.submit(small_trial(number, epochs=1))
    ended = poll_until(two_workers, 2)
    assert sorted((end.trial.number, is_complete(end)) for end in ended) == [(40, True), (41, True)]


def test_a_trial_that_ended_is_returned_where_no_other_worker_can_start(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., LocalExecutor]
) -> None:
    monkeypatch.setattr(local, "TRIALS_PER_WORKER", 1)
    executor = start(context_of(small_npz, tmp_path))

    def fail(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(executor._starter, "start", fail)
    executor.submit(small_trial(0, epochs=1))
    (end,) = poll_until(executor, 1)
    assert is_complete(end)
    with pytest.raises(WorkerError, match=r"0 of 1 workers could start \(.*Too many open files\); ask for fewer"):
        executor.poll(never_stop, timeout=0)


@posix_only
@pytest.mark.fault
def test_stopped_workers_are_waited_for_together(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = LocalExecutor(context_of(small_npz, tmp_path), workers=2)
    executor.poll(never_stop, timeout=0)
    staff = [worker.process for worker in executor._workers]
    for process in staff:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(1000):
            if psutil.Process(process.pid).status() == psutil.STATUS_STOPPED:
                break
            time.sleep(0.01)
    waited: list[float] = []
    join = local._Worker.join

    def note(worker: local._Worker, *seconds: float) -> None:
        waited.extend(seconds)
        join(worker, *seconds)

    monkeypatch.setattr(local, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(local._Worker, "join", note)
    executor.close()
    assert 0 < waited[0] <= 0.2
    assert waited[1] <= 0
    assert not any(process.is_alive() for process in staff)


@posix_only
def test_workers_that_are_killed_before_one_is_ready_are_no_fault_of_a_script(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    executor = start(context_of(small_npz, tmp_path))

    def lose_a_worker() -> list[Ended]:
        executor.submit(small_trial(0))
        pid = executor._workers[0].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return poll_until(executor, 1)

    for _ in range(local.MAX_FAILED_STARTS - 1):
        (end,) = lose_a_worker()
        assert isinstance(end, Lost)
    with pytest.raises(WorkerError, match=r"no worker process could start \(.*SIGKILL.*memory.*\)$"):
        lose_a_worker()


def test_a_worker_is_replaced_after_so_many_trials(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., LocalExecutor]
) -> None:
    monkeypatch.setattr(local, "TRIALS_PER_WORKER", 2)
    others = workers()
    executor = start(context_of(small_npz, tmp_path))
    (first,) = workers() - others
    for number in range(2):
        assert first in workers()
        executor.submit(small_trial(number, epochs=1))
        assert all(map(is_complete, poll_until(executor, 1)))
    assert executor.capacity == 1
    executor.poll(never_stop, timeout=0)
    assert len(workers() - others - {first}) == 1
    for _ in range(150):
        if first not in workers():
            break
        time.sleep(0.1)
    assert first not in workers()


DRIVER = """
import multiprocessing, sys, time
from pathlib import Path

from search.testing.values import context_of, small_trial
from search.executors.local import LocalExecutor

def decide(trial, epoch, metrics):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    executor = LocalExecutor(context_of(Path(sys.argv[1]), Path(sys.argv[2])), workers=2)
    executor.submit(small_trial(0))
    while True:
        executor.poll(decide, 0.2)
"""


@posix_only
@pytest.mark.fault
def test_workers_die_with_a_driver_that_is_killed(small_npz: Path, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER, encoding="utf-8")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    driver = subprocess.Popen(
        [sys.executable, str(script), str(small_npz), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert driver.stdout is not None
        # One worker waits for a decision that never comes, the other for a trial.
        orphans = [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]
        assert len(orphans) == 2
    finally:
        driver.kill()
        driver.communicate()
    for _ in range(150):
        if not any(is_alive(process) for process in orphans):
            break
        time.sleep(0.1)
    assert [process.pid for process in orphans if is_alive(process)] == []


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("memory", "cores", "count"),
    [
        (100 * WORKER_MEMORY_BYTES, 4, 4),
        (3 * WORKER_MEMORY_BYTES, 4, 3),
        (3 * WORKER_MEMORY_BYTES - 1, 4, 2),
        (3 * WORKER_MEMORY_BYTES, 2, 2),
        (0, 4, 1),
    ],
)
def test_there_are_as_many_workers_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, memory: int, cores: int, count: int
) -> None:
    monkeypatch.setattr(local, "usable_memory", lambda: memory)
    monkeypatch.setattr(local, "usable_cores", lambda: cores)
    assert default_workers() == count


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({"memory.max": "4000", "memory.current": "1500", "memory.stat": "anon 1000\ninactive_file 500\n"}, 3000),
        ({"memory.max": "4000", "memory.current": "4100", "memory.stat": ""}, 0),
        ({"memory.max": "max", "memory.current": "1500", "memory.stat": ""}, 9000),
        ({"memory.max": "80000", "memory.current": "1500", "memory.stat": ""}, 9000),
        (
            {
                "memory/memory.limit_in_bytes": "4000",
                "memory/memory.usage_in_bytes": "1500",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
            },
            3000,
        ),
        ({}, 9000),
    ],
    ids=["limit", "limit reached", "no limit", "limit above what is free", "version 1", "no container"],
)
def test_the_memory_limit_of_a_container_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], usable: int
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=9000))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_memory(tmp_path) == usable


def test_usable_cores_are_those_that_this_process_may_run_on() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_a_failure_to_load_the_data_is_the_error_of_every_trial(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    source = DataSource(Origin.FUNCTION, function="tests.helpers.custom_parts:broken_after_computing")
    executor = start(replace(context_of(small_npz, tmp_path), source=source))
    for number in (0, 1):
        executor.submit(small_trial(number, epochs=1))
    ended = poll_until(executor, 2)
    for end in ended:
        assert isinstance(end, Finished)
        assert end.result.error is not None
        assert end.result.error.startswith("DataError")
        assert "the cable is out" in end.result.error
    assert len(ended) == 2


def test_where_nothing_is_pruned_a_worker_goes_on_while_its_driver_is_busy(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    executor = start(replace(context_of(small_npz, tmp_path), pruning=False))
    executor.submit(small_trial(0, epochs=3))
    seen: list[tuple[int, bool]] = []

    def busy_until_the_trial_is_over(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        for _ in range(300):
            if (tmp_path / "0-1" / "model.keras").exists():
                break
            time.sleep(0.1)
        seen.append((epoch, (tmp_path / "0-1" / "model.keras").exists()))
        return True

    (end,) = poll_until(executor, 1, busy_until_the_trial_is_over)
    assert is_complete(end)
    assert seen == [(1, True), (2, True), (3, True)]


def wait_for_model(staging: Path, number: int) -> None:
    """Wait for the end of a trial without polling: a worker's start is not to count as silence, however slow it is."""
    for _ in range(600):
        if (staging / f"{number}-1" / "model.keras").exists():
            return
        time.sleep(0.1)
    pytest.fail("the trial did not come to its end")


def impatient(data: Path, staging: Path) -> WorkerContext:
    return replace(context_of(data, staging), pruning=False, trial_timeout=3.0)


@pytest.mark.fault
def test_a_trial_that_reports_nothing_is_lost_and_its_worker_replaced(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    others = workers()
    executor = start(impatient(small_npz, tmp_path))
    (worker,) = workers() - others
    executor.submit(small_trial(0, epochs=1))
    wait_for_model(tmp_path, 0)
    assert all(map(is_complete, poll_until(executor, 1)))

    hung = replace(small_trial(1), hyperparameters=CustomModel("tests.helpers.custom_parts:sleeping", {"units": 4}))
    executor.submit(hung)
    (end,) = poll_until(executor, 1)
    assert end == Lost(hung, "the trial reported nothing for 3 s, and its worker process was killed")
    assert worker not in workers()

    executor.submit(small_trial(2, epochs=1))
    wait_for_model(tmp_path, 2)
    (end,) = poll_until(executor, 1)
    assert is_complete(end)
    assert end.trial.number == 2


@posix_only
@pytest.mark.fault
def test_a_worker_that_was_stopped_is_killed_and_its_messages_are_dropped(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    others = workers()
    executor = start(impatient(small_npz, tmp_path))
    (worker,) = workers() - others
    executor.submit(small_trial(0, epochs=1))
    wait_for_model(tmp_path, 0)
    assert all(map(is_complete, poll_until(executor, 1)))

    os.kill(worker, signal.SIGSTOP)
    executor.submit(small_trial(1, epochs=1))
    (end,) = poll_until(executor, 1)
    assert isinstance(end, Lost)
    assert end.trial.number == 1
    assert "reported nothing" in end.cause
    assert not psutil.pid_exists(worker)
    assert list(executor.poll(never_stop, timeout=0.2)) == []
    assert not (tmp_path / "1-1").exists()


@posix_only
def test_an_interrupt_while_a_worker_starts_is_delivered_after_the_start_and_leaves_no_worker(
    small_npz: Path, tmp_path: Path
) -> None:
    before = workers()
    started: list[int] = []

    def interrupt_the_second() -> None:
        started.append(len(workers() - before))
        if len(started) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    save = WhenPickled(interrupt_the_second)
    executor = LocalExecutor(replace(context_of(small_npz, tmp_path), save=save), workers=3)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        executor.submit(small_trial(0))
    # The traceback holds the frames, as a notebook does: no worker ends because its pipe is collected.
    assert interrupt.tb is not None
    assert started == [0, 1]
    assert workers() == before


@posix_only
def test_an_interrupt_never_reaches_a_worker(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor]
) -> None:
    others = workers()
    executor = start(context_of(small_npz, tmp_path))
    (worker,) = workers() - others
    os.kill(worker, signal.SIGINT)
    executor.submit(small_trial(0))

    def interrupt(trial: Trial, epoch: int, metrics: EpochMetrics) -> bool:
        os.kill(worker, signal.SIGINT)
        return True

    (end,) = poll_until(executor, 1, interrupt)
    assert is_complete(end)
    assert worker in workers()


SECRET = "A_SECRET_OF_THE_TESTS"


def withhold_the_secret(environment: Mapping[str, str]) -> Iterable[str]:
    return [name for name in environment if name == SECRET]


def test_withheld_variables_are_not_in_the_environment_of_a_worker_and_stay_in_that_of_the_driver(
    small_npz: Path, tmp_path: Path, start: Callable[..., LocalExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "open sesame")
    meanwhile: list[str | None] = []
    save = WhenPickled(lambda: meanwhile.append(os.environ.get(SECRET)))
    others = workers()
    start(replace(context_of(small_npz, tmp_path), save=save, withheld=withhold_the_secret))
    (worker,) = workers() - others
    environment: dict[str, str] = {}
    for _ in range(100):
        if environment := psutil.Process(worker).environ():  # none for a moment, as its program takes its place
            break
        time.sleep(0.05)
    assert environment["PATH"] == os.environ["PATH"]
    assert SECRET not in environment
    assert meanwhile == ["open sesame"]
    told = [sys.executable, "-c", f"import os; print(os.environ.get({SECRET!r}))"]
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip() == "open sesame"


def test_usable_cores_can_be_limited_below_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert usable_cores() == 1


def test_the_quota_of_a_container_limits_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from joblib.externals.loky.backend import context

    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda os_cpu_count: 1)
    assert usable_cores() == 1
