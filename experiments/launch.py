"""Run a sweep, and resume one: the calls behind ``mnist-search sweep``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments import ranking
from experiments.signals import StopRequest, exit_on_signals, stop_on_signals
from experiments.sweep_result import SweepResult
from experiments.tracking import queries, sweep_runs, trial_results
from experiments.tracking.artifacts import save_model
from experiments.tracking.credentials import credential_variables
from experiments.tracking.datasets import DataRecord, describe_images, locate
from experiments.tracking.lease import HeldLease, Lease, claim, free_generation, read_lease
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.records import TRACKING_SECONDS, TRACKING_WAIT_SECONDS, RunRecord, SweepRecord, Tag
from experiments.tracking.server_check import check_server
from experiments.tracking.spent import read_spent
from experiments.tracking.store import Store, open_store, tracking_uri
from experiments.tracking.trial_runs import TrialRuns
from mnist_core.errors import SpecError, StoreError
from mnist_core.messages import OnMessage, print_to_stderr
from search.executors.base import Executor
from search.executors.factory import MakeExecutor, begin_imports, make_executor
from search.preflight import check_function, check_sampler, unmodelled
from search.resume import NOTHING_DONE, ResumeState
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.spec_file import parse_spec, to_toml
from search.sweep import EndReason, Observer, Sweep
from search.worker import ReadSource, WorkerContext

MAY_CHANGE = ("trials", "trial_timeout", "execution", "stop")
"""Keys of a sweep that resuming may set: the number of trials, the time limit of one, where they run, and budgets."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class LaunchOptions:
    """Settings of a call that runs a sweep, as opposed to the sweep that is searched.

    Args:
        data: folder of IDX files or ``.npz`` file; None looks in ``MNIST_DATA``, the cache, the mirrors, the sample.
        workers: trials at a time, instead of the sweep's ``execution.max_workers``; 0 keeps that.
        execution: settings that replace those of the sweep's :class:`~search.execution.Execution`, by name.
        timeout: seconds after which no new trial is started; None for no limit.
        tracking_uri: MLflow store; None takes ``MLFLOW_TRACKING_URI``, else ``mlruns/mlflow.db``.
        observers: called at each event of the sweep.
        on_message: called with each message for the user, one line.
        stop: asked several times a second; True ends the sweep as Ctrl-C does. For sweeps run in a thread.
        executor: makes the executor from the context of its workers and their number, instead of the one that the
            sweep names.
        report: draw a report when the sweep has ended by itself, and log it to the sweep.

    Raises:
        SpecError: a value is out of its range.
    """

    data: str | Path | None = None
    workers: int = 0
    execution: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    tracking_uri: str | None = None
    observers: Sequence[Observer] = ()
    on_message: OnMessage = print_to_stderr
    stop: Callable[[], bool] = _never
    executor: MakeExecutor | None = None
    report: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.workers, int) or self.workers < 0:
            raise SpecError(f"workers: expected 1 or more, or 0 for one for each core, received {self.workers}")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise SpecError(f"timeout: expected more than 0 seconds, received {self.timeout!r}")


def launch_sweep(
    spec: SweepSpec, options: LaunchOptions = LaunchOptions(), confirms: SweepRecord | None = None
) -> SweepResult:
    """Run a sweep from its first trial to its last and record all of it in MLflow.

    Ctrl-C or SIGTERM ends it cleanly; what was recorded stays, and :func:`continue_sweep` goes on from there.

    Args:
        spec: the sweep; :func:`experiments.load_spec` reads one from a file.
        options: settings of this call.
        confirms: the sweep whose best runs are tried again, where this one is a confirmation.

    Raises:
        DataError: the data cannot be read.
        SpecError: its sampler could model none of its parameters, or a function of its model cannot be called.
        StoreError: the store cannot be reached or written.
    """
    spec = replace(spec, execution=spec.execution.merged_with(options.execution))
    _check_sampler(spec, options.on_message)
    uri = tracking_uri(options.tracking_uri)
    check_server(uri)
    with SweepSession(spec, options) as session:
        session.check()
        session.resolve_data(confirms)
        session.start_workers(spec.target)
        session.begin(open_store(uri, create=True), confirms)
        session.run()
        session.close()
        session.report()
        return session.result()


