"""Commands on sweeps: ``sweep``, ``sweeps``, ``confirm``, ``ensemble``, ``report``, ``compare``.

Every command turns its options into one call of :mod:`experiments.api` and prints the result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from experiments.api import sweeps as api
from experiments.cli.options import (
    NOTHING_FOUND,
    AddressOption,
    CpusOption,
    DataOption,
    ExecutorOption,
    GpusOption,
    ReportOption,
    StopEpochsOption,
    StopPlateauOption,
    StopTargetOption,
    StopTimeOption,
    SweepArgument,
    TimeoutOption,
    TopRunsOption,
    WorkersOption,
)
from mnist_core.errors import SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.sweep_result import SweepResult


def sweep(
    sweep_file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_NAME",
            help="A sweep file, or the name of a shipped sweep (see: sweeps).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="SWEEP", help="Run the missing trials of a recorded sweep.", show_default=False),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Number of trials in all, instead of the file's.", show_default=False)
    ] = None,
    workers: WorkersOption = 0,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    timeout: TimeoutOption = None,
    stop_time: StopTimeOption = None,
    stop_epochs: StopEpochsOption = None,
    stop_target: StopTargetOption = None,
    stop_plateau: StopPlateauOption = None,
    data: DataOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a value of the file, such as training.epochs=5. Repeatable."
        ),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Resume although another process may still drive the sweep; that process stops."
        ),
    ] = False,
    report: ReportOption = True,
) -> None:
    """Run a sweep, or resume one. Ctrl-C ends it cleanly; everything that was recorded is kept."""
    if (sweep_file is None) == (resume is None):
        raise SpecError("sweep: expected either FILE_OR_NAME or --resume SWEEP")

    limits = {"time": stop_time, "epochs": stop_epochs, "target": stop_target, "plateau": stop_plateau}
    budgets = [f"stop.{key}={value}" for key, value in limits.items() if value is not None]

    def run(**options: Any) -> SweepResult:
        given = {"trials": trials, "settings": [*(settings or ()), *budgets], **options}
        if resume is not None:
            return api.resume_sweep(resume, take_over=take_over, **given)
        return api.run_sweep(sweep_file or "", **given)

    execution = _given(executor, address, cpus_per_trial, gpus_per_trial)
    _run_and_print(run, data=data, workers=workers, execution=execution, timeout=timeout, report=report)


def confirm(
    name: SweepArgument,
    top: Annotated[int, typer.Option(help="Number of configurations, best first.", min=1)] = 3,
    seeds: Annotated[int, typer.Option(help="Number of fresh seeds for each configuration.", min=2)] = 5,
    workers: WorkersOption = 0,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    timeout: TimeoutOption = None,
    data: DataOption = None,
    report: ReportOption = True,
) -> None:
    """Train the best configurations of a sweep again with fresh seeds, and rank them by their means."""

    def run(**options: Any) -> SweepResult:
        return api.confirm(name, top=top, seeds=seeds, **options)

    execution = _given(executor, address, cpus_per_trial, gpus_per_trial)
    _run_and_print(run, data=data, workers=workers, execution=execution, timeout=timeout, report=report)


def _given(
    executor: str | None, address: str | None, cpus_per_trial: float | None, gpus_per_trial: float | None
) -> dict[str, object]:
    """The settings of the execution that were given as options."""
    settings = {
        "executor": executor,
        "address": address,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _run_and_print(run: Callable[..., SweepResult], **options: object) -> NoReturn:
    from experiments.cli.console import make_console, message_printer
    from experiments.cli.progress import LiveDisplay, PlainDisplay
    from experiments.launch import LaunchOptions

    console = make_console()
    display = LiveDisplay(console) if sys.stdout.isatty() else PlainDisplay(console)
    with display:
        result = run(options=LaunchOptions(observers=[display]), on_message=message_printer(console), **options)
    _print_result(console, result)
    raise typer.Exit(result.exit_code or (NOTHING_FOUND if result.best is None else 0))


def _print_result(console: Console, result: SweepResult) -> None:
    from experiments.cli.console import print_table
    from experiments.cli.tables import rich_table
    from experiments.sweep_result import best_table
    from experiments.tracking.trial_results import count_finished
    from search.sweep import EndReason

    name, best = result.sweep.name, result.best
    cause = "its space has no more points" if result.ending is EndReason.EXHAUSTED else result.cause
    console.print(f"\nsweep {name} {result.ending.value}{': ' * bool(cause)}{cause}", style="bold")
    if best:
        print_table(console, rich_table(best_table(result)))
        console.print(f"\nbest run: {best.name}, id {best.run_id}", style="green")
    else:
        console.print("no trial completed", style="red")
    if result.ending in (EndReason.INTERRUPTED, EndReason.TIMED_OUT):
        console.print(f"continue:    mnist-search sweep --resume {name}")
    elif result.ending.key:
        console.print(f"continue:    mnist-search sweep --resume {name} --stop-{result.ending.key} …")
    elif count_finished(result.runs) < len({run.number for run in result.runs}):
        console.print(f"try again:   mnist-search sweep --resume {name}    (the failed trials)")
    elif result.spec.max_target > result.spec.target and result.ending is EndReason.DONE:
        more = min(2 * result.spec.target, result.spec.max_target)
        console.print(f"more trials: mnist-search sweep --resume {name} --trials {more}")
    console.print(f"all runs:    mnist-search runs {name}\nplots:       mnist-search ui")
    if best:
        console.print(f"promote:     mnist-search promote {name}")


def ensemble(
    name: SweepArgument,
    top: TopRunsOption = 5,
    register: Annotated[
        bool, typer.Option("--register", help="Record the ensemble as one model, in a run that can be promoted.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Average the probabilities of the best runs of a sweep, and measure the mean on the validation images."""
    from experiments.cli.console import make_console, message_printer, print_table
    from experiments.cli.tables import rich_table
    from experiments.result_tables import ensemble_table

    console = make_console()
    result = api.ensemble(name, top=top, register=register, data=data, on_message=message_printer(console))
    averaged = result.ensemble
    print_table(console, rich_table(ensemble_table(averaged)))
    test = averaged.against_best
    console.print(
        f"\nof {len(averaged.labels):,} images {test.first_only} recognised by the mean alone, {test.second_only} by "
        f"the best alone (McNemar p = {test.p_value:.2g})"
    )
    if result.run is not None:
        console.print(f"registered as {result.run.title}, id {result.run.run_id}", style="green")
        console.print(f"promote:     mnist-search promote {result.run.run_id[:8]}")
    else:
        console.print(f"register:    mnist-search ensemble {averaged.sweep.name} --top {top} --register")


