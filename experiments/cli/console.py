"""The console, messages on it, and tables at their full width."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from search.trial import TrialState

if TYPE_CHECKING:
    from mnist_core.messages import OnMessage
    from mnist_core.plotting import RenderedPlot

FILE_WIDTH = 160
MAX_WIDTH = 10_000
COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
    TrialState.KILLED: "red",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Continue without a reader: a sweep does not end because `head` has read enough."""
        self.quiet = True
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def make_console() -> Console:
    """A console as wide as the terminal; ``FILE_WIDTH`` columns wide where the output is no terminal."""
    # Paths and names of the user's are printed, in which square brackets are no markup.
    if sys.stdout.isatty():
        return _Console(highlight=False, markup=False)
    return _Console(highlight=False, markup=False, width=FILE_WIDTH, force_terminal=False)


def message_printer(console: Console, style: str | None = None) -> OnMessage:
    """A function that prints a line in that style; a line about the embedded sample in bold yellow."""

    def print_line(line: str) -> None:
        console.print(line, style="bold yellow" if "EMBEDDED" in line else style, soft_wrap=True)

    return print_line


def print_table(console: Console, table: Table) -> None:
    """Print a table at its full width: a narrow terminal wraps its lines, and nothing is cut from them."""
    given, console.width = console.width, MAX_WIDTH
    console.width = console.measure(table).maximum
    try:
        console.print(table)
    finally:
        console.width = given


def print_plots(console: Console, plots: Iterable[RenderedPlot], folder: str) -> None:
    """Print a line for each plot: its file and title, or the reason why it could not be drawn."""
    for plot in plots:
        if plot.png:
            console.print(f"{folder}/{plot.file:<26} {plot.title}", soft_wrap=True)
        else:
            console.print(f"{folder}/{plot.file:<26} not drawn: {plot.problem}", style="yellow", soft_wrap=True)
