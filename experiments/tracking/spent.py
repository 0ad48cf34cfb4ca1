"""The use that a recorded sweep has made of its budgets: running time, epochs, and values in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from experiments.tracking.curves import read_curves
from experiments.tracking.records import SEARCH_SECONDS, CurvePoint, RunRecord, SweepRecord
from experiments.tracking.store import Store
from search.budget import Spent
from search.spec import SweepSpec
from search.trial import TrialState

# Seconds without an open trial after which the sweep counts as left and resumed later.
MAX_PAUSE_SECONDS = 30.0

Span = tuple[datetime, datetime]
"""Start and end, UTC."""


def read_spent(store: Store, sweep: SweepRecord, runs: Sequence[RunRecord], spec: SweepSpec) -> Spent:
    """Read what earlier calls of a sweep used of its budgets.

    A sweep without budgets is not read any further than its parent run.

    Args:
        store: that holds it.
        sweep: its parent run. It has the running time up to its last regular end; of a call that was killed, the time
            is that of its runs.
        runs: every attempt, those that were lost included.
        spec: the sweep as it is resumed.

    Raises:
        StoreError: the curves of the lost attempts cannot be read.
    """
    recorded = sweep.metrics.get(SEARCH_SECONDS, 0.0)
    if not spec.stop:
        return Spent(recorded)
    # The number of their epochs and the time of the last one are in their curves alone.
    uncounted = [run for run in runs if "epochs_run" not in run.metrics]
    curves = read_curves(store, uncounted, spec.metric)
    spans = (span_of(run, curves.get(run.run_id, ())) for run in runs)
    seconds = sum((end - start).total_seconds() for start, end in sessions_of(spans))
    epochs = sum(int(run.metrics.get("epochs_run", len(curves.get(run.run_id, ())))) for run in runs)
    trained = [run for run in runs if run.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    ordered = sorted(trained, key=lambda run: (run.ended or datetime.max.replace(tzinfo=UTC), run.number))
    values = tuple(run.value(spec.objective) if run.state is TrialState.COMPLETE else None for run in ordered)
    return Spent(max(seconds, recorded), epochs, values)


def span_of(run: RunRecord, curve: Sequence[CurvePoint]) -> Span:
    """Return start and end of a run. A lost run may be closed days later: it ends with its last logged epoch."""
    started = run.started or datetime.fromtimestamp(0, UTC)
    last_logged = max([started, *(point.time for point in curve)])
    return started, max(started, run.ended) if run.ended and run.state.is_finished else last_logged


def sessions_of(spans: Iterable[Span]) -> list[Span]:
    """Return the periods in which a sweep ran, oldest first, from the spans of its runs."""
    sessions: list[Span] = []
    for start, end in sorted(spans):
        if sessions and (start - sessions[-1][1]).total_seconds() <= MAX_PAUSE_SECONDS:
            sessions[-1] = (sessions[-1][0], max(sessions[-1][1], end))
        else:
            sessions.append((start, end))
    return sessions
