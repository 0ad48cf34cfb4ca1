"""Wall time, processor time and memory of a command with all processes below it; used by other benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MEMORY_KIND = "PSS" if sys.platform == "linux" else "resident"
"""A page that several processes share counts once in the sum of their PSS; resident memory counts it in each."""
PERIOD_SECONDS = 0.5
LEFT_SECONDS = 10.0
"""Time that processes have to notice the end of the command."""


@dataclass(frozen=True)
class TreeUsage:
    """Cost of a command and all processes below it.

    Args:
        wall: seconds from its start to its end.
        cpu: processor seconds of all of them.
        memory: largest sum over the processes that lived at one time, in MB; see ``MEMORY_KIND``.
    """

    wall: float
    cpu: float
    memory: float


class ProcessTree:
    """A process and all below it, also those that have ended; looked at every now and then."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._used: dict[psutil.Process, float] = {}

    @property
    def cpu(self) -> float:
        """Processor seconds of all processes that were seen, each until it was last seen."""
        return sum(self._used.values())

    def look(self) -> list[psutil.Process]:
        """Read the processor times, and return the processes that live."""
        try:
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []
        for one in family:
            try:
                times = one.cpu_times()
            except psutil.Error:
                continue
            self._used[one] = times.user + times.system
        return family

    def end(self) -> None:
        """Kill what is left of all processes that were seen."""
        _, left = psutil.wait_procs([one for one in self._used if one.is_running()], timeout=LEFT_SECONDS)
        for one in left:
            one.kill()


class _Sampler(threading.Thread):
    def __init__(self, tree: ProcessTree, period: float) -> None:
        super().__init__(daemon=True)
        self.memory = 0.0
        self._tree, self._period = tree, period
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._period):
            self.memory = max(self.memory, sum(map(_megabytes, self._tree.look())))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _megabytes(process: psutil.Process) -> float:
    """Memory of a process; 0 if it has ended."""
    try:
        if MEMORY_KIND == "PSS":
            return float(process.memory_full_info().pss) / 1e6
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def measure_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], period: float = PERIOD_SECONDS
) -> TreeUsage:
    """Run a command in a folder, with its output in a file there. The program ends if the command fails."""
    with (folder / "output.txt").open("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        tree = ProcessTree(process.pid)
        sampler = _Sampler(tree, period)
        sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            sampler.stop()
            tree.end()
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}: {output.read()[-2000:]}")
    # The kernel's sum has no process that was not waited for, as those of Ray; the samples miss the last moments.
    return TreeUsage(wall, max(usage.ru_utime + usage.ru_stime, tree.cpu), sampler.memory)
