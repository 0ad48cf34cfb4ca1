"""One call that runs a sweep, and one that resumes it: everything the command line does, for notebooks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import selection
from experiments.signals import StopRequest, stop_on_signals
from experiments.sweep_result import SweepResult
from experiments.tracking import queries, sweep_runs, trial_results
from experiments.tracking.artifacts import save_model
from experiments.tracking.credentials import credentials
from experiments.tracking.datasets import describe, locate
from experiments.tracking.lease import HeldLease, claim, free_generation
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import SweepRecord, Tag
from experiments.tracking.store import Store, open_store, probe, tracking_uri
from mnist_core.errors import SpecError, StoreError
from search.executors.base import Executor
from search.executors.local import LocalExecutor, default_workers, usable_cores
from search.preflight import check_function, check_sampler, unmodelled
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.spec_file import parse_spec, to_toml
from search.sweep import EndReason, Observer, Sweep
from search.worker import WorkerContext

if TYPE_CHECKING:
    pass


MAY_CHANGE = ("trials", "trial_timeout")
"""Keys of a sweep that resuming may set: how many, and how to run them."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _never() -> bool:
    return False


@dataclass(frozen=True)
class LaunchOptions:
    """How to run a sweep, as opposed to what to search.

    Args:
        data: folder of IDX files or ``.npz`` file; None looks in ``MNIST_DATA``, the cache, the mirrors, the sample.
        workers: trials at a time; 0 takes the number of cores, as far as memory allows.
        timeout: seconds after which no new trial is started; None for no limit.
        tracking_uri: MLflow store; None takes ``MLFLOW_TRACKING_URI``, else ``mlruns/mlflow.db``.
        observers: are shown what happens.
        say: told in one line of what the user should know.
        stop: asked several times a second; True ends the sweep as Ctrl-C does. For sweeps run in a thread.
        executor: makes the executor from what a worker needs to know and the number of workers.
        report: draw what was found when the sweep has ended by itself, and log it to the sweep.

    Raises:
        SpecError: a value is out of its range.
    """

    data: str | Path | None = None
    workers: int = 0
    timeout: float | None = None
    tracking_uri: str | None = None
    observers: Sequence[Observer] = ()
    say: Callable[[str], None] = _to_stderr
    stop: Callable[[], bool] = _never
    executor: Callable[[WorkerContext, int], Executor] = LocalExecutor
    report: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.workers, int) or self.workers < 0:
            raise SpecError(f"workers: expected 1 or more, or 0 for one for each core, received {self.workers}")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise SpecError(f"timeout: expected more than 0 seconds, received {self.timeout!r}")


def run_sweep(
    spec: SweepSpec, launch: LaunchOptions = LaunchOptions(), confirms: SweepRecord | None = None
) -> SweepResult:
    """Run a sweep from its first trial to its last and record all of it in MLflow.

    Ctrl-C or SIGTERM ends it cleanly; what was recorded stays, and :func:`resume_sweep` goes on from there.

    Args:
        spec: what to search; :func:`experiments.load_spec` reads one from a file.
        launch: how to run it.
        confirms: the sweep whose best runs are tried again, if that is what this one is for.

    Raises:
        DataError: the data cannot be read.
        SpecError: its sampler could model none of its parameters.
        StoreError: the store cannot be reached or written.
    """
    check_sampler(spec)
    if names := unmodelled(spec):
        launch.say(
            f"sampler {spec.sampler!r} draws {', '.join(names)} at random: it models ranges that every point has"
        )
    uri = tracking_uri(launch.tracking_uri)
    probe(uri)
    with ExitStack() as stack:
        session = SweepSession(spec, launch, stack, spec.target, confirms)
        store = open_store(uri, create=True)
        with stop_on_signals() as stop:
            workers, confirmed = session.executor.capacity, confirms.run_id if confirms else None
            lease = sweep_runs.begin_sweep(store, spec, spec.name, session.data, workers, confirmed)
            with HeldLease(store, lease) as held:
                return session.drive(store, held, NOTHING_DONE, stop)


def resume_sweep(
    name: str, launch: LaunchOptions = LaunchOptions(), overrides: Sequence[str] = (), take_over: bool = False
) -> SweepResult:
    """Run what is missing of a sweep that was interrupted, killed, timed out, or is to have more trials.

    Args:
        name: of the sweep, or the beginning of its run id.
        launch: how to run it; the data has to be the same as before.
        overrides: settings to change, as ``key=value``: ``trials=60``, say. The space has to stay as it is.
        take_over: resume although another process may still be driving it; that one then stops.

    Raises:
        NotFoundError: no such sweep.
        SweepInUseError: another process drives it, took it at the same moment, or takes it over later.
        DataError: the data cannot be read, or is not that of the sweep.
        SpecError: the overrides change anything but ``MAY_CHANGE``, or ask for fewer trials than are done.
    """
    store = open_store(tracking_uri(launch.tracking_uri))
    sweep = queries.find_sweep(store, name)
    queries.check_has_trials(sweep)
    generation = free_generation(store, sweep, take_over, launch.say)
    sweep = queries.find_sweep(store, sweep.run_id)  # as its last driver left it
    old = queries.read_recorded_spec(store, sweep)
    spec = parse_spec(to_toml(old), overrides, source=f"sweep {sweep.name}")
    _check_unchanged(old, spec)
    done = trial_results.count_finished(queries.read_runs(store, sweep))
    if spec.target < done:
        raise SpecError(f"trials: expected {done} or more, which are done, received {spec.target}")
    # Whatever path is given, it has to hold the data of the first trial.
    spec = replace(spec, data=replace(spec.data, digest=sweep.tags[Tag.DATASET_DIGEST]))
    with ExitStack() as stack:
        session = SweepSession(spec, launch, stack, spec.target - done, sweep)
        with stop_on_signals() as stop, HeldLease(store, claim(store, sweep.run_id, generation)) as held:
            # Only now: whoever held the lease before may have recorded more until this moment.
            sweep_runs.close_orphans(store, queries.read_all_runs(store, sweep), held.generation)
            history = trial_results.read_resume_state(store, queries.read_runs(store, sweep), spec)
            sweep_runs.reopen_sweep(store, held, spec, session.executor.capacity)
            return session.drive(store, held, history, stop)


