"""``sweeps``, ``runs``, ``data``, ``ui``: what is there. None of them writes anything or loads TensorFlow."""

from __future__ import annotations

import hashlib
from typing import Annotated

import typer

from experiments.cli.options import DataOption, SweepArgument
from experiments.sweep_files import SHIPPED


def sweeps() -> None:
    """List the sweeps that ship and those in the store."""
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import sweeps_table
    from experiments.tracking.queries import list_sweeps
    from experiments.tracking.redaction import redact
    from experiments.tracking.store import open_store, tracking_uri
    from mnist_core.errors import NotFoundError

    console = make_console()
    console.print("shipped", style="bold")
    for path in sorted(SHIPPED.glob("*.toml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        console.print(f"  {path.stem:<14} {first.lstrip('# ')}")
    uri = tracking_uri()
    console.print(f"\nin {redact(uri)}", style="bold")
    try:
        print_table(console, sweeps_table(list_sweeps(open_store(uri))))
    except NotFoundError:
        console.print("  none yet")


def runs(
    name: SweepArgument,
) -> None:
    """List the runs of a sweep, best first."""
    from experiments import selection
    from experiments.cli.console import make_console, print_table
    from experiments.cli.tables import runs_table
    from experiments.tracking import queries
    from experiments.tracking.store import open_store, tracking_uri

    store = open_store(tracking_uri())
    found = queries.find_sweep(store, name)
    records = queries.read_runs(store, found)
    searched = list(queries.read_recorded_spec(store, found).space.domains)
    ranked = selection.rank(records, found.objective)
    print_table(make_console(), runs_table(ranked, selection.unranked(records, found.objective), searched))


def data(path: DataOption = None) -> None:
    """Show which data a sweep would use, from where, its digest, and a few of its digits."""
    from experiments.cli.console import make_console
    from mnist_core.data.download import download_mnist
    from mnist_core.data.images import preview
    from mnist_core.data.sources import dataset_name, find_data

    console = make_console()
    source = find_data(path, download_mnist, lambda line: console.print(line, style="bold yellow", soft_wrap=True))
    training = source.load_training()
    console.print(f"data set   {dataset_name(source, training)} ({source.origin.value})")
    console.print(f"location   {source.location}", soft_wrap=True)
    console.print(f"training   {len(training):,} images of {training.shape[0]} × {training.shape[1]} pixels")
    console.print(f"digest     {training.digest}")
    for name, array in (("images", training.images), ("labels", training.labels)):
        console.print(f"  {name}   {hashlib.sha256(array.data).hexdigest()}")
    console.print("test set   left unread: it is for the evaluation of the chosen run alone\n")
    console.print(preview(training))


def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on the store."""
    from experiments.tracking.store import serve_ui, tracking_uri

    serve_ui(tracking_uri(), port)
