"""Timelines of sweeps that never ran, for tests of reports and plots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from experiments.reporting.timeline import SweepTimeline, build_timeline
from experiments.tracking.records import TRACKING_SECONDS, CurvePoint, RunRecord, SweepRecord, SweepState, Tag
from search.space import FACTORY
from search.spec_file import parse_spec
from search.trial import TrialState

START = datetime(2024, 1, 1, 12, tzinfo=UTC)
SPEC = """
name = "made-up"
trials = 500
pruner = "median"
[training]
epochs = 10
[space]
hidden_size = { low = 8, high = 512, log = true }
learning_rate = { low = 1e-4, high = 1e-2, log = true }
dropout = { low = 0.0, high = 0.5 }
l2 = [0.0, 1e-5, 1e-4]
"""
POINT = {"hidden_size": "64", "learning_rate": "0.001", "dropout": "0.25", "l2": "1e-05"}


def run(
    number: int,
    accuracy: float | None = 0.97,
    began: float = 0.0,
    ended: float = 10.0,
    state: TrialState = TrialState.COMPLETE,
    weights: int = 1000,
    params: dict[str, str] = POINT,
    **metrics: float,
) -> RunRecord:
    """A trial's run. ``began`` and ``ended`` are seconds after ``START``."""
    best = {"best_val_accuracy": accuracy, "best_val_loss": 1 - accuracy} if accuracy is not None else {}
    return RunRecord(
        run_id=f"{number:032x}",
        name=f"trial-{number:03d}",
        number=number,
        attempt=1,
        state=state,
        params=params,
        point={name: FACTORY.parse(name, text) for name, text in params.items()},
        metrics={**best, "best_epoch": 1, "weights": weights, "seconds": ended - began, **metrics},
        model_id="m-1" if state is TrialState.COMPLETE else None,
        tags={Tag.SWEEP: "made-up"},
        started=START + timedelta(seconds=began),
        ended=START + timedelta(seconds=ended),
    )


def timeline(
    runs: Sequence[RunRecord],
    curves: dict[int, Sequence[tuple[float, float]]] | None = None,
    workers: int = 2,
    tracking: float | None = None,
    text: str = SPEC,
    **tags: str,
) -> SweepTimeline:
    """The timeline of these runs.

    Args:
        runs: every attempt.
        curves: for each trial number the epochs, each as the objective and the second at which it was logged.
        workers: number of workers of the sweep.
        tracking: seconds spent on tracking; None where they were not recorded.
        text: the sweep's TOML.
        tags: further tags of the parent run.
    """
    sweep = SweepRecord(
        run_id="f" * 32,
        name="made-up",
        state=SweepState.FINISHED,
        started=START,
        tags={Tag.WORKERS: str(workers), Tag.ENGINE: "optuna", Tag.SAMPLER: "tpe", **tags},
        metrics={} if tracking is None else {TRACKING_SECONDS: tracking},
    )
    points = {
        each.run_id: [
            CurvePoint(value, START + timedelta(seconds=second))
            for value, second in (curves or {}).get(each.number, ())
        ]
        for each in runs
    }
    return build_timeline(sweep, parse_spec(text), runs, points)


def many_trials(count: int = 500, seed: int = 0) -> SweepTimeline:
    """A sweep of random points. The accuracy depends on the point; some trials are pruned or failed."""
    rng = np.random.default_rng(seed)
    runs, curves = [], {}
    for number in range(count):
        size, rate, dropout = 2 ** rng.uniform(3, 9), 10 ** rng.uniform(-4, -2), rng.uniform(0, 0.5)
        accuracy = 0.98 - 0.02 * (np.log10(rate) + 3) ** 2 - 0.05 / np.sqrt(size) + rng.normal(0, 0.001)
        state = rng.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED], p=[0.6, 0.38, 0.02])
        began = 6.0 * (number // 2)
        epochs = {TrialState.COMPLETE: 10, TrialState.PRUNED: 3, TrialState.FAILED: 1}[state]
        curves[number] = [(accuracy - 0.05 / epoch, began + 0.4 * epoch) for epoch in range(1, epochs + 1)]
        params = {"hidden_size": str(int(size)), "learning_rate": str(rate), "dropout": str(dropout)}
        runs.append(
            run(
                number,
                None if state is TrialState.FAILED else accuracy,
                began,
                began + (0.2 + 0.0005 * size) * epochs + 0.8,
                state,
                weights=int(795 * size),
                params={**params, "l2": str(rng.choice(["0.0", "1e-05", "0.0001"]))},
                training_seconds=(0.2 + 0.0005 * size) * epochs,
                saving_seconds=0.3,
            )
        )
    return timeline(runs, curves, tracking=20.0)
