"""The loop at scale: trials that only sleep, and a recorder that writes nothing.

    python benchmarks/scale_loop.py [--minutes N] [--json FILE]

Three measurements, each on one thread of one process:

- milliseconds of the driver for each trial and each report, by searcher, number of workers and number of trials;
- trials a second with random search, where workers end at once;
- the share of their time that 1,000 workers with trials of one minute are busy.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common import SEED, machine

from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Decide, Ended, Finished, WorkerStatus
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.sweep import Sweep
from search.trial import Trial, TrialResult, TrialState

EPOCHS = 20

SPACE = """
[space]
hidden_size = { low = 16, high = 1024, log = true }
learning_rate = { low = 1e-4, high = 1e-1, log = true }
dropout = { low = 0.0, high = 0.6 }
"""
# 100 × 10 × 10 points.
GRID = f"""
[space]
hidden_size = {list(range(16, 116))}
learning_rate = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1]
dropout = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
"""
SEARCHERS = {
    "random": ("optuna", "random", SPACE),
    "tpe": ("optuna", "tpe", SPACE),
    "grid": ("keras-tuner", "grid", GRID),
}
# A TPE ask takes a tenth of a second after 10,000 trials, so that many would take a quarter of an hour.
MAX_TRIALS = {"random": 10_000, "grid": 10_000, "tpe": 1_000}


def sweep_of(searcher: str, trials: int) -> SweepSpec:
    """A sweep of so many trials of ``EPOCHS`` epochs."""
    engine, sampler, space = SEARCHERS[searcher]
    head = f'name = "scale"\nengine = "{engine}"\nsampler = "{sampler}"\ntrials = {trials}\nseed = {SEED}\n'
    return parse_spec(f"{head}[training]\nepochs = {EPOCHS}\n{space}")


def epochs_of(trial: Trial) -> tuple[EpochMetrics, ...]:
    """A curve that rises to a height which depends on the point."""
    height = 0.9 + 0.09 * (hash(tuple(trial.point.values())) % 1000) / 1000
    accuracies = [height * (1 - 0.5**epoch) for epoch in range(1, EPOCHS + 1)]
    return tuple(EpochMetrics(1 - a, a, 1 - a, a, 0.0) for a in accuracies)


class SleepingExecutor:
    """Workers that sleep: each reports its epochs at even intervals and then ends its trial.

    Args:
        workers: number of trials at a time.
        seconds: length of a trial; 0 ends it in the next poll.
    """

    def __init__(self, workers: int, seconds: float) -> None:
        self.capacity = workers
        self._seconds = seconds
        self._events: list[tuple[float, int, Trial, int]] = []
        self._order = itertools.count()
        self._curves: dict[int, tuple[EpochMetrics, ...]] = {}
        self.busy_seconds = 0.0
        self.reports = 0
        self._started: dict[int, float] = {}

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        return [WorkerStatus("here", number) for number in self._started]

    def submit(self, trial: Trial) -> None:
        now = time.monotonic()
        self._started[trial.number] = now
        self._curves[trial.number] = epochs_of(trial)
        self._push(now + self._seconds / EPOCHS, trial, 1)

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        if self._events and (wait := self._events[0][0] - time.monotonic()) > 0:
            time.sleep(min(wait, timeout))
        return list(self._due(decide))

    def close(self) -> None:
        self._events.clear()

    def _due(self, decide: Decide) -> Iterator[Ended]:
        now = time.monotonic()
        while self._events and self._events[0][0] <= now:
            due, _, trial, epoch = heapq.heappop(self._events)
            curve = self._curves[trial.number]
            decide(trial, epoch, curve[epoch - 1])
            self.reports += 1
            if epoch < EPOCHS:
                # A worker goes on at once: it is late by what the driver has kept it waiting for nothing.
                self._push(due + self._seconds / EPOCHS, trial, epoch + 1)
                continue
            # Busy until its last epoch ended, not until the driver noticed.
            self.busy_seconds += due - self._started.pop(trial.number)
            del self._curves[trial.number]
            yield Finished(trial, TrialResult(TrialState.COMPLETE, curve, EPOCHS, StopReason.BUDGET))

    def _push(self, due: float, trial: Trial, epoch: int) -> None:
        heapq.heappush(self._events, (due, next(self._order), trial, epoch))


class NullRecorder:
    """A recorder that writes nothing."""

    def __init__(self) -> None:
        self._ended: list[Finished] = []

    def trial_started(self, trial: Trial) -> None:
        pass

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        pass

    def trial_lost(self, trial: Trial, cause: str) -> None:
        pass

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        self._ended.append(Finished(trial, result))

    def recorded(self, timeout: float = 0.0) -> Sequence[Finished]:
        ended, self._ended = self._ended, []
        return ended

    def finish(self, timeout: float) -> Sequence[Finished]:
        return self.recorded()


@dataclass(frozen=True)
class LoopCost:
    """The time of the driver in one sweep.

    Args:
        searcher: key of ``SEARCHERS``.
        workers: trials at a time.
        trials: in all.
        seconds: wall time of the loop, with workers that end at once.
    """

    searcher: str
    workers: int
    trials: int
    seconds: float

    @property
    def ms_per_trial(self) -> float:
        return 1000 * self.seconds / self.trials

    @property
    def trials_per_second(self) -> float:
        return self.trials / self.seconds


@dataclass(frozen=True)
class Busy:
    """The share of their time that workers were busy, between the start of the loop and the last trial's start."""

    searcher: str
    workers: int
    trials: int
    trial_seconds: float
    share: float


