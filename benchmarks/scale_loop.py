"""The loop at scale: what a trial and a report cost the driver, and how busy it keeps a thousand workers."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from common import SEED, Measurement
from scale_executor import NullObserver, NullRecorder, SimulatedClock, SleepingExecutor, WallClock, result_of
from scale_recording import model_in
from scale_stores import SQLITE, available_stores, new_store

from experiments.tracking import sweep_runs
from experiments.tracking.datasets import describe_data
from experiments.tracking.lease import HeldLease
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.store import Store
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.data.sources import DataSource, Origin
from search.executors.base import Finished
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.sweep import Sweep

PART = "loop"
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
# Longer ones are resumed near their end: from their start they would take a quarter of an hour.
MAX_FROM_START = {"random": 10_000, "grid": 10_000, "tpe": 300}
LAST_TRIALS = 100


@dataclass(frozen=True)
class LoopSizes:
    """Sizes of the measurement.

    Args:
        workers: numbers of workers.
        trials: numbers of trials.
        store_workers: numbers of workers of sweeps that are recorded.
        store_trials: numbers of trials of those.
        busy_rounds: trials of each of the workers that are simulated.
        busy_workers: their number.
        recorded_seconds: length of the trials of workers that sleep, and whose trials are recorded; 0 leaves it out.
    """

    workers: tuple[int, ...] = (1, 10, 100, 1000)
    trials: tuple[int, ...] = (10, 100, 1000, 10_000)
    store_workers: tuple[int, ...] = (1, 100, 1000)
    store_trials: tuple[int, ...] = (10, 100, 1000)
    busy_rounds: int = 3
    busy_workers: int = 1000
    recorded_seconds: float = 60.0


QUICK = LoopSizes((1, 100), (10, 100), (10,), (10, 30), 2, 100, 0.0)


def measure(sizes: LoopSizes) -> Iterator[Measurement]:
    """Measure the loop alone, with stores, and with many workers."""
    for searcher in SEARCHERS:
        yield from _costs(searcher, sizes)
    for name in available_stores():
        with new_store(name) as store:
            yield from _recorded_costs(name, store, sizes)
    yield from _busy(sizes)
    if sizes.recorded_seconds:
        with new_store(SQLITE) as store:
            yield _busy_and_recorded(store, sizes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    yield Measurement(PART, "memory of the driver, at most, in all these sweeps", memory, "MB")


def sweep_of(searcher: str, trials: int, epochs: int = EPOCHS) -> SweepSpec:
    """A sweep of so many trials."""
    engine, sampler, space = SEARCHERS[searcher]
    head = f'name = "scale"\nengine = "{engine}"\nsampler = "{sampler}"\ntrials = {trials}\nseed = {SEED}\n'
    return parse_spec(f"{head}[training]\nepochs = {epochs}\n{space}")


def history_of(trials: int, epochs: int) -> ResumeState:
    """The first trials of a sweep, as resuming reads them, at random points."""
    if not trials:
        return NOTHING_DONE
    spec = sweep_of("random", trials, epochs)
    source = make_searcher(spec)
    finished = []
    for number in range(trials):
        suggestion = source.ask()
        trial = spec.trial(number, suggestion.point)
        result = result_of(trial, epochs)
        source.tell(suggestion.id, result.outcome(spec.objectives))
        finished.append(Finished(trial, result))
    return ResumeState(finished)


def cost_of(searcher: str, workers: int, trials: int, epochs: int = EPOCHS) -> tuple[int, float]:
    """The number of trials that were run, the last of a sweep, and milliseconds of CPU time for each of them."""
    spec = sweep_of(searcher, trials, epochs)
    done = 0 if trials <= MAX_FROM_START[searcher] else trials - LAST_TRIALS
    history = history_of(done, epochs)
    executor = SleepingExecutor(workers, 0.0, epochs, WallClock())
    sweep = Sweep(spec, make_searcher(spec, history), executor, NullRecorder(), [NullObserver()], history)
    started = time.thread_time()
    sweep.run()
    return trials - done, 1000 * (time.thread_time() - started) / (trials - done)


def _costs(searcher: str, sizes: LoopSizes) -> Iterator[Measurement]:
    for workers in sizes.workers:
        for trials in sizes.trials:
            if workers > trials or (trials > MAX_FROM_START[searcher] and workers > LAST_TRIALS):
                continue
            run, cost = cost_of(searcher, workers, trials)
            last = f", the last {run}" if run < trials else ""
            name = f"{searcher}, {workers:,} workers, {trials:,} trials{last}: CPU of a trial"
            aim = 10.0 if searcher == "random" else None  # a hundred trials a second
            yield Measurement(PART, name, cost, "ms", aim, series=f"{searcher}, {workers:,} workers", x=trials)
    trials = min(sizes.trials[-1], MAX_FROM_START[searcher], 1000)
    short, long = (cost_of(searcher, 10, trials, epochs)[1] for epochs in (1, 1 + EPOCHS))
    yield Measurement(PART, f"{searcher}: CPU of a report", (long - short) / EPOCHS, "ms")


def _recorded_costs(name: str, store: Store, sizes: LoopSizes) -> Iterator[Measurement]:
    for workers in sizes.store_workers:
        for trials in sizes.store_trials:
            if workers > trials or (name != SQLITE and trials > 100):
                continue
            cpu, wall = _record(store, workers, trials)
            series = f"{name}, {workers:,} workers"
            about = f"{name}, {workers:,} workers, {trials:,} trials"
            yield Measurement(PART, f"{about}: CPU of a trial", 1000 * cpu / trials, "ms", series=series, x=trials)
            yield Measurement(PART, f"{about}: trials", trials / wall, "a second")


def _record(store: Store, workers: int, trials: int) -> tuple[float, float]:
    """CPU and wall seconds of a sweep whose workers end at once, recorded without models."""
    executor = SleepingExecutor(workers, 0.0, EPOCHS, WallClock())
    cpu, wall = time.process_time(), time.perf_counter()
    _run_recorded(store, sweep_of("random", trials), executor)
    return time.process_time() - cpu, time.perf_counter() - wall


def _run_recorded(store: Store, spec: SweepSpec, executor: SleepingExecutor) -> None:
    data = describe_data(DataSource(Origin.SAMPLE), spec)
    with (
        HeldLease(store, sweep_runs.begin_sweep(store, spec, spec.name, data, executor.capacity)) as lease,
        SweepRecorder(TrialRuns(store, lease.run_id, spec.name, data, lease)) as recorder,
    ):
        Sweep(spec, make_searcher(spec), executor, recorder, [NullObserver()]).run()


def _busy(sizes: LoopSizes) -> Iterator[Measurement]:
    for searcher, done in (("random", 0), ("tpe", 0), ("tpe", 1000), ("tpe", 5000)):
        if done > sizes.trials[-1]:
            continue
        trials = done + sizes.busy_workers * sizes.busy_rounds
        spec, history = sweep_of(searcher, trials), history_of(done, EPOCHS)
        executor = SleepingExecutor(sizes.busy_workers, 60.0, EPOCHS, SimulatedClock())
        Sweep(spec, make_searcher(spec, history), executor, NullRecorder(), [NullObserver()], history).run()
        name = f"{searcher}, {sizes.busy_workers:,} workers, trials of 60 s, {done:,} to {trials:,}: busy"
        aim = 95.0 if searcher == "random" else None
        yield Measurement(PART, name, 100 * executor.busy_share(), "%", aim, True)


def _busy_and_recorded(store: Store, sizes: LoopSizes) -> Measurement:
    """Workers that sleep in real time, while their trials are recorded with models of 0.8 MB."""
    trials = sizes.busy_workers * sizes.busy_rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        executor = SleepingExecutor(
            sizes.busy_workers,
            sizes.recorded_seconds,
            EPOCHS,
            WallClock(),
            lambda trial, epochs: model_in(folder / str(trial.number), result_of(trial, epochs)),
        )
        _run_recorded(store, sweep_of("random", trials), executor)
    name = f"{SQLITE}, {sizes.busy_workers:,} workers, trials of {sizes.recorded_seconds:.0f} s with models: busy"
    return Measurement(PART, name, 100 * executor.busy_share(), "%")
