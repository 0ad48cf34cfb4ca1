"""N worker processes on this machine that stay alive across trials.

Each has a pipe of its own, so one that dies loses its trial only. The pools of the standard library break as a whole.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

from mnist_core.errors import WorkerError
from mnist_core.metrics import EpochMetrics
from search.executors.base import Decide, Ended, Finished, Lost, WorkerStatus
from search.executors.hang_detection import SilenceWatch
from search.executors.processes import ProcessStarter, exit_with_parent
from search.trial import Trial, TrialResult
from search.worker import WorkerContext, WorkerRuntime, run_trial

# About 4 MiB of memory stay allocated after every trial, even after keras.backend.clear_session().
TRIALS_PER_WORKER = 40
WORKER_MEMORY_BYTES = 1_200_000_000
CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""Of a limit, the memory in use, and in ``memory.stat`` the part of that which is given back on demand."""
GRACE_SECONDS = 3.0
MAX_FAILED_STARTS = 3
SERVER_DIED = 255
"""Exit code that the standard library reports for all forks of a fork server that has died."""
IN_A_SCRIPT = 'In a script of your own, make the call below if __name__ == "__main__": — workers import the script'


def usable_cores() -> int:
    """Return the number of cores that this process may use: its affinity and a container's CPU quota limit them.

    ``LOKY_MAX_CPU_COUNT`` sets a lower limit, as for scikit-learn.
    """
    from joblib import cpu_count  # late: its import takes a tenth of a second

    return int(cpu_count())


