"""Sweeps that want several things at once: what they may want, and what is best where no one thing decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from mnist_core.metrics import Metric

Item = TypeVar("Item")

PARAMETERS = "parameters:min"
"""As few weights as can be."""

RANKING = (f"{Metric.VAL_ACCURACY.value}:max", f"{Metric.VAL_LOSS.value}:min")
"""What may come first: by it trials are ranked."""

ALL_OBJECTIVES = (*RANKING, PARAMETERS)
"""What a sweep of several objectives may name."""


def name_of(objective: str) -> str:
    """``val_accuracy`` of ``val_accuracy:max``."""
    return objective.partition(":")[0]


def is_maximised(objective: str) -> bool:
    """Whether more is better."""
    return objective.endswith(":max")


def pareto_front(
    items: Iterable[Item], objectives: Sequence[str], values: Callable[[Item], Sequence[float]]
) -> list[Item]:
    """The items that none of the others beats by being as good in every objective and better in one.

    Args:
        items: in any order, which is kept.
        objectives: what is wanted, such as ``("val_accuracy:max", "parameters:min")``.
        values: of an item, one for each objective.
    """
    signs = [-1.0 if is_maximised(objective) else 1.0 for objective in objectives]
    costs = [(item, [sign * value for sign, value in zip(signs, values(item), strict=True)]) for item in items]
    return [item for item, cost in costs if not any(_beats(other, cost) for _, other in costs)]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine <= yours for mine, yours in zip(one, other, strict=True))
