"""``explain``, ``report``, ``compare``: what a network learned, what a sweep found, how sweeps differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.options import DataOption, RunArgument, SweepArgument, find_source, writing
from mnist_core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from mnist_core.plotting import RenderedPlot


def explain(
    target: RunArgument,
    data: DataOption = None,
) -> None:
    """Draw what a run's network learned, from its validation images; the pictures go to the run in MLflow."""
    from experiments.cli.console import make_console
    from experiments.explanation import FOLDER, explain_run
    from experiments.tracking.queries import find_run
    from experiments.tracking.store import open_store, tracking_uri

    console = make_console()
    store = open_store(tracking_uri())
    run = find_run(store, target)
    explanation = explain_run(store, run, find_source(data, run, console))
    _print_pictures(console, explanation.plots, FOLDER)
    console.print(f"\nrun {run.title}, id {run.run_id}: see its artifacts (mnist-search ui)", soft_wrap=True)


def _print_pictures(console: Console, pictures: Iterable[RenderedPlot], folder: str) -> None:
    for picture in pictures:
        if picture.png:
            console.print(f"{folder}/{picture.file:<26} {picture.title}", soft_wrap=True)
        else:
            console.print(f"{folder}/{picture.file:<26} not drawn: {picture.problem}", style="yellow", soft_wrap=True)


def report(
    name: SweepArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the page to this file, such as report.html.", show_default=False),
    ] = None,
) -> None:
    """Draw what a sweep found; pictures, page and summary go to the sweep in MLflow."""
    from experiments.cli.console import make_console
    from experiments.reporting.reports import FOLDER, PAGE, report_sweep
    from experiments.tracking.queries import find_sweep
    from experiments.tracking.store import open_store, tracking_uri

    if out is not None and not out.absolute().parent.is_dir():
        raise SpecError(f"--out {out}: expected a file in a folder that exists; there is no {out.absolute().parent}")
    if out is not None and out.is_dir():
        raise SpecError(f"--out {out}: expected a file, received a folder; name one in it: --out {out / PAGE}")
    console = make_console()
    store = open_store(tracking_uri())
    sweep = find_sweep(store, name)
    made = report_sweep(store, sweep)
    _print_pictures(console, made.plots, FOLDER)
    console.print(f"{FOLDER}/{PAGE:<26} all of them, with the numbers behind them")
    if out is not None:
        with writing("--out", out):
            out.write_text(made.page, encoding="utf-8")
    console.print(f"\nsweep {sweep.name}, run {sweep.run_id}: see its artifacts (mnist-search ui)", soft_wrap=True)


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="SWEEP SWEEP…", help="Sweeps of the store, by name or start of run id.")
    ],
) -> None:
    """Put sweeps side by side: what each reached, how soon, and what it spent."""
    from experiments import comparison
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import side_by_side
    from experiments.reporting.timeline import read_timeline
    from experiments.tracking.queries import find_sweep
    from experiments.tracking.store import open_store, tracking_uri

    console = make_console()
    store = open_store(tracking_uri())
    timelines = [read_timeline(store, find_sweep(store, name)) for name in names]
    measured = [comparison.measure_sweep(timeline) for timeline in timelines]
    print_table(console, side_by_side([each.name for each in measured], comparison.comparison_rows(measured)))
    for difference in comparison.comparability_warnings(timelines):
        console.print(difference, style="bold yellow", soft_wrap=True)