def sweeps() -> None:
    """List the shipped sweeps and those in the store."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import rich_table
    from experiments.result_tables import sweeps_table

    console, found = make_console(), api.list_sweeps()
    console.print("shipped", style="bold")
    for name, description in found.shipped.items():
        console.print(f"  {name:<14} {description}")
    console.print(f"\nin {found.location}", style="bold")
    if found:
        print_table(console, rich_table(sweeps_table(found), indent=2))
    else:
        console.print("  none yet")


def report(
    name: SweepArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the page to this file, such as report.html.", show_default=False),
    ] = None,
) -> None:
    """Plot the results of a sweep; plots, page and summary are logged to the sweep in MLflow."""
    from experiments.cli.console import make_console, print_plots
    from experiments.reporting.reports import FOLDER, PAGE

    console, made = make_console(), api.report(name, out=out)
    print_plots(console, made.plots, FOLDER)
    console.print(f"{FOLDER}/{PAGE:<26} all plots, with their numbers")
    console.print(f"\nsweep {name}: see its artifacts (mnist-search ui)", soft_wrap=True)


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="SWEEP SWEEP…", help="Recorded sweeps, by name or start of run id.")
    ],
) -> None:
    """Compare sweeps: their accuracies, the time until good ones, and the time spent."""
    from experiments.cli.console import make_console, message_printer, print_table
    from experiments.cli.tables import rich_table

    console, compared = make_console(), api.compare(*names)
    print_table(console, rich_table(compared.table()))
    for difference in compared.differences:
        message_printer(console, "bold yellow")(difference)
