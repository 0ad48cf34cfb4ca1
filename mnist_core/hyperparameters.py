"""The frozen values of one trial, checked when they are created."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol, Self, get_type_hints

from mnist_core.argument_checks import check_bool, check_choice, check_integer, check_number
from mnist_core.errors import ParameterError
from mnist_core.metrics import MONITORED

if TYPE_CHECKING:
    import keras

ARCHITECTURES = ("mlp", "cnn")
POOLINGS = ("max", "average")
SCHEDULES = ("constant", "cosine", "plateau")

CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "filters": ("cnn",),
    "kernel_size": ("cnn",),
    "blocks": ("cnn",),
    "convolutions": ("cnn",),
    "pooling": ("cnn",),
    "block_dropout": ("cnn",),
}
"""Architectures that have a parameter. All architectures have the parameters that are not listed."""


class ModelConfig(Protocol):
    """Values that a model is built from: those of the model factory, or of a function of the user's.

    Importing an implementation must not import Keras; ``build`` may.
    """

    @property
    def architecture(self) -> str | None:
        """One of ``ARCHITECTURES``; None where the model factory does not build the model."""

    @property
    def inactive(self) -> tuple[str, ...]:
        """Parameters that were set although the architecture does not have them."""

    @property
    def structure(self) -> Hashable | None:
        """Equal for configs whose models differ only in learning rate and in rates of dropout above 0; None if unknown.

        Compiled training functions are shared by models of the same structure.
        """

    def active_values(self) -> dict[str, int | float | str]:
        """The values that exist for the model, by name."""

    def with_values(self, values: Mapping[str, int | float | str]) -> Self:
        """The same config with some values replaced, without those that its architecture does not have.

        Raises:
            ParameterError: a value is of the wrong type or out of its range.
        """

    def without_inactive(self, architectures: Collection[str]) -> Self:
        """The same config without the values that none of these architectures has."""

    def check_arguments(self, searched: Mapping[str, type]) -> None:
        """Check that the model can be built from the fixed values and from searched ones of these types.

        Raises:
            ParameterError: it cannot.
        """

    def check_images(self, input_shape: tuple[int, int]) -> None:
        """Check that the model can take images of this height and width, in pixels.

        Raises:
            ParameterError: it cannot.
        """

    def load(self) -> None:
        """Import the user's code, if any, that ``build`` calls.

        Raises:
            ParameterError: it cannot be imported.
        """

    def build(self, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
        """A compiled model from pixels 0–255, shape ``(n, *input_shape)``, to probabilities, shape ``(n, 10)``.

        Raises:
            ParameterError: the values do not go together, or the images are too small.
        """


@dataclass(frozen=True)
class Hyperparameters:
    """The arguments of the model factory. The defaults are a network with one hidden layer of 128 units.

    Args:
        architecture: ``"mlp"``, hidden layers on the flattened image; ``"cnn"``, the same after convolution blocks.
        hidden_layers: number of hidden Dense layers, 0 to 16.
        hidden_size: units of each hidden layer, 1 to 16384.
        learning_rate: step size of Adam, in (0, 10].
        dropout: share of hidden activations set to zero while training, in [0, 1).
        batch_normalization: normalise the output of each hidden layer and each convolution before its ReLU.
        l2: factor of the L2 penalty on the kernels of hidden layers and convolutions, in [0, 1].
        weight_decay: share of every kernel that AdamW subtracts in each step, in units of the learning rate,
            in [0, 10]; 0 is plain Adam.
        max_norm: maximum Euclidean norm of the weights into one unit, in [0, 1000]; 0 is no bound.
        label_smoothing: share of each label's probability that is spread over all classes, in [0, 1).
        filters: number of filters of each convolution in the first block, 1 to 1024; each later block has twice
            as many.
        kernel_size: side of a convolution's window, 1 to 15 pixels.
        blocks: number of convolution blocks, 1 to 5; each halves height and width at its end.
        convolutions: number of convolutions in each block, 1 to 4.
        pooling: kind of pooling at the end of each block, ``"max"`` or ``"average"``.
        block_dropout: share of activations set to zero after each block while training, in [0, 1).

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    architecture: str = "mlp"
    hidden_layers: int = 1
    hidden_size: int = 128
    learning_rate: float = 1e-3
    dropout: float = 0.0
    batch_normalization: bool = False
    l2: float = 0.0
    weight_decay: float = 0.0
    max_norm: float = 0.0
    label_smoothing: float = 0.0
    filters: int = 32
    kernel_size: int = 3
    blocks: int = 2
    convolutions: int = 1
    pooling: str = "max"
    block_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("architecture", self.architecture, ARCHITECTURES)
        check_integer("hidden_layers", self.hidden_layers, 0, 16)
        check_integer("hidden_size", self.hidden_size, 1, 16384)
        check_bool("batch_normalization", self.batch_normalization)
        check_integer("filters", self.filters, 1, 1024)
        check_integer("kernel_size", self.kernel_size, 1, 15)
        check_integer("blocks", self.blocks, 1, 5)
        check_integer("convolutions", self.convolutions, 1, 4)
        check_choice("pooling", self.pooling, POOLINGS)
        reals = {
            "learning_rate": check_number("learning_rate", self.learning_rate, 0, 10, low_open=True),
            "dropout": check_number("dropout", self.dropout, 0, 1, high_open=True),
            "l2": check_number("l2", self.l2, 0, 1),
            "weight_decay": check_number("weight_decay", self.weight_decay, 0, 10),
            "max_norm": check_number("max_norm", self.max_norm, 0, 1000),
            "label_smoothing": check_number("label_smoothing", self.label_smoothing, 0, 1, high_open=True),
            "block_dropout": check_number("block_dropout", self.block_dropout, 0, 1, high_open=True),
        }
        for name, value in reals.items():
            object.__setattr__(self, name, value)  # 1 is accepted, and Keras needs 1.0

    @property
    def inactive(self) -> tuple[str, ...]:
        """Parameters that were set although the architecture does not have them."""
        return tuple(
            field.name
            for field in fields(self)
            if not is_active(field.name, self.architecture) and getattr(self, field.name) != field.default
        )

    @property
    def structure(self) -> Hyperparameters:
        """The same values but for learning rate and rates of dropout above 0, on which no graph depends."""
        dropout, block_dropout = (0.5 if rate else 0.0 for rate in (self.dropout, self.block_dropout))
        return replace(self, learning_rate=1.0, dropout=dropout, block_dropout=block_dropout)

    def active_values(self) -> dict[str, int | float | str]:
        """The values of the parameters that the architecture has, by name."""
        return {name: value for name, value in asdict(self).items() if is_active(name, self.architecture)}

    def with_values(self, values: Mapping[str, int | float | str]) -> Hyperparameters:
        """The same values with some replaced; those that the architecture does not have get their defaults."""
        changed = replace(self, **values)  # type: ignore[arg-type]
        return changed.without_inactive([changed.architecture])

    def without_inactive(self, architectures: Collection[str]) -> Hyperparameters:
        """The same values, with the defaults for parameters that none of these architectures has."""
        names = [name for name in CONDITIONS if not any(is_active(name, one) for one in architectures)]
        return replace(self, **{name: getattr(Hyperparameters, name) for name in names})

    def check_arguments(self, searched: Mapping[str, type]) -> None:
        """Do nothing: names and types of all parameters are known, and values are checked when they are created."""

    def check_images(self, input_shape: tuple[int, int]) -> None:
        """Check that images of this height and width, in pixels, are large enough for the convolution blocks."""
        if self.architecture == "cnn":
            check_blocks(self.blocks, input_shape)

    def load(self) -> None:
        """Do nothing: the model factory is no code of the user's."""

    def build(self, input_shape: tuple[int, int] = (28, 28)) -> keras.Model:
        """Build the model by :func:`~mnist_core.models.factory.build_model`."""
        from mnist_core.models.factory import build_model

        return build_model(self, input_shape)


