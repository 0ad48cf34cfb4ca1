"""Import of functions that users name as ``package.module:function``.

A named function is trusted: it is imported and called, in the process that drives the sweep and in its workers.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnist_core.errors import ParameterError, did_you_mean
from mnist_core.runtime import tensorflow_import


def load_function(name: str) -> Callable[..., Any]:
    """Import a function, also from a module in the working directory.

    Raises:
        ParameterError: the module cannot be imported, or has no such function.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ParameterError(f"function: expected 'package.module:function', received {name!r}")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        with tensorflow_import():  # the module may import TensorFlow
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything, and a script may exit
        raise ParameterError(f"function {name}: cannot be imported: {type(error).__name__}: {error}") from error
    try:
        function = functools.reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        nearest = did_you_mean(attribute, known)
        raise ParameterError(f"function {name}: {module_name} has no {attribute!r}{nearest}") from error
    if not callable(function):
        raise ParameterError(f"function {name}: expected a function, found {type(function).__name__}")
    return function


def signature_parameters(function: Callable[..., Any], name: str) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function, with their annotations as types if these can be evaluated.

    Raises:
        ParameterError: the function has no signature that can be read.
    """
    with suppress(Exception):  # an annotation may be for type checkers only; the types are then unknown
        return inspect.signature(function, eval_str=True).parameters
    try:
        return inspect.signature(function).parameters
    except (ValueError, TypeError) as error:
        raise ParameterError(f"function {name}: its arguments cannot be read: {error}") from error
