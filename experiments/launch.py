"""One call that runs a sweep, and one that resumes it: everything the command line does, for notebooks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import history as past
from experiments import selection, tracking
from experiments.dataset import describe
from experiments.interrupts import StopRequest, stop_on_signals
from experiments.model_files import save_model
from experiments.provenance import Driver
from experiments.records import RunRecord, SweepRecord, SweepState, Tag
from experiments.store import Store, open_store, probe, tracking_uri
from mnist_core.download import download_mnist
from mnist_core.errors import SpecError, SweepInUseError
from mnist_core.sources import find_data
from search.engines import make_searcher
from search.executor import Executor
from search.local_executor import LocalExecutor, default_workers, usable_cores
from search.objective import WorkerContext
from search.spec import SweepSpec
from search.sweep import Ending, History, Observer, Sweep

if TYPE_CHECKING:
    import pandas as pd


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Launch:
    """How to run a sweep, as opposed to what to search.

    Args:
        data: folder of IDX files or ``.npz`` file; None looks in ``MNIST_DATA``, the cache, the mirrors, the sample.
        workers: trials at a time; 0 takes the number of cores, as far as memory allows.
        timeout: seconds after which no new trial is started; None for no limit.
        tracking_uri: MLflow store; None takes ``MLFLOW_TRACKING_URI``, else ``mlruns/mlflow.db``.
        observers: are shown what happens.
        say: told in one line of what the user should know.
        executor: makes the executor from what a worker needs to know and the number of workers.

    Raises:
        SpecError: a value is out of its range.
    """

    data: Path | None = None
    workers: int = 0
    timeout: float | None = None
    tracking_uri: str | None = None
    observers: Sequence[Observer] = ()
    say: Callable[[str], None] = _to_stderr
    executor: Callable[[WorkerContext, int], Executor] = LocalExecutor

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise SpecError(f"workers: expected 1 or more, received {self.workers}")
        if self.timeout is not None and self.timeout <= 0:
            raise SpecError(f"timeout: expected more than 0 seconds, received {self.timeout:g}")


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Args:
        tracking_uri: of the store that holds it.
        sweep: its parent run.
        spec: what was searched.
        ending: how this call ended.
        runs: every attempt at every trial, those of earlier calls too.
        stop: the wish to stop, if there was one.
        tracking_seconds: wall time that this call spent writing to MLflow.
    """

    tracking_uri: str
    sweep: SweepRecord
    spec: SweepSpec
    ending: Ending
    runs: Sequence[RunRecord]
    stop: StopRequest
    tracking_seconds: float

    @property
    def ranked(self) -> list[RunRecord]:
        """The runs that may win, best first."""
        return selection.rank(self.runs, self.spec.objective)

    @property
    def best(self) -> RunRecord | None:
        """The best early-stopped run; None where no trial completed."""
        return selection.best(self.runs, self.spec.objective)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each run, best first: name, state, parameters (numbers as such), metrics, run_id, model_id."""
        import pandas as pd

        runs = self.ranked + selection.others(self.runs, self.spec.objective)
        rows = [
            {"name": run.name, "number": run.number, "state": run.state.value}
            | dict(run.params)
            | dict(run.metrics)
            | {"run_id": run.run_id, "model_id": run.model_id, "error": run.error}
            for run in runs
        ]
        table = pd.DataFrame(rows)
        for name in dict.fromkeys(name for run in runs for name in run.params if name != "architecture"):
            table[name] = pd.to_numeric(table[name])
        return table


def run_sweep(spec: SweepSpec, launch: Launch = Launch()) -> SweepResult:
    """Run a sweep from its first trial to its last and record all of it in MLflow.

    Ctrl-C or SIGTERM ends it cleanly; what was recorded stays, and :func:`resume_sweep` goes on from there.

    Args:
        spec: what to search; :func:`search.spec_file.read_spec` reads one from a file.
        launch: how to run it.

    Raises:
        DataError: the data cannot be read.
        StoreError: the store cannot be reached or written.
    """
    uri = tracking_uri(launch.tracking_uri)
    probe(uri)
    with stop_on_signals() as stop, ExitStack() as stack:
        desk = _Desk(spec, launch, stop, stack)
        store = open_store(uri, create=True)
        name = past.free_name(store, spec.name)
        sweep_id = tracking.begin_sweep(store, spec, name, desk.data, desk.executor.capacity)
        return desk.drive(store, past.find_sweep(store, sweep_id), History())


def resume_sweep(
    name: str, launch: Launch = Launch(), overrides: Sequence[str] = (), take_over: bool = False
) -> SweepResult:
    """Run what is missing of a sweep that was interrupted, killed, timed out, or is to have more trials.

    Args:
        name: of the sweep, or the beginning of its run id.
        launch: how to run it; the data has to be the same as before.
        overrides: settings to change, as ``key=value``: ``trials=60``, say. The space has to stay as it is.
        take_over: resume although a process on another machine may still be driving it.

    Raises:
        NotFoundError: no such sweep.
        SweepInUseError: it is being driven by another process.
        DataError: the data cannot be read, or is not that of the sweep.
        SpecError: the overrides change the space or do not fit.
    """
    uri = tracking_uri(launch.tracking_uri)
    store = open_store(uri)
    sweep = past.find_sweep(store, name)
    _check_free(sweep, take_over)
    spec = past.read_spec(store, sweep, overrides)
    if spec.space != past.read_spec(store, sweep).space:
        raise SpecError(f"sweep {sweep.name}: its space cannot be changed by resuming; run a new sweep for that")
    with stop_on_signals() as stop, ExitStack() as stack:
        spec = replace(spec, data=replace(spec.data, digest=sweep.tags[Tag.DATASET_DIGEST]))
        desk = _Desk(spec, launch, stop, stack)
        runs = past.read_runs(store, sweep)
        tracking.close_orphans(store, runs)
        tracking.reopen_sweep(store, sweep.run_id, spec, desk.executor.capacity)
        return desk.drive(store, sweep, past.read_history(store, runs, spec))


class _Desk:
    """What a sweep needs on this machine: its data, and workers that warm up while the store is being opened."""

    def __init__(self, spec: SweepSpec, launch: Launch, stop: StopRequest, stack: ExitStack) -> None:
        self._spec, self._launch, self._stop = spec, launch, stop
        source = find_data(launch.data, download_mnist, launch.say)
        self.data = describe(source, spec)
        staging = stack.enter_context(tempfile.TemporaryDirectory(prefix="mnist-search-"))
        workers = launch.workers or min(default_workers(), spec.target)
        launch.say(f"{self.data.name}: {self.data.size:,} images; starting {workers} workers")
        context = WorkerContext(
            source=source,
            digest=self.data.digest,
            data=spec.data,
            save=save_model,
            staging=Path(staging),
            threads=max(1, usable_cores() // workers),
        )
        self.executor = launch.executor(context, workers)
        stack.callback(self.executor.close)

    def drive(self, store: Store, sweep: SweepRecord, history: History) -> SweepResult:
        """Run the loop; close the sweep's runs however it ends."""
        self._launch.say(f"sweep {sweep.name}, run {sweep.run_id}")
        recorder = tracking.SweepRecorder(store, sweep.run_id, sweep.name, self.data)
        ending = None
        try:
            searcher = make_searcher(self._spec, history)
            loop = Sweep(self._spec, searcher, self.executor, recorder, self._launch.observers, history)
            ending = loop.run(self._stop, self._launch.timeout)
        finally:
            self.executor.close()
            runs = past.read_runs(store, sweep)
            tracking.close_orphans(store, runs)
            tracking.end_sweep(store, sweep.run_id, ending, selection.best(runs, self._spec.objective))
        sweep, runs = past.find_sweep(store, sweep.run_id), past.read_runs(store, sweep)
        return SweepResult(store.uri, sweep, self._spec, ending, runs, self._stop, recorder.seconds)


def _check_free(sweep: SweepRecord, take_over: bool) -> None:
    driver = Driver.parse(sweep.tags.get(Tag.DRIVER, ""))
    if sweep.state is not SweepState.RUNNING or driver is None or take_over:
        return
    if not driver.is_here:
        raise SweepInUseError(
            f"sweep {sweep.name}: process {driver.pid} on {driver.host} may still be driving it; "
            "if it is gone, give --take-over"
        )
    if driver.is_alive:
        raise SweepInUseError(f"sweep {sweep.name}: process {driver.pid} is driving it; end that first")
