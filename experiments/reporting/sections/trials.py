"""The table of all trials, at the end of a report; it has no plot."""

from __future__ import annotations

from collections.abc import Sequence

from experiments import ranking
from experiments.formatting import format_number, format_value
from experiments.reporting.sections.section import Table
from experiments.reporting.timeline import SweepTimeline, TrialTimeline

MAX_ROWS = 1000
"""Trials that are all listed; of more, the best ``BEST_ROWS`` are."""
BEST_ROWS = 200


def trials_table(timeline: SweepTimeline) -> Table:
    """Every attempt, best first; of many, the best ones."""
    runs = timeline.ranked + ranking.unranked((trial.run for trial in timeline.trials), timeline.spec.objective)
    trials = {trial.run.run_id: trial for trial in timeline.trials}
    searched = list(timeline.spec.space.domains)
    columns = ("run", "state", *searched, "best epoch", "val accuracy", "val loss", "weights", "seconds", "note")
    caption = "All trials, best first"
    if len(runs) > MAX_ROWS:
        best = min(BEST_ROWS, len(timeline.ranked))
        shown = f"The best {best}" + (f" and {BEST_ROWS - best} more" if best < BEST_ROWS else "")
        caption = f"{shown} of {len(runs):,} trials; all: mnist-search runs {timeline.sweep.name} --all"
        runs = runs[:BEST_ROWS]
    return Table(caption, columns, [_row(trials[run.run_id], searched) for run in runs])


def _row(trial: TrialTimeline, searched: Sequence[str]) -> tuple[str, ...]:
    run = trial.run
    return (
        run.name,
        run.state.value,
        *(format_value(trial.point.get(name, "")) for name in searched),
        format_number(run.best_epoch, ".0f"),
        format_number(run.value("val_accuracy"), ".4f"),
        format_number(run.value("val_loss"), ".4f"),
        format_number(run.metrics.get("weights"), ",.0f"),
        format_number(run.seconds, ".1f"),
        run.error or run.stop_reason or "",
    )