def continue_sweep(
    name: str, options: LaunchOptions = LaunchOptions(), overrides: Sequence[str] = (), take_over: bool = False
) -> SweepResult:
    """Run the missing trials of a sweep that was interrupted, killed, timed out, or is to have more trials or budget.

    Args:
        name: of the sweep, or the beginning of its run id.
        options: settings of this call; the data has to be the same as before.
        overrides: settings to change, each as ``key=value``, for example ``trials=60``. The space cannot change.
        take_over: resume although another process may still be driving the sweep; that one then stops.

    Raises:
        NotFoundError: no such sweep.
        SweepInUseError: another process drives it, took it at the same moment, or takes it over later.
        DataError: the data cannot be read, or is not that of the sweep.
        SpecError: the overrides change anything but ``MAY_CHANGE``, or ask for fewer trials than are done.
    """
    store = open_store(tracking_uri(options.tracking_uri))
    sweep = queries.find_sweep(store, name)
    queries.check_has_trials(sweep)
    generation = free_generation(store, sweep, take_over, options.on_message)
    sweep = queries.find_sweep(store, sweep.run_id)  # as its last driver left it
    was_free = read_lease(store, sweep.run_id).is_free
    runs = queries.read_sweep_runs(store, sweep)
    spec, missing = _spec_to_resume(store, sweep, runs.attempts, overrides)
    spec = replace(spec, execution=spec.execution.merged_with(options.execution))
    with SweepSession(spec, options) as session:
        session.check()
        session.resolve_data(sweep)
        session.start_workers(missing)
        session.reopen(store, sweep, generation, runs if was_free else None)
        session.run()
        session.close()
        session.report()
        return session.result()


