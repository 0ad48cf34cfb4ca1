"""Tables of runs, configurations, versions, sweeps and checks, as texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from experiments.formatting import TextTable, format_number, local_time, short_text
from experiments.tracking.records import Tag, VersionTag
from search.space import SEED

if TYPE_CHECKING:
    from experiments.ensembling import Ensemble
    from experiments.evaluation import EvaluationRecord
    from experiments.ranking import Configuration
    from experiments.registry.gate import Check
    from experiments.selection import Selection
    from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord
    from mnist_core.plotting import RenderedPlot

CHOSEN, TIED = "chosen", "tied"
PASSED, FAILED = "passed", "FAILED"


def runs_table(ranked: Sequence[RunRecord], others: Iterable[RunRecord], names: Sequence[str]) -> TextTable:
    """The runs of a sweep, with their hosts where there are several.

    Args:
        ranked: the selectable runs, best first.
        others: the rest, listed below without a rank.
        names: parameters to show, each in a column.
    """
    metrics = ("best epoch", "val accuracy", "val loss", "seconds")
    listed = [*enumerate(ranked, start=1), *((None, run) for run in others)]
    is_spread = len({run.tags[Tag.HOST] for _, run in listed if Tag.HOST in run.tags}) > 1
    rows = [
        (
            str(rank or ""),
            run.name,
            run.state.value,
            *(short_text(run.params.get(name, "")) for name in names),
            str(run.best_epoch or ""),
            format_number(run.value("val_accuracy")),
            format_number(run.value("val_loss")),
            format_number(run.seconds, ".1f"),
            *((run.tags.get(Tag.HOST, ""),) if is_spread else ()),
        )
        for rank, run in listed
    ]
    host = ("host",) if is_spread else ()
    return TextTable(("rank", "run", "state", *names, *metrics, *host), rows, right={"rank", *names, *metrics})


def configurations_table(
    listed: Sequence[Configuration], names: Sequence[str], selection: Selection | None = None
) -> TextTable:
    """Configurations, best first: means over their seeds where they have several.

    Args:
        listed: the configurations to list.
        names: parameters to show, each in a column.
        selection: marks the chosen configuration and those that tie with it.
    """
    has_seeds = any(len(one.runs) > 1 for one in listed)
    searched = [name for name in names if name != SEED]
    metrics = (
        ["seeds", "mean val accuracy", "95% interval", "mean val loss"] if has_seeds else ["val accuracy", "val loss"]
    )
    order = list(selection.ranked if selection else listed)
    rows = []
    for one in listed:
        means = [format_number(one.mean("val_accuracy")), format_number(one.mean("val_loss"))]
        if has_seeds:
            spread = one.interval("val_accuracy")
            interval = f"{spread[0]:.4f} to {spread[1]:.4f}" if spread else ""
            means = [str(len(one.runs)), means[0], interval, means[1]]
        params = [short_text(one.run.params.get(name, "")) for name in searched]
        rank = str(order.index(one) + 1)
        rows.append((rank, one.run.name, *params, *means, f"{one.weights:,}", _mark(one, selection)))
    numbers = (*searched, *metrics, "weights")
    columns = ("rank", "best run" if has_seeds else "run", *numbers, "")
    return TextTable(columns, rows, right={"rank", *numbers})


def _mark(one: Configuration, selection: Selection | None) -> str:
    if selection is None:
        return ""
    return CHOSEN if one == selection.chosen else TIED if one in selection.tied else ""


def ensemble_table(ensemble: Ensemble) -> TextTable:
    """The members of an ensemble by themselves, the best alone, and their mean."""
    columns = ("validation", "accuracy", "95% interval", "weights")
    weights = [int(run.metrics["weights"]) for run in ensemble.members]
    rows = [
        (run.name, format_number(run.value("val_accuracy")), "", f"{size:,}")
        for run, size in zip(ensemble.members, weights, strict=True)
    ]
    for name, accuracy, size in (
        ("best alone", ensemble.best_accuracy, weights[0]),
        (f"mean of {len(weights)}", ensemble.accuracy, sum(weights)),
    ):
        interval = f"{accuracy.low:.4f} to {accuracy.high:.4f}"
        rows.append((name, format_number(accuracy.value), interval, f"{size:,}"))
    return TextTable(columns, rows, right=columns[1:])


def plots_table(plots: Iterable[RenderedPlot]) -> TextTable:
    """Plots by file; those that could not be drawn with the reason."""
    rows = [(plot.file, plot.title, f"not drawn: {plot.problem}" if plot.problem else "") for plot in plots]
    return TextTable(("file", "title", ""), rows)


def checks_table(checks: Iterable[Check]) -> TextTable:
    """The checks of the gate with their outcomes."""
    rows = [(PASSED if check.passed else FAILED, check.name, check.detail) for check in checks]
    return TextTable(("", "", ""), rows)


def evaluation_tables(record: EvaluationRecord) -> tuple[TextTable, TextTable]:
    """The metrics of a test set with their intervals, and the metrics of each class."""
    metrics = [
        (name.replace("_", " "), f"{one.value:.4f}", f"{one.low:.4f} to {one.high:.4f}")
        for name, one in record.metrics.headline().items()
    ]
    classes = [
        (str(each.label), str(each.images), *map(format_number, (each.precision, each.recall, each.f1)))
        for each in record.metrics.classes
    ]
    columns = ("digit", "images", "precision", "recall", "F1")
    return (
        TextTable(("test set", "", "95% interval"), metrics, right=("", "95% interval")),
        TextTable(columns, classes, right=columns),
    )


def versions_table(versions: Iterable[VersionRecord]) -> TextTable:
    """The versions of a registered model, newest first."""
    tags = (
        *(VersionTag.RUN, VersionTag.PARAMETERS, VersionTag.VAL_ACCURACY, VersionTag.TEST_ACCURACY),
        *(VersionTag.GATE, VersionTag.BY),
    )
    rows = [
        (
            str(version.version),
            ", ".join(version.aliases),
            *(version.tags.get(tag, "") for tag in tags),
            local_time(version.created),
        )
        for version in versions
    ]
    columns = ("version", "aliases", "run", "parameters", "val accuracy", "test accuracy", "gate", "by", "created")
    return TextTable(columns, rows, right=("version", "val accuracy", "test accuracy"))


def sweeps_table(sweeps: Iterable[SweepRecord]) -> TextTable:
    """The sweeps of a store, newest first."""
    rows = [
        (
            sweep.name,
            sweep.state.value.lower(),
            sweep.ending,
            *(sweep.tags.get(tag, "") for tag in (Tag.ENGINE, Tag.SAMPLER, Tag.TARGET, Tag.DATASET, Tag.BEST_RUN)),
            local_time(sweep.started),
            sweep.run_id[:8],
        )
        for sweep in sweeps
    ]
    columns = ("name", "state", "ending", "engine", "sampler", "trials", "data", "best run", "started", "run id")
    return TextTable(columns, rows)
