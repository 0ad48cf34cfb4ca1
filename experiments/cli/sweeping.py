"""``sweep`` and ``confirm``: run one, resume one, or try its best again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from experiments.cli.options import (
    NOTHING_FOUND,
    DataOption,
    ReportOption,
    SweepArgument,
    TimeoutOption,
    WorkersOption,
)
from experiments.sweep_files import load_spec
from mnist_core.errors import SpecError
from search.durations import parse_duration

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.launch import LaunchOptions
    from experiments.sweep_result import SweepResult


def sweep(
    sweep_file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_NAME", help="A sweep file, or one of those that ship (see: sweeps).", show_default=False
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="SWEEP", help="Go on with a sweep of the store: run exactly what is missing.", show_default=False
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="How many trials in all, instead of the file's.", show_default=False)
    ] = None,
    workers: WorkersOption = 0,
    timeout: TimeoutOption = None,
    data: DataOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another value than the file's, such as training.epochs=5. Repeatable."
        ),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Resume although another process may still drive the sweep; that one stops."),
    ] = False,
    report: ReportOption = True,
) -> None:
    """Run a sweep, or resume one. Ctrl-C ends it cleanly; nothing that was recorded is lost."""
    if (sweep_file is None) == (resume is None):
        raise SpecError("sweep: expected either FILE_OR_NAME or --resume SWEEP")
    if trials is not None and trials < 1:
        raise SpecError(f"--trials: expected 1 or more, received {trials}")
    overrides = [*(settings or ()), *([f"trials={trials}"] if trials is not None else ())]

    def run(launch: LaunchOptions) -> SweepResult:
        from experiments.launch import resume_sweep, run_sweep

        if resume is not None:
            return resume_sweep(resume, launch, overrides, take_over)
        return run_sweep(load_spec(sweep_file or "", overrides), launch)

    _run_and_show(run, data, workers, timeout, report)


def confirm(
    name: SweepArgument,
    top: Annotated[int, typer.Option(help="How many of its configurations, best first.", min=1)] = 3,
    seeds: Annotated[int, typer.Option(help="How many fresh seeds for each.", min=2)] = 5,
    workers: WorkersOption = 0,
    timeout: TimeoutOption = None,
    data: DataOption = None,
    report: ReportOption = True,
) -> None:
    """Train the best of a sweep again with fresh seeds, and rank them by their means."""

    def run(launch: LaunchOptions) -> SweepResult:
        from experiments.confirmation import confirm_sweep

        return confirm_sweep(name, top, seeds, launch)

    _run_and_show(run, data, workers, timeout, report)


def _run_and_show(
    run: Callable[[LaunchOptions], SweepResult], data: Path | None, workers: int, timeout: str | None, report: bool
) -> NoReturn:
    seconds = parse_duration(timeout, "--timeout") if timeout else None

    from experiments.cli.console import make_console, message_printer
    from experiments.cli.progress import LiveDisplay, PlainDisplay
    from experiments.launch import LaunchOptions

    console = make_console()
    display = LiveDisplay(console) if sys.stdout.isatty() else PlainDisplay(console)
    with display:
        result = run(
            LaunchOptions(
                data=data,
                workers=workers,
                timeout=seconds,
                observers=[display],
                on_message=message_printer(console),
                report=report,
            )
        )
    _print_result(console, result)
    raise typer.Exit(result.exit_code or (NOTHING_FOUND if result.best is None else 0))


def _print_result(console: Console, result: SweepResult) -> None:
    from experiments.cli.console import print_table
    from experiments.cli.tables import configurations_table, runs_table
    from experiments.selection import configurations
    from search.sweep import EndReason
    from search.trial import TrialState

    name, best = result.sweep.name, result.best
    why = ": its space has no more points" if result.ending is EndReason.EXHAUSTED else ""
    console.print(f"\nsweep {name} {result.ending.value}{why}", style="bold")
    if best:
        ranked, searched = configurations(result.runs, result.spec.objective), list(result.spec.space.domains)
        if len(ranked) < len(result.ranked):
            print_table(console, configurations_table(ranked[:5], searched))
        else:
            print_table(console, runs_table(result.ranked[:5], [], searched))
        console.print(f"\nbest run: {best.name}, id {best.run_id}", style="green")
    else:
        console.print("no trial completed", style="red")
    if result.ending in (EndReason.INTERRUPTED, EndReason.TIMED_OUT):
        console.print(f"go on:       mnist-search sweep --resume {name}")
    elif any(run.state is TrialState.FAILED for run in result.runs):
        console.print(f"try again:   mnist-search sweep --resume {name}    (the failed trials)")
    elif result.spec.max_target > result.spec.target and result.ending is EndReason.DONE:
        more = min(2 * result.spec.target, result.spec.max_target)
        console.print(f"more trials: mnist-search sweep --resume {name} --trials {more}")
    console.print(f"all runs:    mnist-search runs {name}\npictures:    mnist-search ui")
    if best:
        console.print(f"promote:     mnist-search promote {name}")
