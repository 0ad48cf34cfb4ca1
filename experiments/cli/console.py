"""The console, messages on it, and tables at their full width."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search.trial import TrialState

WIDTH_OF_FILES = 160
MAX_WIDTH = 10_000
COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAILED: "red",
    TrialState.KILLED: "red",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on without a reader: a sweep is not lost because `head` has seen enough."""
        self.quiet = True
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def make_console() -> Console:
    """A console that is as wide as the terminal, and wide enough for tables where there is none."""
    # What is printed holds paths and names of the user's, so square brackets are no markup.
    if sys.stdout.isatty():
        return _Console(highlight=False, markup=False)
    return _Console(highlight=False, markup=False, width=WIDTH_OF_FILES, force_terminal=False)


def message_printer(console: Console) -> Callable[[str], None]:
    """Prints a line; one that tells of the embedded sample in a way that is not overlooked."""

    def say(line: str) -> None:
        console.print(line, style="bold yellow" if "EMBEDDED" in line else None, soft_wrap=True)

    return say


def print_table(console: Console, table: Table) -> None:
    """Print a table at its own width: a narrow terminal wraps its lines, but nothing is cut from them."""
    given, console.width = console.width, MAX_WIDTH
    console.width = console.measure(table).maximum
    try:
        console.print(table)
    finally:
        console.width = given
