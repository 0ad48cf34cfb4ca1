"""Executors by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from mnist_core.errors import MissingLibraryError, SpecError
from mnist_core.messages import OnMessage
from search.execution import LOCAL, RAY, Execution
from search.executors.base import Executor, InProcessExecutor
from search.executors.local import LocalExecutor, default_workers, usable_cores
from search.executors.processes import ProcessStarter
from search.plugins import load_class, reference_of
from search.worker import Withheld, WorkerContext

EXECUTOR_GROUP = "mnist_search.executors"
"""Entry points of this group name executors."""

IN_PROCESS = "in-process"
BUILT_IN = (LOCAL, RAY, IN_PROCESS)
METHODS = ("submit", "poll", "close")

MakeExecutor = Callable[[WorkerContext, int], Executor]
"""Makes an executor from what a worker needs to know and the number of workers."""


def begin_imports(execution: Execution, withheld: Withheld, make: MakeExecutor | None = None) -> None:
    """Begin with what takes longest before workers of this machine are ready, and return at once.

    Args:
        execution: the name of the executor.
        withheld: names the variables that workers must not have, as in their context.
        make: makes an executor instead of the one that is named; nothing is known of it, and nothing begun.
    """
    if make is None and execution.executor == LOCAL:
        ProcessStarter(withheld(os.environ))


def make_executor(
    execution: Execution,
    context: WorkerContext,
    trials: int,
    on_message: OnMessage,
    make: MakeExecutor | None = None,
) -> Executor:
    """Start an executor.

    Args:
        execution: its name and settings.
        context: settings of its workers. Their threads are the executor's to decide.
        trials: that are to be run; more workers would have nothing to do.
        on_message: called with each line that the user should read.
        make: makes it instead of the one that is named.

    Raises:
        SpecError: there is no such executor, or it is not an :class:`~search.executors.base.Executor`.
        MissingLibraryError: the library of the executor is not installed.
        WorkerError: it cannot start.
    """
    if make is None and execution.executor == RAY:
        limit = max(1, min(trials, execution.max_workers or trials))
        return _ray(context, execution, limit, on_message)
    is_here = make is None and execution.executor == IN_PROCESS
    workers = 1 if is_here else max(1, min(trials, execution.max_workers or default_workers()))
    make = make or load_executor(execution.executor)
    on_message(f"starting {workers} worker{'s' if workers > 1 else ''}")
    return make(replace(context, threads=max(1, usable_cores() // workers)), workers)


def load_executor(name: str) -> MakeExecutor:
    """Return the executor of that name that runs without a cluster, not started yet.

    Args:
        name: ``local``, ``in-process``, ``package.module:Class``, or the name of an entry point.

    Raises:
        SpecError: there is none, or it is not an :class:`~search.executors.base.Executor`.
    """
    if name == LOCAL:
        return LocalExecutor
    if name == IN_PROCESS:
        return _in_process
    try:
        return cast(MakeExecutor, load_class(reference_of(EXECUTOR_GROUP, name, BUILT_IN), "Executor", METHODS))
    except SpecError as error:
        raise SpecError(f"executor: {error}") from error


def _in_process(context: WorkerContext, workers: int) -> Executor:
    """One trial at a time, with all cores."""
    return InProcessExecutor(context)


def _ray(context: WorkerContext, execution: Execution, max_workers: int, on_message: OnMessage) -> Executor:
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            "executor 'ray': the library ray is not installed; run: pip install 'mnist-search[ray]'"
        ) from error
    from search.executors.ray import RayExecutor

    return RayExecutor(context, execution, max_workers, on_message)