def measure_loop(searcher: str, workers: int, trials: int) -> LoopCost:
    """Run a sweep whose workers end at once."""
    spec = sweep_of(searcher, trials)
    sweep = Sweep(spec, make_searcher(spec), SleepingExecutor(workers, 0.0), NullRecorder())
    started = time.perf_counter()
    sweep.run()
    return LoopCost(searcher, workers, trials, time.perf_counter() - started)


def measure_busy(searcher: str, workers: int, trials: int, seconds: float) -> Busy:
    """Run a sweep whose trials take so many seconds; its wall time at best is ``trials / workers * seconds``."""
    spec, executor = sweep_of(searcher, trials), SleepingExecutor(workers, seconds)
    sweep = Sweep(spec, make_searcher(spec), executor, NullRecorder())
    started = time.perf_counter()
    sweep.run()
    wall = time.perf_counter() - started
    return Busy(searcher, workers, trials, seconds, executor.busy_seconds / (workers * wall))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="length of a trial of the 1,000 workers")
    parser.add_argument("--rounds", type=int, default=4, help="trials of each of the 1,000 workers")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    print(machine())
    print(f"{'searcher':<9} {'workers':>7} {'trials':>7} {'ms a trial':>11} {'trials/s':>9}")
    costs = []
    for searcher in SEARCHERS:
        for workers, trials in itertools.product((1, 10, 100, 1000), (10, 100, 1000, 10_000)):
            if trials > MAX_TRIALS[searcher] or workers > trials:
                continue
            cost = measure_loop(searcher, workers, trials)
            costs.append(cost)
            print(
                f"{searcher:<9} {workers:>7,} {trials:>7,} {cost.ms_per_trial:>11.2f} {cost.trials_per_second:>9,.0f}",
                flush=True,
            )
    busy = []
    for searcher in ("random", "tpe"):
        one = measure_busy(searcher, 1000, 1000 * arguments.rounds, 60 * arguments.minutes)
        busy.append(one)
        print(
            f"{searcher}: 1,000 workers, trials of {one.trial_seconds:.0f} s: {100 * one.share:.1f}% busy", flush=True
        )
    if arguments.json:
        figures = {"machine": machine(), "loop": list(map(asdict, costs)), "busy": list(map(asdict, busy))}
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
