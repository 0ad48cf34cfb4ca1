"""Executors by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from mnist_core.errors import SpecError
from search.executors.base import Executor, InProcessExecutor
from search.plugins import load_class, reference_of
from search.worker import WorkerContext

EXECUTOR_GROUP = "mnist_search.executors"
"""Entry points of this group name executors."""

BUILT_IN = ("local", "in-process")
METHODS = ("submit", "poll", "close")

MakeExecutor = Callable[[WorkerContext, int], Executor]
"""Makes an executor from what a worker needs to know and the number of workers."""


def load_executor(name: str) -> MakeExecutor:
    """Return the executor of that name, not started yet.

    Args:
        name: ``local``, ``in-process``, ``package.module:Class``, or the name of an entry point.

    Raises:
        SpecError: there is none, or it is not an :class:`~search.executors.base.Executor`.
    """
    if name == "local":
        from search.executors.local import LocalExecutor

        return LocalExecutor
    if name == "in-process":
        return _in_process
    try:
        return cast(MakeExecutor, load_class(reference_of(EXECUTOR_GROUP, name, BUILT_IN), "Executor", METHODS))
    except SpecError as error:
        raise SpecError(f"executor: {error}") from error


def _in_process(context: WorkerContext, workers: int) -> Executor:
    """One trial at a time, whatever the number of workers."""
    return InProcessExecutor(context)
