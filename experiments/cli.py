"""The commands: each reads its options, makes one call and prints what came of it."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.shipped import SHIPPED, read_spec
from mnist_core.errors import MnistSearchError, SpecError

if TYPE_CHECKING:
    from experiments.launch import SweepResult

NOTHING_FOUND = 1
USER_ERROR = 2

app = typer.Typer(
    name="mnist-search",
    help="Search the hyperparameters of a digit recogniser; every trial, metric and model goes to MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder of IDX files, gzipped or not, or an .npz with Keras's keys. Without it: $MNIST_DATA, the cache, "
        "a download, and at last an embedded sample.",
        show_default=False,
    ),
]


def main() -> None:
    """Entry point: a user's mistake becomes one line and exit code 2."""
    try:
        app()
    except MnistSearchError as error:
        print(f"mnist-search: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)


@app.command()
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

    launch = Launch(data=data, workers=workers, timeout=seconds, observers=[display], say=say)
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
    console.print(f"all runs:    mnist-search runs {name}\ncompare:     mnist-search ui")


@app.command()
def sweeps() -> None:
    """List the sweeps that ship and those in the store."""
    from experiments.display import make_console, print_table, sweeps_table
    from experiments.history import list_sweeps
    from experiments.store import open_store, tracking_uri
    from mnist_core.errors import NotFoundError

    console = make_console()
    console.print("shipped", style="bold")
    for path in sorted(SHIPPED.glob("*.toml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        console.print(f"  {path.stem:<12} {first.lstrip('# ')}")
    uri = tracking_uri()
    console.print(f"\nin {uri}", style="bold")
    try:
        print_table(console, sweeps_table(list_sweeps(open_store(uri))))
    except NotFoundError:
        console.print("  none yet")


@app.command()
def runs(
    name: Annotated[
        str, typer.Argument(metavar="SWEEP", help="Name of a sweep in the store, or the start of its run id.")
    ],
) -> None:
    """List the runs of a sweep, best first."""
    from experiments import history, selection
    from experiments.display import make_console, print_table, runs_table
    from experiments.store import open_store, tracking_uri

    store = open_store(tracking_uri())
    found = history.find_sweep(store, name)
    records = history.read_runs(store, found)
    searched = list(history.read_spec(store, found).space.domains)
    ranked = selection.rank(records, found.objective)
    print_table(make_console(), runs_table(ranked, selection.others(records, found.objective), searched))


@app.command()
def data(path: DataOption = None) -> None:
    """Show which data a sweep would use, from where, its digest, and a few of its digits."""
    from experiments.display import make_console
    from mnist_core.download import download_mnist
    from mnist_core.preview import preview
    from mnist_core.sources import find_data, name_of

    console = make_console()
    source = find_data(path, download_mnist, lambda line: console.print(line, style="bold yellow", soft_wrap=True))
    training = source.load_training()
    console.print(f"data set   {name_of(source, training)} ({source.origin.value})")
    console.print(f"location   {source.location}", soft_wrap=True)
    console.print(f"training   {len(training):,} images of {training.shape[0]} × {training.shape[1]} pixels")
    console.print(f"digest     {training.digest}")
    for name, array in (("images", training.images), ("labels", training.labels)):
        console.print(f"  {name}   {hashlib.sha256(array.data).hexdigest()}")
    console.print("test set   left unread: it is for the evaluation of the chosen run alone\n")
    console.print(preview(training))


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on the store."""
    from experiments.store import serve_ui, tracking_uri

    serve_ui(tracking_uri(), port)


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``10m`` or ``2h``.

    Raises:
        SpecError: it is of no such form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or not float(match[1]):
        raise SpecError(f"--timeout: expected a time such as 90s, 10m or 2h, received {text!r}")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
