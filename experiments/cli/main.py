"""The command line: which commands there are, and how a user's mistake ends."""

from __future__ import annotations

import sys

import typer

from experiments.cli.choosing import best, evaluate, reproduce
from experiments.cli.combining import ensemble
from experiments.cli.looking import data, runs, sweeps, ui
from experiments.cli.options import USER_ERROR
from experiments.cli.registering import promote, registry, rollback
from experiments.cli.service import export, serve
from experiments.cli.showing import compare, explain, report
from experiments.cli.sweeping import confirm, sweep
from experiments.tracking.redaction import redact
from mnist_core.errors import MnistSearchError

app = typer.Typer(
    name="mnist-search",
    help="Search the hyperparameters of a digit recogniser; every trial, metric and model goes to MLflow.",
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


def main() -> None:
    """Entry point: a user's mistake becomes one line and exit code 2."""
    try:
        app()
    except MnistSearchError as error:
        print(f"mnist-search: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(USER_ERROR)