class SweepSession:
    """One call that runs or resumes a sweep, as steps: a context manager that closes on every way out of its block.

    The steps, in this order: :meth:`check`, :meth:`resolve_data`, :meth:`start_workers`, :meth:`begin` for a new sweep
    or :meth:`reopen` for a recorded one, :meth:`run`, :meth:`close`, :meth:`report`, :meth:`result`. An error after
    :meth:`run` has begun closes the sweep's runs too, unless another process has taken the sweep over.

    Args:
        spec: the sweep.
        options: settings of this call.
    """

    _data: DataRecord
    _source: ReadSource
    _executor: Executor
    _store: Store
    _lease: HeldLease
    _stop: StopRequest
    _recorder: SweepRecorder | None = None
    _resume_state: ResumeState = NOTHING_DONE
    _ending: EndReason | None = None
    _search_seconds: float | None = None
    _is_running = False
    _name = ""
    _runs: Sequence[RunRecord] = ()

    def __init__(self, spec: SweepSpec, options: LaunchOptions) -> None:
        self._spec, self._options = spec, options
        self._exits = ExitStack()

    def __enter__(self) -> SweepSession:
        self._exits.enter_context(exit_on_signals())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exits:
            if error is not None and self._is_running:
                self._ending = EndReason.INTERRUPTED if isinstance(error, KeyboardInterrupt | SystemExit) else None
                # A store that failed may fail again; the next --resume puts in order what it holds.
                with suppress(StoreError) if isinstance(error, StoreError) else nullcontext():
                    self.close()
                if isinstance(error, StoreError):
                    self._options.on_message(
                        f"what is recorded is kept; continue: mnist-search sweep --resume {self._name}"
                    )

    def check(self) -> None:
        """Check that the functions which the sweep names can be called, before anything costly is begun.

        Raises:
            SpecError: one cannot.
        """
        check_function(self._spec)

    def resolve_data(self, earlier: SweepRecord | None = None) -> None:
        """Find and check the data set: the one that the user names, else that of an earlier sweep, else the usual one.

        Once it is found, workers of this machine begin to import TensorFlow, while it is read and the store is opened.

        Raises:
            DataError: it cannot be read, or is not that of the sweep.
        """
        given = Path(self._options.data) if self._options.data else None
        tags = earlier.tags if earlier else None
        source = locate(given, self._options.on_message, tags, self._spec.data.function)
        begin_imports(self._spec.execution, credential_variables, self._options.executor)
        training = source.load_training()
        self._data = describe_images(source, training, self._spec)
        # An executor that sends the images to other machines needs them too, and reading them may be costly.
        self._source = ReadSource(source, training)

    def start_workers(self, trials: int) -> None:
        """Start the workers, at most one for each of so many trials."""
        spec, data, options = self._spec, self._data, self._options
        staging = self._exits.enter_context(tempfile.TemporaryDirectory(prefix="mnist-search-"))
        options.on_message(f"{data.name}: {data.size:,} images")
        context = WorkerContext(
            source=self._source,
            digest=data.digest,
            data=spec.data,
            save=save_model,
            staging=Path(staging),
            pruning=spec.ends_trials,
            trial_timeout=spec.trial_timeout,
            withheld=credential_variables,
            modules=spec.modules,
        )
        execution = replace(spec.execution, max_workers=options.workers or spec.execution.max_workers)
        self._executor = make_executor(execution, context, trials, options.on_message, options.executor)
        self._exits.callback(self._executor.close)
        self._source.forget()

    def begin(self, store: Store, confirms: SweepRecord | None = None) -> None:
        """Begin the sweep in the store and hold its first lease.

        Raises:
            StoreError: the store cannot be written.
        """
        self._stop = self._exits.enter_context(stop_on_signals())
        confirmed, workers = confirms.run_id if confirms else None, self._executor.capacity
        self._hold(store, sweep_runs.begin_sweep(store, self._spec, self._spec.name, self._data, workers, confirmed))

    def reopen(self, store: Store, sweep: SweepRecord, generation: int, runs: queries.SweepRuns | None = None) -> None:
        """Claim a recorded sweep, close the runs that its last driver left open, and read what it is resumed from.

        Args:
            store: open for writing.
            sweep: to be driven.
            generation: of the lease, to be claimed.
            runs: read when the lease before it was free; None to read them, as its holder may have recorded more.

        Raises:
            SweepInUseError: another process claimed it first.
            StoreError: the store cannot be read or written.
        """
        self._stop = self._exits.enter_context(stop_on_signals())
        self._hold(store, claim(store, sweep.run_id, generation))
        # Only now: the last holder of the lease may have recorded more until this moment, unless it had ended.
        runs = runs or queries.read_sweep_runs(store, sweep)
        sweep_runs.close_orphans(store, runs.all, generation)
        resume_state = trial_results.read_resume_state(store, runs.attempts, self._spec)
        self._resume_state = replace(resume_state, spent=read_spent(store, sweep, runs.attempts, self._spec))
        sweep_runs.reopen_sweep(store, self._lease, self._spec, self._executor.capacity)

    def run(self) -> None:
        """Run the trials, recording each.

        Raises:
            SweepInUseError: another process has taken the sweep over; nothing is written to it any more.
            StoreError: the store cannot be written.
        """
        self._is_running = True
        sweep, options = self._sweep(), self._options
        self._name = sweep.name
        options.on_message(f"sweep {sweep.name}, run {sweep.run_id}")
        searcher = make_searcher(self._spec, self._resume_state)
        runs = TrialRuns(self._store, sweep.run_id, sweep.name, self._data, self._lease)
        with SweepRecorder(runs, self._is_asked_to_stop) as self._recorder:
            loop = Sweep(self._spec, searcher, self._executor, self._recorder, options.observers, self._resume_state)
            try:
                self._ending = loop.run(lambda: self._is_asked_to_stop() or self._lease.is_lost, options.timeout)
            finally:
                self._search_seconds = loop.seconds

    def close(self) -> None:
        """Stop the workers, close the sweep's runs, give back the lease.

        Raises:
            SweepInUseError: another process has taken the sweep over; nothing is written to it any more.
            StoreError: the store cannot be read or written.
        """
        self._is_running = False
        self._executor.close()
        self._lease.verify()
        sweep = self._sweep()
        runs = queries.read_sweep_runs(self._store, sweep)
        closed = sweep_runs.close_orphans(self._store, runs.all, self._lease.generation)
        self._runs = [closed.get(run.run_id, run) for run in runs.attempts]
        best = ranking.best_run(self._runs, self._spec.objective)
        seconds = {TRACKING_SECONDS: self._tracking_seconds, TRACKING_WAIT_SECONDS: self._tracking_wait_seconds}
        cause = self._spec.stop.describe(self._ending, self._spec.objective) if self._ending else ""
        sweep_runs.end_sweep(self._store, sweep.run_id, self._ending, best, seconds, self._search_seconds, cause)
        self._lease.release()

    def report(self) -> None:
        """Draw the report of a sweep that was not interrupted. An error is a message and no error of the sweep."""
        if not self._options.report or self._ending is EndReason.INTERRUPTED:
            return
        sweep = self._sweep()
        try:
            # Late: the libraries that draw take a second to import, and are of no use before the sweep has ended.
            from experiments.reporting.reports import report_sweep

            missing = report_sweep(self._store, sweep, self._is_asked_to_stop, self._runs).missing
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            self._options.on_message(f"no report: {reason}; draw it by: mnist-search report {sweep.name}")
            return
        if missing:
            plots = ", ".join(f"{plot.title} ({plot.problem})" for plot in missing)
            self._options.on_message(f"not in the report: {plots}")

    def result(self) -> SweepResult:
        """The result of the sweep that has run and is closed."""
        assert self._ending is not None
        sweep, exit_code = self._sweep(), self._stop.exit_code
        seconds = self._tracking_seconds, self._tracking_wait_seconds
        return SweepResult(self._store.uri, sweep, self._spec, self._ending, self._runs, exit_code, *seconds)

    def _hold(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._lease = self._exits.enter_context(HeldLease(store, lease))

    def _sweep(self) -> SweepRecord:
        return queries.find_sweep(self._store, self._lease.run_id)

    @property
    def _tracking_seconds(self) -> float:
        return self._recorder.writing_seconds if self._recorder else 0.0

    @property
    def _tracking_wait_seconds(self) -> float:
        return self._recorder.waiting_seconds if self._recorder else 0.0

    def _is_asked_to_stop(self) -> bool:
        return self._stop() or self._options.stop()


def _check_sampler(spec: SweepSpec, on_message: OnMessage) -> None:
    check_sampler(spec)
    if names := unmodelled(spec):
        on_message(
            f"sampler {spec.sampler!r} draws {', '.join(names)} at random: it models ranges that every point has"
        )


def _spec_to_resume(
    store: Store, sweep: SweepRecord, runs: Sequence[RunRecord], overrides: Sequence[str]
) -> tuple[SweepSpec, int]:
    """The sweep with its overrides and bound to its data set, and the number of trials that are missing."""
    recorded = queries.read_recorded_spec(store, sweep)
    spec = parse_spec(to_toml(recorded), overrides, source=f"sweep {sweep.name}")
    _check_unchanged(recorded, spec)
    done = trial_results.count_finished(runs)
    if spec.target < done:
        raise SpecError(f"trials: expected {done} or more, which are done, received {spec.target}")
    # Whatever path is given, it has to hold the data of the first trial.
    return replace(spec, data=replace(spec.data, digest=sweep.tags[Tag.DATASET_DIGEST])), spec.target - done


def _check_unchanged(old: SweepSpec, new: SweepSpec) -> None:
    """Refuse changes of all but ``MAY_CHANGE``: old and new trials could not be compared.

    Raises:
        SpecError: something else differs.
    """
    parts = [field.name for field in fields(SweepSpec) if field.name not in MAY_CHANGE]
    if changed := [name for name in parts if getattr(old, name) != getattr(new, name)]:
        raise SpecError(
            f"{changed[0]}: cannot be changed by resuming, or old and new trials could not be compared; "
            "run a new sweep for that"
        )
