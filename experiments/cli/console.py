"""How anything is printed: the console, tables at their own width, values in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
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


def format_params(values: Mapping[str, object]) -> str:
    """``hidden_size=128 dropout=0.25``: parameters as a reader wants them, four significant digits."""
    return " ".join(f"{name}={short_id_(value)}" for name, value in values.items())


def short_id_(value: object) -> str:
    """A value in at most four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def pluralize(number: int, noun: str) -> str:
    """``1 run``, ``3 runs``, ``no runs``."""
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


def format_number(value: float | None, form: str = ".4f") -> str:
    """A number in the given format; nothing where there is none."""
    return "" if value is None else format(value, form)


def local_time(moment: datetime) -> str:
    """``2026-01-31 18:05``, on the clock of whoever looks."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def short_text(text: str) -> str:
    """The text of a value in at most four significant digits; words and integers as they are."""
    try:
        return short_id_(float(text)) if "." in text or "e" in text else text
    except ValueError:
        return text
