from __future__ import annotations

import dataclasses
import math

import pytest

from mnist_core.metrics import MONITORED, Direction, EpochMetrics, Metric, StopReason, TrainingResult

METRICS = EpochMetrics(loss=0.4, accuracy=0.8, val_loss=0.5, val_accuracy=0.7, val_crossentropy=0.3)
MAX, MIN = Direction.MAXIMIZE, Direction.MINIMIZE


@pytest.mark.parametrize(
    ("metric", "direction", "value"),
    [
        (Metric.LOSS, MIN, 0.4),
        (Metric.ACCURACY, MAX, 0.8),
        (Metric.VAL_LOSS, MIN, 0.5),
        (Metric.VAL_ACCURACY, MAX, 0.7),
        (Metric.VAL_CROSSENTROPY, MIN, 0.3),
    ],
)
def test_accuracies_are_maximised_and_losses_minimised(metric: Metric, direction: Direction, value: float) -> None:
    assert metric.direction is direction
    assert METRICS.value(metric) == value


def test_metrics_have_their_names_in_keras_and_mlflow() -> None:
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert [metric.value for metric in Metric] == [*names, "val_crossentropy"]
    assert [metric.value for metric in MONITORED] == names
    assert [field.name for field in dataclasses.fields(EpochMetrics)] == [metric.value for metric in Metric]


def test_a_metric_that_was_not_recorded_is_nan() -> None:
    assert math.isnan(EpochMetrics(0.4, 0.8, 0.5, 0.7).value(Metric.VAL_CROSSENTROPY))


@pytest.mark.parametrize(
    ("direction", "new", "old", "margin", "better"),
    [
        (MAX, 0.9, 0.8, 0.0, True),
        (MAX, 0.8, 0.9, 0.0, False),
        (MAX, 0.9, 0.9, 0.0, False),
        (MAX, 0.75, 0.5, 0.25, False),
        (MAX, 0.75, 0.5, 0.125, True),
        (MIN, 0.8, 0.9, 0.0, True),
        (MIN, 0.9, 0.8, 0.0, False),
        (MIN, 0.9, 0.9, 0.0, False),
        (MIN, 0.5, 0.75, 0.25, False),
        (MIN, 0.5, 0.75, 0.125, True),
        (MAX, math.nan, 0.5, 0.0, False),
        (MIN, math.nan, 0.5, 0.0, False),
        (MAX, math.nan, -math.inf, 0.0, False),
        (MIN, math.nan, math.inf, 0.0, False),
        (MAX, -math.inf, -math.inf, 0.0, False),
        (MIN, math.inf, math.inf, 0.0, False),
    ],
)
def test_better_means_by_more_than_the_margin(
    direction: Direction, new: float, old: float, margin: float, better: bool
) -> None:
    assert direction.better(new, old, margin) is better


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("value", [0.0, -1e300, 1e300, 5e-324])
@pytest.mark.parametrize("margin", [0.0, 1e6])
def test_every_finite_value_is_better_than_the_worst_by_any_margin(
    direction: Direction, value: float, margin: float
) -> None:
    assert direction.better(value, direction.worst, margin)
    assert not direction.better(direction.worst, value, margin)


def test_the_best_metrics_of_a_result_are_those_of_the_best_epoch() -> None:
    history = tuple(dataclasses.replace(METRICS, val_accuracy=accuracy) for accuracy in (0.5, 0.9, 0.6))
    result = TrainingResult(history, best_epoch=2, reason=StopReason.PATIENCE)
    assert result.best is history[1]
