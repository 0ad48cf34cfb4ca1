"""Commands that show what is there, and serve the champion: ``serve``, ``data``, ``ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.api import service as api
from experiments.cli.options import DataOption, NameOption
from experiments.tracking.records import REGISTERED_MODEL


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Address to bind to; 0.0.0.0 admits other machines. A public service belongs behind a reverse proxy."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 8000,
    name: NameOption = REGISTERED_MODEL,
    collect: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Store drawings that users correct, for: evaluate RUN --data FOLDER.",
            show_default=False,
        ),
    ] = None,
    allowed: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="A further host name that requests may be addressed to. Repeatable."
        ),
    ] = None,
) -> None:
    """Serve the champion: a page to draw digits on, and an HTTP service. A new champion is loaded by itself."""
    from experiments.cli.console import make_console, message_printer
    from experiments.tracking.store import import_mlflow_without_pandas

    import_mlflow_without_pandas()
    say = message_printer(make_console())
    api.serve(host=host, port=port, name=name, collect=collect, allowed_hosts=allowed or (), on_message=say)


def data(path: DataOption = None) -> None:
    """Show the data that a sweep would use: its location, its digest, and a few digits."""
    from experiments.cli.console import make_console, message_printer
    from mnist_core.data.images import preview

    console = make_console()
    found = api.inspect_data(path, on_message=message_printer(console, "bold yellow"))
    height, width = found.training.shape
    console.print(f"data set   {found.name} ({found.origin})")
    console.print(f"location   {found.location}", soft_wrap=True)
    console.print(f"training   {len(found.training):,} images of {height} × {width} pixels")
    console.print(f"digest     {found.training.digest}")
    for name, digest in found.digests.items():
        console.print(f"  {name}   {digest}")
    console.print("test set   left unread: only the evaluation of a run reads it\n")
    console.print(preview(found.training))


def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on the store."""
    api.ui(port=port)
