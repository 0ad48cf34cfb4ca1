"""The tables behind a report's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments import selection
from experiments.formatting import format_value
from experiments.reporting.statistics import accuracy_of, best_so_far, pareto_front, seconds_of, time_spent, weights_of
from experiments.reporting.timeline import SweepTimeline
from experiments.tracking.records import RunRecord
from search.trial import TrialState


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Args:
        caption: what it holds.
        columns: their heads; the first column names the rows.
        rows: as many texts each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def trials_table(timeline: SweepTimeline) -> Table:
    """Every attempt, best first."""
    runs = timeline.ranked + selection.unranked((trial.run for trial in timeline.trials), timeline.spec.objective)
    points = {trial.run.run_id: trial.point for trial in timeline.trials}
    searched = list(timeline.spec.space.domains)
    columns = ("run", "state", *searched, "best epoch", "val accuracy", "val loss", "weights", "seconds", "note")
    rows = [
        (
            run.name,
            run.state.value,
            *(format_value(points[run.run_id].get(name, "")) for name in searched),
            number(run.best_epoch, ".0f"),
            number(run.value("val_accuracy"), ".4f"),
            number(run.value("val_loss"), ".4f"),
            number(weights_of(run), ",.0f"),
            number(run.seconds, ".1f"),
            run.error or run.stop_reason or "",
        )
        for run in runs
    ]
    return Table("All trials, best first", columns, rows)


def history_table(timeline: SweepTimeline) -> Table:
    """Values in the order of the trials."""
    rows = [(str(trial), f"{value:.4f}", f"{best:.4f}") for trial, value, best in best_so_far(timeline)]
    return Table("Complete trials by number", ("trial", timeline.spec.objective, "best so far"), rows)


def importances_table(importances: dict[str, float]) -> Table:
    """Shares of the parameters."""
    rows = [(name, f"{share:.3f}") for name, share in importances.items()]
    return Table("Importance of each parameter", ("parameter", "importance"), rows)


def curves_table(timeline: SweepTimeline) -> Table:
    """The objective of each finished trial, epoch by epoch."""
    told = [trial for trial in timeline.trials if trial.curve and trial.run.state.is_finished]
    longest = max((len(trial.curve) for trial in told), default=0)
    rows = [
        (trial.run.name, trial.run.state.value, *(f"{value:.4f}" for value in trial.curve))
        + ("",) * (longest - len(trial.curve))
        for trial in told
    ]
    columns = ("run", "state", *(str(epoch) for epoch in range(1, longest + 1)))
    return Table(f"{timeline.spec.objective} by epoch", columns, rows)


def timeline_table(timeline: SweepTimeline) -> Table:
    """Begin and end of each attempt."""
    rows = [
        (trial.run.name, trial.run.state.value, f"{trial.began:.1f}", f"{trial.ended:.1f}") for trial in timeline.trials
    ]
    return Table("Seconds into the sweep", ("run", "state", "began", "ended"), rows)


def time_table(timeline: SweepTimeline) -> Table:
    """Seconds of workers by what they went into."""
    spent = time_spent(timeline)
    seconds = {
        "training": spent.training,
        "saving models": spent.saving,
        "tracking": spent.tracking,
        "lost attempts": spent.lost,
        "starting, waiting": spent.waiting,
    }
    rows = [
        (name, number(value, ",.1f") or "not recorded", number(value and value / (spent.total or 1), ".1%"))
        for name, value in seconds.items()
    ]
    return Table("Seconds of workers", ("what", "seconds", "share"), rows)


def fronts_table(timeline: SweepTimeline) -> Table:
    """The runs on either Pareto front."""
    by_weights = pareto_front(timeline.ranked, weights_of)
    by_seconds = pareto_front(timeline.ranked, seconds_of)
    rows = [
        (
            run.name,
            f"{accuracy_of(run):.4f}",
            number(weights_of(run), ",.0f"),
            number(run.seconds, ".1f"),
            " and ".join(name for name, front in (("weights", by_weights), ("seconds", by_seconds)) if run in front),
        )
        for run in sorted(_once(by_weights + by_seconds), key=accuracy_of)
    ]
    return Table("Runs on a Pareto front", ("run", "val accuracy", "weights", "seconds", "best for its"), rows)


def counts_of(timeline: SweepTimeline) -> str:
    """``24 complete, 6 pruned``."""
    counts = ((state, len(timeline.of_state(state))) for state in TrialState)
    return ", ".join(f"{count} {state.value}" for state, count in counts if count)


def number(value: float | None, form: str) -> str:
    """A figure, or nothing where there is none."""
    return "" if value is None else format(value, form)


def _once(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return list({run.run_id: run for run in runs}.values())
