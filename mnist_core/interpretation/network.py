"""The trainable layers of a network and their activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from mnist_core.arrays import Floats, Images
from mnist_core.errors import ModelError
from mnist_core.models.following_layers import FOLLOWING_LAYERS
from mnist_core.models.saved_model import PREDICTION_BATCH

TRAINABLE_LAYERS = (keras.layers.Dense, keras.layers.Conv2D)


@dataclass(frozen=True, eq=False)
class Block:
    """One trainable layer with the normalisation and activation layers after it.

    Args:
        name: of the layer.
        layer: a Dense or Conv2D layer.
        output: symbolic tensor of its activations, ``(None, units)`` or ``(None, height, width, filters)``.
    """

    name: str
    layer: keras.Layer
    output: keras.KerasTensor


@dataclass(frozen=True, eq=False)
class Network:
    """The blocks of a classifier.

    Args:
        model: from pixels ``(n, height, width)`` to probabilities ``(n, classes)``.
        hidden: the blocks before the output layer, in order; empty for a linear classifier.
        last: the output layer, whose activations are the class probabilities.
    """

    model: keras.Model
    hidden: tuple[Block, ...]
    last: keras.Layer

    @classmethod
    def of(cls, model: keras.Model) -> Network:
        """Find the blocks of a Sequential or functional model.

        Raises:
            ModelError: the model has no graph of layers, or no Dense or Conv2D layer.
        """
        blocks = list(_blocks(model.layers)) if getattr(model, "inputs", None) else []
        if not blocks:
            raise ModelError(
                f"model {model.name}: expected a Sequential or functional model with Dense or Conv2D layers, received "
                f"{type(model).__name__} of {len(model.layers)} layers without any of them"
            )
        return cls(model, tuple(blocks[:-1]), blocks[-1].layer)

    @property
    def trainable_layers(self) -> tuple[keras.Layer, ...]:
        """All trainable layers, including the output layer."""
        return (*(block.layer for block in self.hidden), self.last)

    def activations(self, images: Images) -> list[Floats]:
        """The activations of each hidden block for each image.

        Args:
            images: shape ``(n, height, width)``, uint8; few, because the activations of a convolution are large.

        Returns:
            For each block ``(n, units)`` or ``(n, height, width, filters)``, float32.
        """
        return _compute(self.model, [block.output for block in self.hidden], images)

    def unit_activations(self, images: Images) -> list[Floats]:
        """The activations for any number of images, those of a filter averaged over its positions.

        Returns:
            For each block ``(n, units)``, float32.
        """
        return _compute(self.model, [block.output for block in self.hidden], images, _mean_over_positions)

    def features(self, images: Images) -> Floats:
        """The input of the output layer for each image, shape ``(n, features)``, float32."""
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
