"""A sweep in a few lines: the head of its page, and its description in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from experiments.formatting import format_params
from experiments.reporting.captions import shares, workers
from experiments.reporting.tables import counts_of
from experiments.reporting.timeline import SweepTimeline
from experiments.tracking.datasets import SHOWN_DIGEST
from experiments.tracking.records import Tag

Summary = Sequence[tuple[str, str]]


def summarize(timeline: SweepTimeline, importances: Mapping[str, float]) -> Summary:
    """What there is to say of a sweep, name by name."""
    tags, objective = timeline.sweep.tags, timeline.spec.objective
    facts = [("searched by", f"{tags.get(Tag.ENGINE, '')}, {tags.get(Tag.SAMPLER, '')}, pruner {timeline.spec.pruner}")]
    if configuration := timeline.best_configuration():
        best, seeds = configuration.run, len(configuration.runs)
        mean = f"; mean of its {seeds} seeds {configuration.mean(objective):.4f}" if seeds > 1 else ""
        facts += [
            ("best", f"{best.name}, {objective} {best.value(objective):.4f} at epoch {best.best_epoch}{mean}"),
            ("its parameters", format_params(timeline.best_point())),
            ("median", f"{objective} {median(timeline.values()):.4f}"),
        ]
    facts.append(("trials", counts_of(timeline) or "none"))
    if importances:
        facts.append(("what matters", shares(importances)))
    data = f"{tags.get(Tag.DATASET, '')} ({tags.get(Tag.DATASET_DIGEST, '')[:SHOWN_DIGEST]})"
    facts += [
        ("time", f"{timeline.seconds:,.0f} s on {workers(timeline)}"),
        ("data", f"{data}, validation {tags.get(Tag.VALIDATION, '')}; no test image seen"),
        ("run", timeline.sweep.run_id),
    ]
    return facts


def description(facts: Summary, page: str, missing: Sequence[str]) -> str:
    """The facts as Markdown, and where the pictures are.

    Args:
        facts: of the sweep.
        page: path of the page among the run's artifacts.
        missing: titles of the pictures that could not be drawn.
    """
    lines = [f"- **{name}**: {value}" for name, value in facts]
    undrawn = f"; not drawn: {', '.join(missing)}" if missing else ""
    lines.append(f"- **pictures**: `{page}` among the artifacts{undrawn}")
    return "\n".join(lines)
