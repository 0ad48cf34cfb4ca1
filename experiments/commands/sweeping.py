"""``sweep``: run one, or resume one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.options import NOTHING_FOUND, DataOption, parse_duration
from experiments.shipped import read_spec
from mnist_core.errors import SpecError

if TYPE_CHECKING:
    from experiments.launch import SweepResult


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
    workers: Annotated[
        int, typer.Option(help="Trials at a time; 0 takes one for each core, as far as memory allows.")
    ] = 0,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start no trial after this long: 90s, 10m, 2h.", show_default=False),
    ] = None,
    data: DataOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another value than the file's, such as training.epochs=5. Repeatable."
        ),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Resume although a process on another machine may still drive the sweep."),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Draw what was found when the sweep has ended by itself.")
    ] = True,
) -> None:
    """Run a sweep, or resume one. Ctrl-C ends it cleanly; nothing that was recorded is lost."""
    if (sweep_file is None) == (resume is None):
        raise SpecError("sweep: expected either FILE_OR_NAME or --resume SWEEP")
    if trials is not None and trials < 1:
        raise SpecError(f"--trials: expected 1 or more, received {trials}")
    overrides = [*(settings or ()), *([f"trials={trials}"] if trials is not None else ())]
    seconds = parse_duration(timeout) if timeout else None

    from experiments.display import LiveDisplay, PlainDisplay, make_console
    from experiments.launch import Launch, resume_sweep, run_sweep

    console = make_console()
    display = LiveDisplay(console) if sys.stdout.isatty() else PlainDisplay(console)

    def say(line: str) -> None:
        console.print(line, style="bold yellow" if "EMBEDDED" in line else None, soft_wrap=True)

    launch = Launch(data=data, workers=workers, timeout=seconds, observers=[display], say=say, report=report)
    with display:
        if resume is not None:
            result = resume_sweep(resume, launch, overrides, take_over)
        else:
            result = run_sweep(read_spec(sweep_file or "", overrides), launch)
    _print_result(result)
    raise typer.Exit(result.exit_code or (NOTHING_FOUND if result.best is None else 0))


def _print_result(result: SweepResult) -> None:
    from experiments.display import make_console, print_table, runs_table
    from search.sweep import Ending
    from search.trial import TrialState

    console = make_console()
    name, best = result.sweep.name, result.best
    why = ": its space has no more points" if result.ending is Ending.EXHAUSTED else ""
    console.print(f"\nsweep {name} {result.ending.value}{why}", style="bold")
    if best:
        print_table(console, runs_table(result.ranked[:5], [], list(result.spec.space.domains)))
        console.print(f"\nbest run: {best.name}, id {best.run_id}", style="green")
    else:
        console.print("no trial completed", style="red")
    if result.ending in (Ending.INTERRUPTED, Ending.TIMED_OUT):
        console.print(f"go on:       mnist-search sweep --resume {name}")
    elif any(run.state is TrialState.FAILED for run in result.runs):
        console.print(f"try again:   mnist-search sweep --resume {name}    (the failed trials)")
    elif result.spec.largest_target > result.spec.target and result.ending is Ending.DONE:
        more = min(2 * result.spec.target, result.spec.largest_target)
        console.print(f"more trials: mnist-search sweep --resume {name} --trials {more}")
    console.print(f"all runs:    mnist-search runs {name}\npictures:    mnist-search ui")
