"""What several commands share: options, exit codes, how a time is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.selection import SelectionRule
from mnist_core.errors import MnistSearchError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.tracking.records import RunRecord
    from mnist_core.data.sources import DataSource

NOTHING_FOUND = 1
USER_ERROR = 2

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
SweepArgument = Annotated[
    str, typer.Argument(metavar="SWEEP", help="Name of a sweep in the store, or the start of its run id.")
]

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The start of a run's id, or SWEEP/trial-007.", show_default=False)
]
WorkersOption = Annotated[
    int, typer.Option(help="Trials at a time; 0 takes one for each core, as far as memory allows.")
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Start no trial after this long: 90s, 10m, 2h.", show_default=False),
]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Draw what was found when the sweep has ended by itself.")
]
RuleOption = Annotated[
    SelectionRule,
    typer.Option(
        help="best: the highest objective. one-se: the fewest weights within one standard error of the best accuracy. "
        "smallest: the fewest within its 95% interval."
    ),
]
NameOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the registered model.")]


def find_source(data: Path | None, run: RunRecord, console: Console) -> DataSource:
    """The data that the option names, else that of the run; said on the console where the sample has to do."""
    from experiments.cli.console import message_printer
    from experiments.tracking.datasets import locate

    return locate(data, message_printer(console), run.tags)


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Turn what the system says when a file or folder that the user named cannot be written into a SpecError.

    Args:
        option: that names it, such as ``--out``.
        path: what the user gave.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, MnistSearchError):
            raise
        within = f" at {error.filename}" if error.filename and str(error.filename) != str(path) else ""
        raise SpecError(
            f"{option} {path}: cannot be written{within} ({error.strerror or error}); choose another place"
        ) from error
