"""How anything is printed: the console, tables at their own width, values in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from search.trial import TrialState

WIDTH_OF_FILES = 160
WIDEST = 10_000
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


def print_table(console: Console, table: Table) -> None:
    """Print a table at its own width: a narrow terminal wraps its lines, but nothing is cut from them."""
    given, console.width = console.width, WIDEST
    console.width = console.measure(table).maximum
    try:
        console.print(table)
    finally:
        console.width = given


def in_words(values: Mapping[str, object]) -> str:
    """``hidden_size=128 dropout=0.25``: parameters as a reader wants them, four significant digits."""
    return " ".join(f"{name}={short(value)}" for name, value in values.items())


def short(value: object) -> str:
    """A value in at most four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
