"""What the commands list, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from experiments.console import COLOURS, short
from experiments.records import Tag

if TYPE_CHECKING:
    from experiments.records import RunRecord, SweepRecord


def runs_table(ranked: Sequence[RunRecord], others: Iterable[RunRecord], names: Sequence[str]) -> Table:
    """The runs of a sweep.

    Args:
        ranked: those that may win, best first.
        others: the rest, shown below without a rank.
        names: parameters to show, each in a column.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("run", no_wrap=True)
    table.add_column("state")
    for name in (*names, "best epoch", "val accuracy", "val loss", "seconds"):
        table.add_column(name, justify="right")
    for rank, run in [*enumerate(ranked, start=1), *((None, run) for run in others)]:
        figures = (
            str(run.best_epoch or ""),
            _figure(run.value("val_accuracy"), ".4f"),
            _figure(run.value("val_loss"), ".4f"),
            _figure(run.seconds, ".1f"),
        )
        parameters = (_trim(run.params.get(name, "")) for name in names)
        state = Text(run.state.value, COLOURS.get(run.state, ""))
        table.add_row(str(rank or ""), run.name, state, *parameters, *figures)
    return table


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _trim(text: str) -> str:
    try:
        return short(float(text)) if "." in text or "e" in text else text
    except ValueError:
        return text


def sweeps_table(sweeps: Iterable[SweepRecord]) -> Table:
    """The sweeps of a store, newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 2))
    for name in ("name", "state", "engine", "sampler", "trials", "data", "best run", "started", "run id"):
        table.add_column(name, no_wrap=name in ("name", "run id"))
    for sweep in sweeps:
        tags = sweep.tags
        table.add_row(
            sweep.name,
            sweep.state.value.lower(),
            *(tags.get(tag, "") for tag in (Tag.ENGINE, Tag.SAMPLER, Tag.TARGET, Tag.DATASET, Tag.BEST_RUN)),
            f"{sweep.started:%Y-%m-%d %H:%M}",
            sweep.run_id[:8],
        )
    return table
