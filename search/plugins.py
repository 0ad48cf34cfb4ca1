"""Classes from outside this project: named as ``package.module:Class``, or by an entry point of a package.

Naming one is trusting it: it is imported and called in the process that drives the sweep.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any

from mnist_core.errors import ParameterError, SpecError, did_you_mean
from mnist_core.functions import load_function


def reference_of(group: str, name: str, built_in: Iterable[str]) -> str:
    """Return ``package.module:Class`` for a name. Nothing is imported.

    Args:
        group: of entry points.
        name: of an entry point of that group, or ``package.module:Class`` itself.
        built_in: other names that could have been meant, for the error.

    Raises:
        SpecError: no installed package has an entry point of that name.
    """
    if ":" in name:
        return name
    found = {entry.name: f"{entry.module}:{entry.attr}" for entry in entry_points(group=group)}
    if name not in found:
        nearest = did_you_mean(name, [*built_in, *found])
        raise SpecError(f"unknown value {name!r}{nearest}")
    return found[name]


def load_class(reference: str, kind: str, methods: Sequence[str]) -> Any:
    """Import a class.

    Args:
        reference: as ``package.module:Class``.
        kind: the name of the protocol, for errors.
        methods: those that the class must have.

    Raises:
        SpecError: it cannot be imported, is no class, or lacks a method.
    """
    try:
        found = load_function(reference)
    except ParameterError as error:
        raise SpecError(str(error)) from error
    if not inspect.isclass(found):
        raise SpecError(f"{reference}: expected a class of the protocol {kind}, received {type(found).__name__}")
    if missing := [method for method in methods if not callable(getattr(found, method, None))]:
        raise SpecError(
            f"{reference}: expected the methods of {kind} ({', '.join(methods)}), received a class without "
            f"{', '.join(missing)}"
        )
    return found