class SweepSession:
    """What a sweep needs on this machine: its data, and workers that warm up while the store is being opened."""

    def __init__(
        self, spec: SweepSpec, launch: LaunchOptions, stack: ExitStack, missing: int, earlier: SweepRecord | None
    ) -> None:
        self._spec, self._launch = spec, launch
        check_function(spec)
        given = Path(launch.data) if launch.data else None
        source = locate(given, launch.say, earlier.tags if earlier else None, spec.data.function)
        self.data = describe(source, spec)
        staging = stack.enter_context(tempfile.TemporaryDirectory(prefix="mnist-search-"))
        workers = max(1, min(launch.workers or default_workers(), missing))
        launch.say(f"{self.data.name}: {self.data.size:,} images; starting {workers} worker{'s' * (workers > 1)}")
        context = WorkerContext(
            source=source,
            digest=self.data.digest,
            data=spec.data,
            save=save_model,
            staging=Path(staging),
            threads=max(1, usable_cores() // workers),
            pruning=spec.prunes,
            trial_timeout=spec.trial_timeout,
            withheld=credentials,
        )
        self.executor = launch.executor(context, workers)
        stack.callback(self.executor.close)

    def drive(self, store: Store, lease: HeldLease, history: ResumeState, stop: StopRequest) -> SweepResult:
        """Run the loop; close the sweep's runs however it ends, unless another process has taken it over.

        Raises:
            SweepInUseError: another process has; nothing is written to the sweep any more.
        """
        sweep_id = lease.run_id
        ending: EndReason | None = None
        writer: SweepRecorder | None = None
        try:
            sweep = queries.find_sweep(store, sweep_id)
            self._launch.say(f"sweep {sweep.name}, run {sweep.run_id}")
            writer = SweepRecorder(store, sweep.run_id, sweep.name, self.data, lease)
            searcher = make_searcher(self._spec, history)
            loop = Sweep(self._spec, searcher, self.executor, writer, self._launch.observers, history)
            ending = loop.run(lambda: stop() or self._launch.stop() or lease.is_lost, self._launch.timeout)
        except (KeyboardInterrupt, SystemExit):
            ending = EndReason.INTERRUPTED
            raise
        finally:
            self.executor.close()
            # A store that failed may fail again; what it holds is put in order by the next --resume.
            with suppress(StoreError) if isinstance(sys.exception(), StoreError) else nullcontext():
                self._close(store, lease, ending, writer.seconds if writer else 0.0)
        sweep, runs = queries.find_sweep(store, sweep_id), queries.read_runs(store, sweep)
        if self._launch.report and ending is not EndReason.INTERRUPTED:
            self._report(store, sweep, lambda: stop() or self._launch.stop())
        return SweepResult(store.uri, sweep, self._spec, ending, runs, stop.exit_code, writer.seconds)

    def _close(self, store: Store, lease: HeldLease, ending: EndReason | None, tracking_seconds: float) -> None:
        lease.verify()
        sweep = queries.find_sweep(store, lease.run_id)
        sweep_runs.close_orphans(store, queries.read_all_runs(store, sweep), lease.generation)
        runs = queries.read_runs(store, sweep)
        sweep_runs.end_sweep(store, lease.run_id, ending, selection.best(runs, self._spec.objective), tracking_seconds)
        lease.release()

    def _report(self, store: Store, sweep: SweepRecord, stop: Callable[[], bool]) -> None:
        """Draw what was found. Whatever goes wrong is said, and is no fault of the sweep."""
        try:
            # Late: what draws takes a second to import, and a sweep that is to begin has no use for it.
            from experiments.reporting.reports import report_sweep

            missing = report_sweep(store, sweep, stop).missing
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            self._launch.say(f"no report: {reason}; draw it by: mnist-search report {sweep.name}")
            return
        if missing:
            told = ", ".join(f"{picture.title} ({picture.problem})" for picture in missing)
            self._launch.say(f"not in the report: {told}")


def _check_unchanged(old: SweepSpec, new: SweepSpec) -> None:
    """Only the number of trials and how they are run may change: all else decides what a trial's figures mean.

    Raises:
        SpecError: something else differs.
    """
    parts = [field.name for field in fields(SweepSpec) if field.name not in MAY_CHANGE]
    if changed := [name for name in parts if getattr(old, name) != getattr(new, name)]:
        raise SpecError(
            f"{changed[0]}: cannot be changed by resuming, or old and new trials could not be compared; "
            "run a new sweep for that"
        )