def is_active(name: str, architecture: str) -> bool:
    """True if the architecture has the parameter."""
    return architecture in CONDITIONS.get(name, ARCHITECTURES)


def check_blocks(blocks: int, input_shape: tuple[int, int]) -> None:
    """Check that images are large enough to be halved by each block.

    Args:
        blocks: number of convolution blocks.
        input_shape: height and width of an image, in pixels.

    Raises:
        ParameterError: the images are too small.
    """
    if 2**blocks > min(input_shape):
        height, width = input_shape
        raise ParameterError(
            f"blocks: images of {height} × {width} pixels can be halved {min(input_shape).bit_length() - 1} times, "
            f"received {blocks}"
        )


@dataclass(frozen=True)
class EarlyStopping:
    """The condition under which training stops because it no longer improves.

    Args:
        monitor: name of the monitored metric, one of :data:`~mnist_core.metrics.MONITORED`.
        patience: number of epochs without an improvement of more than ``min_delta`` before training stops.
        min_delta: minimum change that counts as an improvement, in the metric's unit, 0 or more.

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    monitor: str = "val_accuracy"
    patience: int = 4
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_choice("monitor", self.monitor, tuple(metric.value for metric in MONITORED))
        check_integer("patience", self.patience, 1, 100_000)
        check_number("min_delta", self.min_delta, 0, 1e6)


@dataclass(frozen=True)
class Augmentation:
    """Maximum random changes of a training image. They are drawn anew each time that the image is used.

    Args:
        shift: pixels to any side, in [0, 100].
        rotation: degrees to either side, in [0, 180].
        zoom: share by which height and width, independently, grow or shrink, in [0, 1).
        shear: degrees by which vertical lines lean to either side, in [0, 60].

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        reals = {
            "shift": check_number("shift", self.shift, 0, 100),
            "rotation": check_number("rotation", self.rotation, 0, 180),
            "zoom": check_number("zoom", self.zoom, 0, 1, high_open=True),
            "shear": check_number("shear", self.shear, 0, 60),
        }
        for name, value in reals.items():
            object.__setattr__(self, name, value)

    def __bool__(self) -> bool:
        """True if any strength is above 0."""
        return any(asdict(self).values())


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of the trainer.

    Args:
        epochs: maximum number of passes over the training images, 1 to 100000.
        batch_size: images per gradient step, 1 to 65536. The last batch of an epoch may be smaller.
        early_stopping: the condition for stopping before ``epochs``, and the metric of the best epoch.
        schedule: of the learning rate: ``"constant"``; ``"cosine"``, down to 0 at the end of ``epochs``;
            ``"plateau"``, halved after half of early stopping's patience without an improvement.
        warmup: number of first epochs in which the learning rate rises from 0, with any schedule, in [0, 1000].
        ema: momentum of the exponential moving average of the weights, in [0, 1). The average is evaluated and
            saved; 0 evaluates and saves the weights themselves.
        augmentation: random changes of the training images.

    Raises:
        ParameterError: a value is of the wrong type or out of its range.
    """

    epochs: int = 20
    batch_size: int = 128
    early_stopping: EarlyStopping = EarlyStopping()
    schedule: str = "constant"
    warmup: float = 0.0
    ema: float = 0.0
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs, 1, 100_000)
        check_integer("batch_size", self.batch_size, 1, 65_536)
        check_choice("schedule", self.schedule, SCHEDULES)
        object.__setattr__(self, "warmup", check_number("warmup", self.warmup, 0, 1000))
        object.__setattr__(self, "ema", check_number("ema", self.ema, 0, 1, high_open=True))

    def with_values(self, values: Mapping[str, int | float | str]) -> TrainingConfig:
        """The same config with some settings replaced; those of the augmentation by their own names.

        Raises:
            ParameterError: a value is out of its range.
        """
        moved = {name: value for name, value in values.items() if name in AUGMENTATION_TYPES}
        others = {name: value for name, value in values.items() if name not in AUGMENTATION_TYPES}
        return replace(self, augmentation=replace(self.augmentation, **moved), **others)  # type: ignore[arg-type]

    def flat(self) -> dict[str, int | float | str]:
        """All settings by their own names."""
        table = asdict(self)
        parts = table.pop("early_stopping"), table.pop("augmentation")
        return {**table, **parts[0], **parts[1]}


PARAMETER_TYPES: Mapping[str, type] = get_type_hints(Hyperparameters)
"""Type of each of the model factory's arguments, by name."""

AUGMENTATION_TYPES: Mapping[str, type] = get_type_hints(Augmentation)
"""Type of each strength of the augmentation, by name."""

TRAINER_TYPES: Mapping[str, type] = {
    "batch_size": int,
    "schedule": str,
    "warmup": float,
    "ema": float,
    **AUGMENTATION_TYPES,
}
"""Type of each setting of the trainer that may be searched, by name."""
