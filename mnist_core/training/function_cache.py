"""Traced functions that are used again for models that differ in values only."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import tensorflow as tf

Traced: TypeAlias = tf.types.experimental.ConcreteFunction

CAPACITY = 8
"""Functions that a cache keeps."""

MAX_BYTES = 64 * 2**20
"""Size of the variables that the kept functions hold: of the model that each was traced for, and of the last one."""


@dataclass(frozen=True, eq=False)
class BoundFunction:
    """A traced function and the variables that it reads and writes.

    Args:
        function: may be shared with other models.
        captures: the variables' handles and the constants, in the order of the function's own.
    """

    function: Traced
    captures: Sequence[tf.Tensor]

    def __call__(self, *arguments: tf.Tensor) -> Any:
        """Call the function with these variables."""
        self.function.set_external_captures(self.captures)
        return self.function(*arguments)


@dataclass(frozen=True, eq=False)
class _Kept:
    """A function, the place of a variable or None for each of its captures, and the bytes that it holds."""

    function: Traced
    places: tuple[int | None, ...]
    size: int


class FunctionCache:
    """The traced functions that were used last, at most :data:`CAPACITY` of them and of :data:`MAX_BYTES`.

    A graph does not contain variables, only places for them. Tracing and optimising a graph takes a third of a second,
    so a model of the same structure puts its own variables into the places of a graph that is there already.
    """

    def __init__(self) -> None:
        self._functions: OrderedDict[Hashable, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._functions)

    def bind(
        self,
        key: Hashable | None,
        variables: Sequence[keras.Variable | tf.Variable],
        constants: Sequence[tf.Tensor],
        trace: Callable[[], Traced],
    ) -> BoundFunction:
        """Return the function of a key for these variables; it is traced only if it is not there.

        Args:
            key: equal only if ``trace`` would return the same graph; None never finds or keeps a function.
            variables: everything that the function may read or write, in an order that depends on the key alone.
            constants: other tensors that it may read, the same ones in each call.
            trace: traces the function for these variables.
        """
        handles = [_handle(variable) for variable in variables]
        if key in self._functions:
            self._functions.move_to_end(key)
            kept = self._functions[key]
            own = kept.function.captured_inputs
            captures = [own[i] if at is None else handles[at] for i, at in enumerate(kept.places)]
            return BoundFunction(kept.function, captures)
        function = trace()
        captures = list(function.captured_inputs)
        found = _places(captures, handles, constants)
        size = 2 * sum(map(_size, variables))
        if key is not None and found is not None and size <= MAX_BYTES:
            self._functions[key] = _Kept(function, found, size)
            self._drop_oldest()
        return BoundFunction(function, captures)

    def _drop_oldest(self) -> None:
        while len(self._functions) > CAPACITY or sum(kept.size for kept in self._functions.values()) > MAX_BYTES:
            self._functions.popitem(last=False)


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def _size(variable: keras.Variable | tf.Variable) -> int:
    """Bytes of its value."""
    return int(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size)


def _places(
    captures: Sequence[tf.Tensor], handles: Sequence[tf.Tensor], constants: Sequence[tf.Tensor]
) -> tuple[int | None, ...] | None:
    """For each capture the index of its handle, None for a constant; None as a whole if one is neither of them."""
    index = {id(handle): at for at, handle in enumerate(handles)}
    known = {*index, *map(id, constants)}
    if not all(id(capture) in known for capture in captures):
        return None
    return tuple(index.get(id(capture)) for capture in captures)
