"""The frozen values of one trial, checked where they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import get_type_hints

from mnist_core.errors import ParameterError, did_you_mean
from mnist_core.metrics import Metric

ARCHITECTURES = ("mlp",)


def _integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"{name}: expected an integer from {low} to {high}, received {value!r}")


def _real(
    name: str, value: object, low: float, high: float, *, low_open: bool = False, high_open: bool = False
) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    inside = (low < number if low_open else low <= number) and (number < high if high_open else number <= high)
    if not inside or isinstance(value, str):
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ParameterError(f"{name}: expected a number in {left}{low:g}, {high:g}{right}, received {value!r}")
    return number


def _word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError(f"{name}: unknown value {value!r}{did_you_mean(str(value), known)}")


@dataclass(frozen=True)
class Hyperparameters:
    """What the model factory is parameterised by. The defaults are the plain 128-unit network.

    Args:
        architecture: ``"mlp"``.
        hidden_layers: number of hidden Dense layers, 0 to 16.
        hidden_size: units of each hidden layer, 1 to 16384.
        learning_rate: step size of Adam, in (0, 10].
        dropout: share of hidden activations set to zero while training, in [0, 1).
        l2: factor of the L2 penalty on the hidden kernels, in [0, 1].

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    architecture: str = "mlp"
    hidden_layers: int = 1
    hidden_size: int = 128
    learning_rate: float = 1e-3
    dropout: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        _word("architecture", self.architecture, ARCHITECTURES)
        _integer("hidden_layers", self.hidden_layers, 0, 16)
        _integer("hidden_size", self.hidden_size, 1, 16384)
        reals = {
            "learning_rate": _real("learning_rate", self.learning_rate, 0, 10, low_open=True),
            "dropout": _real("dropout", self.dropout, 0, 1, high_open=True),
            "l2": _real("l2", self.l2, 0, 1),
        }
        for name, value in reals.items():
            object.__setattr__(self, name, value)  # 1 is a number, and Keras wants it as 1.0


@dataclass(frozen=True)
class EarlyStopping:
    """When to give up on a trial that no longer improves.

    Args:
        monitor: the metric watched, by its name in :class:`~mnist_core.metrics.Metric`.
        patience: epochs without an improvement of more than ``min_delta`` before training stops.
        min_delta: change that an improvement has to exceed, in the metric's unit, 0 or more.

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    monitor: str = "val_accuracy"
    patience: int = 4
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        _word("monitor", self.monitor, tuple(metric.value for metric in Metric))
        _integer("patience", self.patience, 1, 100_000)
        _real("min_delta", self.min_delta, 0, 1e6)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and in which steps a model is trained.

    Args:
        epochs: passes over the training images at most, 1 to 100000.
        batch_size: images per gradient step, 1 to 65536. The last batch of an epoch may be smaller.
        early_stopping: when to stop before ``epochs``, and which epoch's weights are the best.

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    epochs: int = 20
    batch_size: int = 128
    early_stopping: EarlyStopping = EarlyStopping()

    def __post_init__(self) -> None:
        _integer("epochs", self.epochs, 1, 100_000)
        _integer("batch_size", self.batch_size, 1, 65_536)


PARAMETER_TYPES: dict[str, type] = {
    field.name: get_type_hints(Hyperparameters)[field.name] for field in fields(Hyperparameters)
}
"""Type of each of the model factory's arguments, by name."""
