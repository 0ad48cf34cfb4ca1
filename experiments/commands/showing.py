"""``explain``, ``report``, ``compare``: what a network learned, what a sweep found, how sweeps differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.options import DataOption

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
