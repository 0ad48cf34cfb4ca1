"""The objectives of a sweep, and the Pareto front where there are several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mnist_core.errors import SpecError, did_you_mean
from mnist_core.metrics import Direction, EpochMetrics, Metric

Item = TypeVar("Item")

_WORDS = {"max": Direction.MAXIMIZE, "min": Direction.MINIMIZE}
_OLDER_TEXTS = {"parameters:min": "model_size:min"}


@dataclass(frozen=True)
class Objective:
    """A metric to be maximised or minimised. Its text is that of sweep files, such as ``val_accuracy:max``.

    Args:
        metric: ``val_accuracy``, ``val_loss``, or ``model_size``, the number of the model's weights.
        direction: the one in which the metric is better.

    Raises:
        SpecError: there is no such objective.
    """

    metric: str
    direction: Direction

    def __post_init__(self) -> None:
        if str(self) not in _TEXTS:
            raise SpecError(f"unknown value {str(self)!r}{did_you_mean(str(self), _TEXTS)}")

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Return the objective that a text names.

        Args:
            text: such as ``val_accuracy:max``; ``parameters:min``, of older sweep files, is ``model_size:min``.

        Raises:
            SpecError: there is no such objective.
        """
        known = (*_TEXTS, *_OLDER_TEXTS)
        if text not in known:
            raise SpecError(f"unknown value {text!r}{did_you_mean(text, known)}")
        metric, _, word = _OLDER_TEXTS.get(text, text).partition(":")
        return cls(metric, _WORDS[word])

    def __str__(self) -> str:
        return f"{self.metric}:{'max' if self.direction is Direction.MAXIMIZE else 'min'}"

    @property
    def ranks(self) -> bool:
        """True where trials can be ranked by it alone: a metric of each epoch, not the size of the model."""
        return self.metric != "model_size"

    def value(self, metrics: EpochMetrics, model_size: int | None) -> float:
        """Return the value of a model.

        Args:
            metrics: of the epoch whose weights it holds.
            model_size: number of its weights; None where it was not recorded, which counts as 0.
        """
        return metrics.value(Metric(self.metric)) if self.ranks else float(model_size or 0)


_TEXTS = ("val_accuracy:max", "val_loss:min", "model_size:min")

VAL_ACCURACY = Objective(Metric.VAL_ACCURACY.value, Direction.MAXIMIZE)
VAL_LOSS = Objective(Metric.VAL_LOSS.value, Direction.MINIMIZE)
MODEL_SIZE = Objective("model_size", Direction.MINIMIZE)

RANKING = (VAL_ACCURACY, VAL_LOSS)
"""The objectives that may come first: trials are ranked by it."""


def pareto_front(
    items: Iterable[Item], directions: Sequence[Direction], values: Callable[[Item], Sequence[float]]
) -> list[Item]:
    """Return the items that no other beats by being as good in every value and better in one.

    Args:
        items: in any order, which is kept.
        directions: of each value, the one in which it is better.
        values: of an item, one for each direction.
    """
    signs = [-1.0 if direction is Direction.MAXIMIZE else 1.0 for direction in directions]
    costs = [(item, [sign * value for sign, value in zip(signs, values(item), strict=True)]) for item in items]
    if len(signs) == 2:
        pairs = _front_of_pairs((first, second) for _, (first, second) in costs)
        return [item for item, cost in costs if any(map(math.isnan, cost)) or tuple(cost) in pairs]
    return [item for item, cost in costs if not any(_beats(other, cost) for _, other in costs)]


def _front_of_pairs(costs: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """The pairs that no other beats, found by sorting; pairs with NaN, which no other beats, are left out."""
    front: set[tuple[float, float]] = set()
    least: float | None = None
    for pair in sorted(pair for pair in costs if not any(map(math.isnan, pair))):
        # All pairs before it are as good in the first value.
        if least is None or pair[1] < least or pair in front:
            front.add(pair)
            least = pair[1]
    return front


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine <= yours for mine, yours in zip(one, other, strict=True))
