"""Layers of a model, and other computations in their place while a function is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import keras
import tensorflow as tf

Call: TypeAlias = Callable[..., tf.Tensor]


@contextmanager
def replaced_calls(replacements: Iterable[tuple[keras.layers.Layer, Call]]) -> Iterator[None]:
    """Have layers compute by other functions in this block; they are unchanged after it.

    Args:
        replacements: layers, each once, and the function that takes the place of its ``call``.
    """
    replacements = list(replacements)
    for layer, call in replacements:
        layer.call = call
    try:
        yield
    finally:
        for layer, _ in replacements:
            del layer.call  # restores the method of the class


def leaf_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model and of the models in it, each once."""
    return list({id(layer): layer for layer in _leaves(model)}.values())


def _leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    parts = getattr(layer, "layers", None)
    if parts is None:
        yield layer
    for part in parts or ():
        yield from _leaves(part)
