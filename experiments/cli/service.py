"""``serve`` and ``export``: the champion at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.options import DataOption, NameOption, find_source, writing
from experiments.tracking.records import REGISTERED_MODEL, Alias
from mnist_core.models.export_formats import ExportFormat


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Address to bind to; 0.0.0.0 lets other machines in. A public service belongs behind a reverse proxy."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=0, max=65535)] = 8000,
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
            "--allow-host", metavar="NAME", help="A name by which others may ask for this machine. Repeatable."
        ),
    ] = None,
) -> None:
    """Serve the champion: a page to draw digits on, and an HTTP service. Follows the registry."""
    from experiments.cli.console import make_console
    from experiments.registry.model_source import RegistryModelSource
    from experiments.tracking.store import tracking_uri
    from mnist_core import runtime
    from mnist_core.data.sources import holds_idx_files
    from mnist_core.errors import SpecError
    from serving import server
    from serving.app import LOCAL_HOSTS, NO_CHAMPION, Settings, create_app
    from serving.model_manager import ModelManager, load_predictor

    console = make_console()
    if collect is not None:
        if holds_idx_files(collect):
            raise SpecError(f"--collect {collect}: it holds files of MNIST; expected a folder for feedback alone")
        with writing("--collect", collect):
            collect.mkdir(parents=True, exist_ok=True)
    listener = server.listen(host, port)
    runtime.configure(threads=1)
    manager = ModelManager(RegistryModelSource(tracking_uri(), name), load_predictor)
    manager.check()
    if manager.champion:
        facts = manager.champion.info
        console.print(f"champion   {facts.name} version {facts.version}, {facts.run}")
    else:
        console.print(manager.problem or NO_CHAMPION, style="yellow", soft_wrap=True)
    shown = f"[{host}]" if ":" in host else host
    console.print(f"page       http://{shown}:{listener.getsockname()[1]}   (Ctrl-C ends it)", style="bold")
    app = create_app(manager, Settings(hosts=(*LOCAL_HOSTS, shown, *(allowed or ())), collect=collect))
    server.run(app, listener)


def export(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Number of a version, or an alias such as champion.")
    ] = Alias.CHAMPION.value,
    wanted: Annotated[
        ExportFormat, typer.Option("--format", help="litert (TensorFlow Lite) for phones; onnx needs an extra.")
    ] = ExportFormat.LITERT,
    int8: Annotated[bool, typer.Option("--int8", help="LiteRT with 8-bit numbers: a quarter of the size.")] = False,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write it.")] = Path("exports"),
    name: NameOption = REGISTERED_MODEL,
    data: DataOption = None,
) -> None:
    """Write a version as a file for phones and other runtimes, checked against the Keras model."""
    from experiments.cli.console import make_console
    from experiments.registry.version_export import export_version, find_version
    from experiments.tracking.queries import find_run
    from experiments.tracking.store import open_store, tracking_uri

    store, console = open_store(tracking_uri()), make_console()
    found = find_version(store, name, version)
    source = find_source(data, find_run(store, found.run_id), console)
    with writing("--output", output):
        output.mkdir(parents=True, exist_ok=True)
        done = export_version(store, found, wanted, int8, output, source)
    agreement = done.agreement
    console.print(f"{done.path}  {done.size:,} bytes, of {found.title}", style="green")
    console.print(f"same answer         {agreement.share:.2%} of {agreement.images:,} test images")
    console.print(f"largest difference  {agreement.largest_difference:.2g} of a probability")
