"""A network as its reader sees it: layers that learn, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from mnist_core.arrays import Floats, Images
from mnist_core.errors import ModelError
from mnist_core.models.saved_model import PREDICTION_BATCH

TRAINABLE_LAYERS = (keras.layers.Dense, keras.layers.Conv2D)
# What belongs to the layer before it: its answer is what comes out of these.
FOLLOWING_LAYERS = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.ELU,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)


@dataclass(frozen=True, eq=False)
class Block:
    """One layer that learns, with the normalisation and activation behind it.

    Args:
        name: of the layer.
        layer: a Dense or Conv2D layer.
        output: symbolic tensor of its answers, ``(None, units)`` or ``(None, height, width, filters)``.
    """

    name: str
    layer: keras.Layer
    output: keras.KerasTensor


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier taken apart.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        hidden: blocks before the last one, in the order of the data; none for a linear classifier.
        last: the layer whose answers are the class probabilities.
    """

    model: keras.Model
    hidden: tuple[Block, ...]
    last: keras.Layer

    @classmethod
    def of(cls, model: keras.Model) -> Network:
        """Find the blocks of a Sequential or functional model.

        Raises:
            ModelError: it has no graph of layers, or none of them is Dense or Conv2D.
        """
        blocks = list(_blocks(model.layers)) if getattr(model, "inputs", None) else []
        if not blocks:
            raise ModelError(
                f"model {model.name}: expected a Sequential or functional model with Dense or Conv2D layers, received "
                f"{type(model).__name__} of {len(model.layers)} layers, none of them such"
            )
        return cls(model, tuple(blocks[:-1]), blocks[-1].layer)

    @property
    def learning(self) -> tuple[keras.Layer, ...]:
        """All layers that learn, the last one too."""
        return (*(block.layer for block in self.hidden), self.last)

    def answers(self, images: Images) -> list[Floats]:
        """What each hidden block answers to each image.

        Args:
            images: shape ``(n, height, width)``, uint8; few, as a convolution's answers are large.

        Returns:
            For each block ``(n, units)`` or ``(n, height, width, filters)``, float32.
        """
        return _compute(self.model, [block.output for block in self.hidden], images)

    def unit_activations(self, images: Images) -> list[Floats]:
        """The same for any number of images, a filter's answer averaged over its positions.

        Returns:
            For each block ``(n, units)``, float32.
        """
        return _compute(self.model, [block.output for block in self.hidden], images, _mean_over_positions)

    def features(self, images: Images) -> Floats:
        """What the last layer is given, which is all that it knows of an image; ``(n, features)``, float32."""
        (features,) = _compute(self.model, [self.last.input], images, lambda batch: batch.reshape(len(batch), -1))
        return features


def _blocks(layers: Sequence[keras.Layer]) -> Iterator[Block]:
    block: Block | None = None
    for layer in layers:
        if isinstance(layer, TRAINABLE_LAYERS):
            if block:
                yield block
            block = Block(layer.name, layer, layer.output)
        elif block and isinstance(layer, FOLLOWING_LAYERS):
            block = Block(block.name, block.layer, layer.output)
    if block:
        yield block


def _mean_over_positions(batch: Floats) -> Floats:
    means: Floats = batch.mean(axis=tuple(range(1, batch.ndim - 1))) if batch.ndim > 2 else batch
    return means


def _compute(
    model: keras.Model,
    outputs: list[keras.KerasTensor],
    images: Images,
    reduce: Callable[[Floats], Floats] = lambda batch: batch,
) -> list[Floats]:
    if not outputs:
        return []
    part = keras.Model(model.inputs[0], outputs)
    batches = []
    for start in range(0, len(images), PREDICTION_BATCH):
        computed = part(images[start : start + PREDICTION_BATCH], training=False)
        tensors = computed if isinstance(computed, list | tuple) else [computed]
        batches.append([reduce(np.asarray(tensor, dtype=np.float32)) for tensor in tensors])
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]
