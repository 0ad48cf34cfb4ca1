"""``explain``, ``report``, ``compare``: what a network learned, what a sweep found, how sweeps differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.options import DataOption, SweepArgument
from mnist_core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from mnist_core.gallery.attempt import Picture


def explain(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run as SWEEP/trial-007, or the start of its run id (see: runs).")
    ],
    path: DataOption = None,
) -> None:
    """Draw what a run's network learned, from its validation images; the pictures go to the run in MLflow."""
    from experiments.display import make_console
    from experiments.explain import FOLDER, explain_run
    from experiments.history import find_run
    from experiments.store import open_store, tracking_uri
    from mnist_core.download import download_mnist
    from mnist_core.sources import find_data

    console = make_console()
    store = open_store(tracking_uri())
    found = find_run(store, run)
    source = find_data(path, download_mnist, lambda line: console.print(line, style="bold yellow", soft_wrap=True))
    explanation = explain_run(store, found, source)
    _print_pictures(console, explanation.pictures, FOLDER)
    console.print(f"\nrun {found.title}, id {found.run_id}: see its artifacts (mnist-search ui)", soft_wrap=True)


def _print_pictures(console: Console, pictures: Iterable[Picture], folder: str) -> None:
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
    from experiments.display import make_console
    from experiments.history import find_sweep
    from experiments.report.making import FOLDER, PAGE, report_sweep
    from experiments.store import open_store, tracking_uri

    if out is not None and not out.absolute().parent.is_dir():
        raise SpecError(f"--out {out}: expected a file in a folder that exists; there is no {out.absolute().parent}")
    console = make_console()
    store = open_store(tracking_uri())
    sweep = find_sweep(store, name)
    made = report_sweep(store, sweep)
    _print_pictures(console, made.pictures, FOLDER)
    console.print(f"{FOLDER}/{PAGE:<26} all of them, with the numbers behind them")
    if out is not None:
        out.write_text(made.page, encoding="utf-8")
    console.print(f"\nsweep {sweep.name}, run {sweep.run_id}: see its artifacts (mnist-search ui)", soft_wrap=True)


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="SWEEP SWEEP…", help="Sweeps of the store, by name or start of run id.")
    ],
) -> None:
    """Put sweeps side by side: what each reached, how soon, and what it spent."""
    from experiments import compare
    from experiments.display import make_console, print_table, side_by_side
    from experiments.history import find_sweep
    from experiments.report.story import read_story
    from experiments.store import open_store, tracking_uri

    console = make_console()
    store = open_store(tracking_uri())
    stories = [read_story(store, find_sweep(store, name)) for name in names]
    measured = [compare.measure(story) for story in stories]
    print_table(console, side_by_side([each.name for each in measured], compare.rows(measured)))
    for difference in compare.differences(stories):
        console.print(difference, style="bold yellow", soft_wrap=True)