def usable_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may still take: those that are free here, and within a container's limit.

    Args:
        cgroup: folder of the container's limits, of version 1 or 2.
    """
    usable = int(psutil.virtual_memory().available)
    for limit, used, cache in CGROUP_FILES:
        with suppress(OSError, ValueError):  # it is not there, or is ``max``
            maximum, now = (int((cgroup / name).read_text()) for name in (limit, used))
            stat = dict(line.split() for line in (cgroup / limit).with_name("memory.stat").read_text().splitlines())
            usable = min(usable, max(0, maximum - now + int(stat.get(cache, 0))))
    return usable


def default_workers() -> int:
    """Return the number of workers that there are cores and memory for; at least one."""
    return max(1, min(usable_cores(), usable_memory() // WORKER_MEMORY_BYTES))


@dataclass(frozen=True)
class _Ready:
    """The first message of a worker."""


@dataclass(frozen=True)
class _EpochEnd:
    """The message of a worker after each epoch. Where trials can be pruned, it then waits for a bool."""

    epoch: int
    metrics: EpochMetrics


class _Worker:
    """One process, its end of the pipe, and the trial that it is running."""

    def __init__(self, context: WorkerContext, starter: ProcessStarter) -> None:
        self.connection, worker_end = multiprocessing.Pipe()
        self.trial: Trial | None = None
        self.trials_left = TRIALS_PER_WORKER
        self.silent_since = 0.0
        self.is_forked = starter.forks
        try:
            self.process = starter.start(_work, worker_end, context)
        except BaseException:
            self.connection.close()
            raise
        finally:
            worker_end.close()

    @property
    def was_killed(self) -> bool:
        code = self.process.exitcode
        return code is not None and -code in set(signal.Signals)

    def start(self, trial: Trial, now: float) -> None:
        self.trial, self.silent_since = trial, now
        self.trials_left -= 1
        self.send(trial)

    def send(self, message: Trial | bool) -> None:
        with suppress(OSError):  # it has died, which its sentinel shows at the next poll
            self.connection.send(message)

    def exit_cause(self) -> str:
        self.join()
        code = self.process.exitcode
        if self.was_killed:
            name = signal.Signals(-(code or 0)).name
            hint = ", as the system does where memory runs out: fewer workers need less" if name == "SIGKILL" else ""
            return f"the worker process was killed by {name}{hint}"
        if self.is_forked and code == SERVER_DIED:
            return "the worker process died, or the process from which it was forked"
        return f"the worker process ended with exit code {code}"

    def kill(self) -> None:
        """End a process that is stopped or hangs in compiled code, where no other signal has an effect."""
        self.process.kill()
        self.join()

    def join(self, seconds: float = GRACE_SECONDS) -> None:
        """Wait for the end of the process, but not for long: one that waits for a disk or a device cannot be ended."""
        if self.process.pid is not None:
            self.process.join(max(0.0, seconds))

    def end(self) -> None:
        """Ask the process to end, by closing the pipe and by SIGTERM."""
        self.connection.close()
        if self.process.is_alive():
            self.process.terminate()


class LocalExecutor:
    """Runs trials in worker processes on this machine, each with its share of the cores.

    The worker of a trial that reports nothing for too long is killed, and the trial is lost.
    ``submit`` and ``poll`` raise WorkerError where no worker could start.

    Args:
        context: settings of the workers.
        workers: number of processes. They start with the first trial, or at once where they are not forked, and are
            replaced when they die or have run many trials.
    """

    def __init__(self, context: WorkerContext, workers: int) -> None:
        self._context = context
        self._size = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[Trial] = deque()
        self._any_was_ready = False
        self._failed_starts = 0
        self._silence = SilenceWatch(context.trial_timeout)
        self._starter = ProcessStarter(context.withheld(os.environ))
        if not self._starter.forks:  # they import TensorFlow while the driver does something else
            self._start_workers()

    @property
    def capacity(self) -> int:
        """The number of workers."""
        return self._size

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        """The worker processes, each with its trial."""
        host = socket.gethostname()
        return [WorkerStatus(host, worker.trial.number if worker.trial else None) for worker in self._workers]

    def submit(self, trial: Trial) -> None:
        """Give the trial to a free worker, or keep it until there is one."""
        self._waiting.append(trial)
        self._start_workers()
        self._assign()

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Handle the messages of the workers, and return the trials that ended."""
        self._start_workers()
        busy = [worker for worker in self._workers if worker.trial]
        watched = [worker.connection for worker in busy] + [worker.process.sentinel for worker in busy]
        ready = wait(watched, timeout) if watched else []
        self._silence.look()
        ended: list[Ended] = []
        for worker in busy:
            # A worker that sent its result and then died has both ready: the message is read first.
            if worker.connection in ready:
                ended += self._receive(worker, decide)
            elif worker.process.sentinel in ready:
                ended += self._handle_worker_exit(worker)
            elif self._silence.is_hung(worker.silent_since):
                ended += self._end_hung(worker)
        self._assign()
        return ended

    def close(self) -> None:
        """End all workers at once."""
        self._waiting.clear()
        for worker in self._workers:
            worker.end()
        deadline = time.monotonic() + GRACE_SECONDS  # of all: many may be stopped
        for worker in self._workers:
            worker.join(deadline - time.monotonic())
            if worker.process.is_alive():
                worker.kill()
        self._workers = []
        self._size = 0

    def _start_workers(self) -> None:
        """Start the workers that are missing, instead of those also that died with nothing to do."""
        if self._waiting:
            for worker in [one for one in self._workers if one.trial is None and not one.process.is_alive()]:
                self._remove(worker)
        try:
            while len(self._workers) < self._size:
                self._workers.append(_Worker(self._context, self._starter))
        except BaseException as error:  # nobody else could close those that have started
            started = f"{len(self._workers)} of {self._size} workers could start"
            self.close()
            if isinstance(error, OSError):
                raise WorkerError(f"{started} ({error}); ask for fewer") from error
            raise

    def _receive(self, worker: _Worker, decide: Decide) -> list[Ended]:
        assert worker.trial is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._handle_worker_exit(worker)
        self._silence.end_silence(worker.silent_since)
        worker.silent_since = self._silence.now
        if isinstance(message, _Ready):
            self._any_was_ready = True
            return []
        if isinstance(message, _EpochEnd):
            keep_going = decide(worker.trial, message.epoch, message.metrics)
            if self._context.pruning:  # else the worker would read it as its next trial
                worker.send(keep_going)
            return []
        assert isinstance(message, TrialResult)
        trial, worker.trial = worker.trial, None
        if worker.trials_left == 0:
            self._remove(worker)
        return [Finished(trial, message)]

    def _handle_worker_exit(self, worker: _Worker) -> list[Ended]:
        cause = worker.exit_cause()
        return self._lose(worker, cause, "" if worker.was_killed else f". {IN_A_SCRIPT}")

    def _end_hung(self, worker: _Worker) -> list[Ended]:
        cause = f"the trial reported nothing for {self._silence.limit:,.6g} s, and its worker process was killed"
        worker.kill()
        return self._lose(worker, cause, ". A longer trial_timeout gives a worker more time to start")

    def _lose(self, worker: _Worker, cause: str, advice: str) -> list[Ended]:
        assert worker.trial is not None
        self._failed_starts += not self._any_was_ready
        if self._failed_starts == MAX_FAILED_STARTS:
            raise WorkerError(f"no worker process could start ({cause}){advice}")
        self._remove(worker)
        return [Lost(worker.trial, cause)]

    def _remove(self, worker: _Worker) -> None:
        """End a worker. The next call starts another: this one returns all ends, and may have been the last."""
        worker.end()
        self._workers.remove(worker)

    def _assign(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.trial is None:
                worker.start(self._waiting.popleft(), self._silence.now)


def _work(connection: Connection, context: WorkerContext) -> None:
    """Run trials from the pipe, and send epochs and results, until the driver closes the pipe or dies."""
    exit_with_parent()
    runtime = WorkerRuntime(context, own_process=True)
    with suppress(Exception):  # raised again in the first trial, where it is recorded
        runtime.split  # noqa: B018

    def report(epoch: int, metrics: EpochMetrics) -> bool:
        connection.send(_EpochEnd(epoch, metrics))
        return bool(connection.recv()) if context.pruning else True

    try:
        connection.send(_Ready())
        while True:
            connection.send(run_trial(connection.recv(), runtime, report))
    except (EOFError, OSError):
        return  # the driver is gone
