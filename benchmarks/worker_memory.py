"""Memory of two workers: forked from one process that has imported TensorFlow, and spawned.

Each trains on the whole of MNIST, or on what ``MNIST_DATA`` names. A page that two processes share counts half in the
PSS of each, and in the USS of neither. They are read as in ``/proc/PID/smaps_rollup``, so on Linux only.

    python benchmarks/worker_memory.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
from common import machine
from scale_executor import NullRecorder

from experiments.tracking.artifacts import save_model
from experiments.tracking.datasets import locate
from mnist_core.messages import print_to_stderr
from search.executors import local, processes
from search.searchers.factory import make_searcher
from search.spec_file import parse_spec
from search.sweep import Sweep
from search.trial import Trial, TrialResult
from search.worker import WorkerContext

WORKERS, TRIALS = 2, 6
SWEEP = f"""
name = "memory"
sampler = "random"
trials = {TRIALS}
[data]
validation = 0.1
[training]
epochs = 3
batch_size = 128
[space]
hidden_size = {{ low = 64, high = 256 }}
"""


class MemoryReader(NullRecorder):
    """Calls a function with the end of the trial before the last, when all workers have trained and are alive."""

    def __init__(self, read: Callable[[], None]) -> None:
        super().__init__()
        self._read, self._left = read, TRIALS - 1

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        super().trial_ended(trial, result)
        self._left -= 1
        if self._left == 0:
            self._read()


def measure(is_forked: bool) -> None:
    """Run a small sweep and print the memory of its processes."""
    spec = parse_spec(SWEEP)
    source = locate(None, print_to_stderr)
    with tempfile.TemporaryDirectory() as folder:
        context = WorkerContext(source, source.load_training().digest, spec.data, save_model, Path(folder))
        if not is_forked:
            processes.can_fork = lambda: False  # as on macOS and Windows
        executor = local.LocalExecutor(context, WORKERS)
        Sweep(spec, make_searcher(spec), executor, MemoryReader(print_memory)).run()


def print_memory() -> None:
    """Print the memory of the processes below this one that have TensorFlow."""
    print(f"  {'process':<28} {'PSS':>8} {'USS':>8} {'resident':>9}")
    total = 0.0
    driver = psutil.Process()
    for process in driver.children(recursive=True):
        used = process.memory_full_info()
        if used.rss < 200e6:  # the standard library's tracker of resources
            continue
        is_parent = bool(process.children())
        name = "forked from (trains nothing)" if is_parent else "worker"
        total += used.pss
        print(f"  {name:<28} {used.pss / 1e6:>5,.0f} MB {used.uss / 1e6:>5,.0f} MB {used.rss / 1e6:>6,.0f} MB")
    print(f"  {'all together':<28} {total / 1e6:>5,.0f} MB")


def main() -> None:
    if sys.platform != "linux":
        sys.exit("expected Linux, which tells PSS")
    if len(sys.argv) > 1:
        measure(sys.argv[1] == "forked")
        return
    print(machine())
    for start in ("forked", "spawned"):
        print(start, flush=True)
        subprocess.run([sys.executable, __file__, start], check=True)


if __name__ == "__main__":
    main()
