"""Calls that run, list and compare sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.api.common import find_source, writing_to
from experiments.sweep_files import SHIPPED, load_spec
from mnist_core.errors import NotFoundError, SpecError
from mnist_core.messages import OnMessage, print_to_stderr
from search.durations import parse_duration

if TYPE_CHECKING:
    from experiments.api.common import SweepTarget
    from experiments.api.results import EnsembleResult, RunList, SweepComparison, SweepList
    from experiments.launch import LaunchOptions
    from experiments.reporting.reports import SweepReport
    from experiments.sweep_result import SweepResult
    from search.execution import Execution
    from search.spec import SweepSpec

Settings = Mapping[str, object] | Iterable[str] | str


def run_sweep(
    sweep: str | Path | SweepSpec,
    options: LaunchOptions | None = None,
    *,
    trials: int | None = None,
    settings: Settings = (),
    data: str | Path | None = None,
    workers: int | None = None,
    execution: Execution | Mapping[str, Any] | None = None,
    timeout: str | float | None = None,
    report: bool | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage | None = None,
) -> SweepResult:
    """Run a sweep from its first trial to its last and record it in MLflow.

    Ctrl-C or SIGTERM ends it cleanly; :func:`resume_sweep` continues it.

    Args:
        sweep: the name of a shipped sweep, the path of a sweep file, or a spec.
        options: all that decides how the sweep is run; the keyword arguments below replace its fields.
        trials: number of trials in all, instead of the file's.
        settings: values that replace the file's: ``{"training.epochs": 5, "stop.time": "10m"}``, or one or several
            texts ``"training.epochs=5"``.
        data: folder of IDX files or ``.npz`` file.
        workers: trials at a time; 0 for one for each core.
        execution: the place where trials run, instead of the sweep's, such as ``{"executor": "ray"}``; settings
            that are not named stay.
        timeout: no trial is started after this time: seconds, or a text such as ``"10m"``.
        report: False for no report at the end.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        DataError: the data cannot be read.
        SpecError: the file, a setting or an option is wrong.
        StoreError: the store cannot be reached or written.
    """
    from experiments.launch import launch_sweep
    from search.spec import SweepSpec
    from search.spec_file import parse_spec, to_toml

    if not isinstance(sweep, str | Path | SweepSpec):
        raise SpecError(f"sweep: expected a name, a path or a spec, received {type(sweep).__name__}")
    overrides = _overrides(settings, trials)
    if isinstance(sweep, SweepSpec):
        spec = parse_spec(to_toml(sweep), overrides, source=f"sweep {sweep.name}") if overrides else sweep
    else:
        spec = load_spec(sweep, overrides)
    return launch_sweep(
        spec, _launch_options(options, data, workers, execution, timeout, report, tracking_uri, on_message)
    )


def resume_sweep(
    sweep: SweepTarget,
    options: LaunchOptions | None = None,
    *,
    trials: int | None = None,
    settings: Settings = (),
    take_over: bool = False,
    data: str | Path | None = None,
    workers: int | None = None,
    execution: Execution | Mapping[str, Any] | None = None,
    timeout: str | float | None = None,
    report: bool | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage | None = None,
) -> SweepResult:
    """Run the missing trials of a sweep that was interrupted, killed or timed out, or that gets more trials.

    Args:
        sweep: a recorded sweep.
        options: as for :func:`run_sweep`, with the keyword arguments that replace its fields.
        trials: number of trials in all, those that are done included.
        settings: values to change; only ``trials``, ``trial_timeout``, and those of ``execution`` and ``stop`` may.
        take_over: resume although another process may still drive the sweep; that one then stops.
        data: where the data lies now; it has to be the same.
        workers: trials at a time; 0 for one for each core.
        execution: the place where trials run, instead of the sweep's, such as ``{"executor": "ray"}``; settings
            that are not named stay.
        timeout: no trial is started after this time: seconds, or a text such as ``"10m"``.
        report: False for no report at the end.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: no such sweep.
        SweepInUseError: another process drives it, or takes it over later.
        DataError: the data cannot be read, or is not that of the sweep.
        SpecError: a setting may not be changed, or fewer trials are asked for than are done.
    """
    from experiments.api.targets import sweep_name
    from experiments.launch import continue_sweep

    uri = tracking_uri or getattr(sweep, "tracking_uri", None)
    launch = _launch_options(options, data, workers, execution, timeout, report, uri, on_message)
    return continue_sweep(sweep_name(sweep), launch, _overrides(settings, trials), take_over)


def confirm(
    sweep: SweepTarget,
    options: LaunchOptions | None = None,
    *,
    top: int = 3,
    seeds: int = 5,
    data: str | Path | None = None,
    workers: int | None = None,
    execution: Execution | Mapping[str, Any] | None = None,
    timeout: str | float | None = None,
    report: bool | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage | None = None,
) -> SweepResult:
    """Train the best configurations of a sweep again with fresh seeds, and rank them by their means.

    Args:
        sweep: a recorded sweep.
        options: as for :func:`run_sweep`, with the keyword arguments that replace its fields.
        top: number of configurations, best first.
        seeds: number of fresh seeds for each, 2 or more.
        data: where the data lies now; it has to be the same.
        workers: trials at a time; 0 for one for each core.
        execution: the place where trials run, instead of the sweep's, such as ``{"executor": "ray"}``; settings
            that are not named stay.
        timeout: no trial is started after this time: seconds, or a text such as ``"10m"``.
        report: False for no report at the end.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: no such sweep, or none of its runs is selectable.
        SpecError: ``top`` or ``seeds`` is out of its range.
    """
    from experiments.api.targets import sweep_name
    from experiments.confirmation import confirm_sweep

    uri = tracking_uri or getattr(sweep, "tracking_uri", None)
    launch = _launch_options(options, data, workers, execution, timeout, report, uri, on_message)
    return confirm_sweep(sweep_name(sweep), top, seeds, launch)


def ensemble(
    sweep: SweepTarget,
    *,
    top: int = 5,
    register: bool = False,
    data: str | Path | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> EnsembleResult:
    """Average the probabilities of the best runs of a sweep, on the validation images.

    Args:
        sweep: a recorded sweep.
        top: number of runs, best first; 2 or more.
        register: record the ensemble as one model, in a run that can be evaluated and promoted.
        data: where the data lies now; it has to be the same.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: the sweep has fewer selectable runs.
        DataError: the data is not that of the sweep.
        ModelError: a model is missing or not the one that was logged.
    """
    from experiments.api.results import EnsembleResult
    from experiments.api.targets import find_sweep_of, open_store_of
    from experiments.ensembling import combine, record_ensemble

    store = open_store_of(tracking_uri, sweep)
    found = find_sweep_of(store, sweep)
    source = find_source(data, found.tags, on_message)
    combined = combine(store, found, top, source)
    return EnsembleResult(combined, record_ensemble(store, combined, source) if register else None, store.uri)


def list_sweeps(*, tracking_uri: str | None = None) -> SweepList:
    """The sweeps of the store, newest first, and those that are shipped. A store is not created.

    Raises:
        StoreError: the store cannot be reached or read.
    """
    from experiments.api.results import SweepList
    from experiments.tracking import store
    from experiments.tracking.queries import read_sweeps
    from experiments.tracking.redaction import redact

    uri = store.tracking_uri(tracking_uri)
    try:
        sweeps = read_sweeps(store.open_store(uri))
    except NotFoundError:
        sweeps = []
    return SweepList(sweeps, redact(uri), _shipped())


def list_runs(sweep: SweepTarget, *, limit: int | None = None, tracking_uri: str | None = None) -> RunList:
    """The runs of a sweep, best first.

    Args:
        sweep: a recorded sweep.
        limit: number of runs at most; None for all. A few of a large sweep are found without reading it.
        tracking_uri: the MLflow store.

    Raises:
        NotFoundError: no such sweep.
        SpecError: a limit below 1.
    """
    from experiments import ranking
    from experiments.api.results import RunList
    from experiments.api.targets import find_sweep_of, open_store_of
    from experiments.ranked_runs import read_best_runs
    from experiments.tracking import queries

    if limit is not None and limit < 1:
        raise SpecError(f"limit: expected 1 or more, or None for all runs, received {limit}")
    store = open_store_of(tracking_uri, sweep)
    found = find_sweep_of(store, sweep)
    spec = queries.read_recorded_spec(store, found)
    runs = read_best_runs(store, found, spec, limit) if limit else None
    if runs is None:
        runs = queries.read_runs(store, found)
        total, others = len(runs), ranking.unranked(runs, found.objective)
    else:
        total, others = queries.count_runs(store, found, guess=spec.target), []
    ranked = ranking.rank(runs, found.objective)[:limit]
    rest = None if limit is None else limit - len(ranked)
    return RunList(found, ranked, others[:rest], list(spec.space.domains), store.uri, total)


def report(sweep: SweepTarget, *, out: str | Path | None = None, tracking_uri: str | None = None) -> SweepReport:
    """Plot the results of a sweep, and log plots, page and summary to its parent run.

    Args:
        sweep: a recorded sweep.
        out: file to which the page is written as well.
        tracking_uri: the MLflow store.

    Raises:
        NotFoundError: no such sweep.
        SpecError: ``out`` cannot be written.
        StoreError: the store cannot be read or written.
    """
    from experiments.api.targets import find_sweep_of, open_store_of
    from experiments.reporting.reports import PAGE, report_sweep

    path = Path(out) if out is not None else None
    if path is not None and not path.absolute().parent.is_dir():
        raise SpecError(f"--out {path}: expected a file in a folder that exists; there is no {path.absolute().parent}")
    if path is not None and path.is_dir():
        raise SpecError(f"--out {path}: expected a file, received a folder; name one in it: --out {path / PAGE}")
    store = open_store_of(tracking_uri, sweep)
    made = report_sweep(store, find_sweep_of(store, sweep))
    if path is not None:
        with writing_to("--out", path):
            path.write_text(made.page, encoding="utf-8")
    return made


def compare(*sweeps: SweepTarget, tracking_uri: str | None = None) -> SweepComparison:
    """Compare sweeps: their best results, the time until good ones, and the time spent.

    Raises:
        NotFoundError: one of them is not in the store.
    """
    from experiments import comparison
    from experiments.api.results import SweepComparison
    from experiments.api.targets import find_sweep_of, open_store_of
    from experiments.reporting.timeline import read_timeline

    store = open_store_of(tracking_uri, *sweeps)
    timelines = [read_timeline(store, find_sweep_of(store, sweep)) for sweep in sweeps]
    return SweepComparison(
        [comparison.measure_sweep(each) for each in timelines], comparison.comparability_warnings(timelines)
    )


def _launch_options(
    options: LaunchOptions | None,
    data: str | Path | None,
    workers: int | None,
    execution: Execution | Mapping[str, Any] | None,
    timeout: str | float | None,
    report: bool | None,
    tracking_uri: str | None,
    on_message: OnMessage | None,
) -> LaunchOptions:
    """The options with every field replaced that was given by itself.

    Raises:
        SpecError: a value is out of its range.
    """
    from experiments.launch import LaunchOptions
    from search.execution import Execution

    given: dict[str, Any] = {
        "data": data,
        "workers": workers,
        "execution": asdict(execution) if isinstance(execution, Execution) else execution,
        "timeout": None if timeout is None else parse_duration(timeout, "--timeout"),
        "report": report,
        "tracking_uri": tracking_uri,
        "on_message": on_message,
    }
    return replace(options or LaunchOptions(), **{name: value for name, value in given.items() if value is not None})


def _overrides(settings: Settings, trials: int | None) -> list[str]:
    """Settings as ``key=value``, the form in which the command line takes them.

    Raises:
        SpecError: fewer than one trial, or a value that no sweep file can hold.
    """
    if trials is not None and not (isinstance(trials, Integral) and trials >= 1):
        raise SpecError(f"--trials: expected 1 or more, received {trials!r}")
    if isinstance(settings, Mapping):
        texts = [*_key_values("", settings)]
    else:
        texts = [settings] if isinstance(settings, str) else list(settings)
    return [*texts, *([f"trials={trials}"] if trials is not None else [])]


def _key_values(prefix: str, table: Mapping[str, object]) -> Iterator[str]:
    import numpy as np
    import tomli_w

    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _key_values(f"{prefix}{key}.", value)
            continue
        try:
            text = tomli_w.dumps({"value": value.item() if isinstance(value, np.generic) else value})
        except TypeError as error:
            raise SpecError(f"settings: {prefix}{key}: expected a value of TOML, received {value!r}") from error
        yield f"{prefix}{key}={text.partition('=')[2].strip()}"


def _shipped() -> dict[str, str]:
    """The sweeps that come with this package: name to the first line of the file."""
    lines = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in sorted(SHIPPED.glob("*.toml"))}
    return {name: line.lstrip("# ") for name, line in lines.items()}
