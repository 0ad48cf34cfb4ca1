"""Tables of texts on the console, in colour."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from experiments.cli.console import COLOURS
from experiments.formatting import TextTable
from experiments.result_tables import CHOSEN, FAILED, PASSED
from experiments.tracking.records import Alias

CELL_STYLES = {state.value: colour for state, colour in COLOURS.items()} | {PASSED: "green", FAILED: "red"}


def rich_table(table: TextTable, indent: int = 0) -> Table:
    """A table for the console.

    Args:
        table: the texts.
        indent: spaces before each line.
    """
    rendered = Table(box=None, pad_edge=indent > 0, header_style="bold", show_header=table.has_heading)
    if indent:
        rendered.padding = (0, 1, 0, indent)
    for name in table.columns:
        rendered.add_column(name, justify="right" if name in table.right else "left", no_wrap=True)
    for row in table.rows:
        rendered.add_row(*map(_cell, row), style="green" if row[-1] == CHOSEN else None)
    return rendered


def _cell(text: str) -> Text:
    is_champion = Alias.CHAMPION.value in text.split(", ")
    return Text(text, CELL_STYLES.get(text, "green" if is_champion else ""))
