"""Factories of runs and evaluations, for decisions that need no store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from experiments.evaluation import EvaluationRecord
from experiments.registry.gate import EvaluatedRun
from experiments.tracking.records import RunRecord, Tag
from search.trial import TrialState


def run(number: int, accuracy: float | None = 0.9, loss: float | None = 0.3, **other: Any) -> RunRecord:
    """A run, by default complete and with a logged model."""
    values = {"best_val_accuracy": accuracy, "best_val_loss": loss}
    settings: dict[str, Any] = {
        "run_id": f"run-{number}",
        "name": f"trial-{number:03d}",
        "number": number,
        "attempt": 1,
        "state": TrialState.COMPLETE,
        "params": {},
        "metrics": {name: value for name, value in values.items() if value is not None},
        "model_id": f"m-{number}",
    }
    return RunRecord(**(settings | other))


def sized(number: int, accuracy: float, weights: int, loss: float = 0.3, **params: Any) -> RunRecord:
    """A run of a model with that number of weights. Runs of equal size and parameters are one configuration."""
    metrics = {"best_val_accuracy": accuracy, "best_val_loss": loss, "weights": weights}
    texts = {"hidden_size": str(weights)} | {name: str(value) for name, value in params.items()}
    return run(number, metrics=metrics, params=texts)


def evaluated(predicted: Sequence[int], labels: Sequence[int], digest: str = "d" * 64) -> EvaluationRecord:
    """An evaluation of a classifier that predicts these labels, each with a probability of 91%."""
    probabilities = np.full((len(predicted), 10), 0.01, np.float32)
    probabilities[np.arange(len(predicted)), predicted] = 0.91
    return EvaluationRecord(
        dataset="small",
        digest=digest,
        evaluated=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        median_ms=0.25,
        p99_ms=0.5,
        model_bytes=123_456,
        probabilities=probabilities,
        labels=np.array(labels, np.uint8),
    )


def candidate(number: int, wrong: Sequence[int], count: int = 100, **other: Any) -> EvaluatedRun:
    """A run with its evaluation on ``count`` images. Those with an index in ``wrong`` are misclassified."""
    labels = [index % 10 for index in range(count)]
    mistakes = set(wrong)
    predicted = [(label + 1) % 10 if index in mistakes else label for index, label in enumerate(labels)]
    tags = {Tag.SWEEP: "small", Tag.MODEL_SHA256: f"{number:064x}"}
    return EvaluatedRun(run(number, tags=tags, **other), evaluated(predicted, labels))
