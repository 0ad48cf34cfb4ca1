"""What the commands list, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from experiments.cli.console import COLOURS
from experiments.formatting import format_number, local_time, short_text
from experiments.tracking.records import Alias, Tag, VersionTag
from mnist_core.metrics import Metric
from search.space import SEED

if TYPE_CHECKING:
    from experiments.ensembling import Ensemble
    from experiments.evaluation import EvaluationRecord
    from experiments.registry.gate import Check
    from experiments.reproduction import Reproduction
    from experiments.selection import Configuration, Selection
    from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord


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
            format_number(run.value("val_accuracy"), ".4f"),
            format_number(run.value("val_loss"), ".4f"),
            format_number(run.seconds, ".1f"),
        )
        parameters = (short_text(run.params.get(name, "")) for name in names)
        state = Text(run.state.value, COLOURS.get(run.state, ""))
        table.add_row(str(rank or ""), run.name, state, *parameters, *figures)
    return table


def configurations_table(
    ranked: Sequence[Configuration], names: Sequence[str], choice: Selection | None = None
) -> Table:
    """Configurations, best first: means over their seeds where they have several.

    Args:
        ranked: what to list.
        names: parameters to show, each in a column.
        choice: marks what it chose and what that ties with.
    """
    several = any(len(one.runs) > 1 for one in ranked)
    searched = [name for name in names if name != SEED]
    figures = ["val accuracy", "val loss"]
    if several:
        figures = ["seeds", "mean val accuracy", "95% interval", "mean val loss"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("best run" if several else "run", no_wrap=True)
    for name in (*searched, *figures, "weights"):
        table.add_column(name, justify="right")
    table.add_column("")
    order = list(choice.ranked if choice else ranked)
    for one in ranked:
        parameters = [short_text(one.run.params.get(name, "")) for name in searched]
        means = [format_number(one.mean("val_accuracy")), format_number(one.mean("val_loss"))]
        if several:
            spread = one.interval("val_accuracy")
            means[1:1] = [f"{spread[0]:.4f} to {spread[1]:.4f}" if spread else ""]
            means[0:0] = [str(len(one.runs))]
        mark = _mark(one, choice)
        cells = (str(order.index(one) + 1), one.run.name, *parameters, *means, f"{one.weights:,}", mark)
        table.add_row(*cells, style="green" if mark == "chosen" else None)
    return table


def ensemble_table(ensemble: Ensemble) -> Table:
    """The members by themselves, and what they are together."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("validation", "accuracy", "95% interval", "weights"):
        table.add_column(name, justify="left" if name == "validation" else "right")
    for run in ensemble.members:
        table.add_row(run.name, format_number(run.value("val_accuracy")), "", f"{int(run.metrics['weights']):,}")
    weights = sum(int(run.metrics["weights"]) for run in ensemble.members)
    rows = [
        ("best alone", ensemble.best_accuracy, int(ensemble.members[0].metrics["weights"]), None),
        (f"mean of {len(ensemble.members)}", ensemble.accuracy, weights, "green"),
    ]
    for name, one, size, style in rows:
        table.add_row(name, format_number(one.value), f"{one.low:.4f} to {one.high:.4f}", f"{size:,}", style=style)
    return table


def _mark(one: Configuration, choice: Selection | None) -> str:
    if choice is None:
        return ""
    return "chosen" if one == choice.chosen else "tied" if one in choice.tied else ""


def reproduction_table(done: Reproduction) -> Table:
    """A run and its repetition, figure by figure."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "recorded", "again"):
        table.add_column(name, justify="right" if name else "left")
    first, second = done.recorded, done.again
    table.add_row("epochs", str(len(first.history)), str(len(second.history)))
    table.add_row("best epoch", str(first.best_epoch), str(second.best_epoch))
    for metric in Metric:
        values = [format_number(getattr(one.best, metric.value), ".6f") if one.best else "" for one in (first, second)]
        table.add_row(f"{metric.value} at that epoch", *values)
    took = (done.run.metrics.get("training_seconds"), second.training_seconds)
    table.add_row("training seconds", *(format_number(seconds, ".1f") for seconds in took))
    return table


def checks_table(checks: Iterable[Check]) -> Table:
    """What the gate looked at."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        word = Text("passed", "green") if check.passed else Text("FAILED", "red")
        table.add_row(word, check.name, check.detail)
    return table


def evaluation_tables(record: EvaluationRecord) -> tuple[Table, Table]:
    """The headline figures with their intervals, and the classes."""
    figures = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("test set", "", "95% interval"):
        figures.add_column(name, justify="left" if name == "test set" else "right")
    for name, one in record.metrics.headline().items():
        figures.add_row(name.replace("_", " "), f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}")
    classes = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("digit", "images", "precision", "recall", "F1"):
        classes.add_column(name, justify="right")
    for each in record.metrics.classes:
        classes.add_row(str(each.label), str(each.images), *map(format_number, (each.precision, each.recall, each.f1)))
    return figures, classes


def versions_table(versions: Iterable[VersionRecord]) -> Table:
    """The versions of a registered model, newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("version", "aliases", "run", "parameters", "val accuracy", "test accuracy", "gate", "by", "created"):
        table.add_column(name, justify="right" if name in ("version", "val accuracy", "test accuracy") else "left")
    for version in versions:
        tags = version.tags
        shown = (VersionTag.RUN, VersionTag.PARAMETERS, VersionTag.VAL_ACCURACY, VersionTag.TEST_ACCURACY)
        table.add_row(
            str(version.version),
            Text(", ".join(version.aliases), "green" if Alias.CHAMPION in version.aliases else ""),
            *(tags.get(tag, "") for tag in (*shown, VersionTag.GATE, VersionTag.BY)),
            local_time(version.created),
        )
    return table


def side_by_side(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A column for each head; the first text of each row names it."""
    table = Table("", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


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
            local_time(sweep.started),
            sweep.run_id[:8],
        )
    return table
