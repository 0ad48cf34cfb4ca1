"""The facts of a sweep in a few lines: the head of its page, and its description in MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from experiments.formatting import format_params, pluralize
from experiments.reporting.sections.importances import format_shares
from experiments.reporting.timeline import SweepTimeline, workers_of
from experiments.tracking.datasets import SHOWN_DIGEST
from experiments.tracking.records import Tag
from search.trial import TrialState

Summary = Sequence[tuple[str, str]]


def summarize(timeline: SweepTimeline, importances: Mapping[str, float]) -> Summary:
    """Names and values that sum up a sweep, in the order to show them."""
    tags, objective = timeline.sweep.tags, timeline.spec.objective
    facts = [("search", f"{tags.get(Tag.ENGINE, '')}, {tags.get(Tag.SAMPLER, '')}, pruner {timeline.spec.pruner}")]
    if configuration := timeline.best_configuration():
        best, seeds = configuration.run, len(configuration.runs)
        mean = f"; mean of its {seeds} seeds {configuration.mean(objective):.4f}" if seeds > 1 else ""
        facts += [
            ("best", f"{best.name}, {objective} {best.value(objective):.4f} at epoch {best.best_epoch}{mean}"),
            ("best parameters", format_params(timeline.best_point())),
            ("median", f"{objective} {median(timeline.values()):.4f}"),
        ]
    facts.append(("trials", format_counts(timeline) or "none"))
    # A sweep that was resumed and runs has the cause of its last end still.
    if (cause := tags.get(Tag.ENDING_CAUSE)) and (ending := timeline.sweep.ending):
        facts.append(("end", f"{ending}: {cause}"))
    if importances:
        facts.append(("importances", format_shares(importances)))
    data = f"{tags.get(Tag.DATASET, '')} ({tags.get(Tag.DATASET_DIGEST, '')[:SHOWN_DIGEST]})"
    facts += [
        ("time", f"{timeline.seconds:,.0f} s on {pluralize(workers_of(timeline), 'worker')}"),
        ("data", f"{data}, validation {tags.get(Tag.VALIDATION, '')}; test images not used"),
        ("run", timeline.sweep.run_id),
    ]
    return facts


def format_summary(facts: Summary, page: str, missing: Sequence[str]) -> str:
    """The facts as Markdown, with the place of the plots.

    Args:
        facts: of the sweep.
        page: path of the page among the run's artifacts.
        missing: titles of the plots that could not be drawn.
    """
    lines = [f"- **{name}**: {value}" for name, value in facts]
    undrawn = f"; not drawn: {', '.join(missing)}" if missing else ""
    lines.append(f"- **plots**: `{page}` among the artifacts{undrawn}")
    return "\n".join(lines)


def format_counts(timeline: SweepTimeline) -> str:
    """``24 complete, 6 pruned``: trials by the state of their last attempt."""
    counts = Counter({trial.run.number: trial.run.state for trial in timeline.trials}.values())
    return ", ".join(f"{counts[state]} {state.value}" for state in TrialState if counts[state])
