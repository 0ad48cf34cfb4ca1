"""The command line: the list of commands, and the exit code of a user's mistake."""

from __future__ import annotations

import atexit
import gc
import sys

import typer

from experiments.cli.options import USER_ERROR
from experiments.cli.registry import export, promote, registry, rollback
from experiments.cli.runs import best, evaluate, explain, reproduce, runs
from experiments.cli.service import data, serve, ui
from experiments.cli.sweeps import compare, confirm, ensemble, report, sweep, sweeps
from experiments.tracking.redaction import redact
from mnist_core.errors import MnistSearchError

app = typer.Typer(
    name="mnist-search",
    help="Search the hyperparameters of a digit classifier; every trial, metric and model is recorded in MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    *(sweep, sweeps, runs, report, compare),
    *(best, confirm, ensemble, evaluate, explain, promote, rollback, registry, reproduce),
    *(serve, export),
    *(data, ui),
)
for command in COMMANDS:
    app.command()(command)


# Objects made between two collections of garbage. Python's 700 has it search all that was imported again and again, for
# a fifth of the time that importing MLflow takes.
COLLECTION_THRESHOLD = 50_000


def _keep_workers_from_importing_the_script() -> None:
    """Hide the file of the script that calls this: a worker would import it, a quarter of a second for nothing.

    Python imports the script of a process in its workers, as they may be given functions of it; a script of the user's
    own keeps its file.
    """
    script = sys.modules["__main__"]
    if getattr(script, "main", None) is main:
        vars(script).pop("__file__", None)


def main() -> None:
    """Run the command; an error that a user can cause becomes one line on stderr and exit code 2."""
    thresholds = gc.get_threshold()
    gc.set_threshold(COLLECTION_THRESHOLD)
    # Else Python ends with a last search of all that was imported, which takes most of a second.
    atexit.register(gc.freeze)
    _keep_workers_from_importing_the_script()
    try:
        app()
    except MnistSearchError as error:
        print(f"mnist-search: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(USER_ERROR)
    finally:
        gc.set_threshold(*thresholds)
