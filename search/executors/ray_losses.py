"""The cause of a lost attempt on a Ray cluster, by the exception with which Ray ends the call of its worker."""

from __future__ import annotations

from collections.abc import Callable

from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from search.executors.base import LossKind
from search.executors.local import WORKER_MEMORY_BYTES


def cause_of(error: RayError, host: str, is_ready: bool, is_alive: Callable[[], bool]) -> tuple[LossKind, str]:
    """Return the kind of a loss and its cause in one line.

    Args:
        error: raised by the call of the worker.
        host: of the worker; empty where it had not yet said it.
        is_ready: True for a worker that has started.
        is_alive: asks the cluster for the node of a worker that is ready, which may take seconds.
    """
    host = host or "a node"
    if isinstance(error, OutOfMemoryError):
        need = f"{WORKER_MEMORY_BYTES / 1e9:.1f} GB"
        return LossKind.WORKER, (
            f"{host} ran out of memory, and the worker was ended; one needs about {need}: give each trial more "
            "cores (--cpus-per-trial), so that fewer run at a time"
        )
    if isinstance(error, RayTaskError | RuntimeEnvSetupError):
        return LossKind.WORKER, f"the worker on {host} failed: {_last_line(error)}"
    if isinstance(error, ActorUnavailableError | NodeDiedError | ObjectLostError):
        return LossKind.NODE, f"{host} was lost or cut off"
    if isinstance(error, ActorDiedError):
        if error.preempted:
            return LossKind.NODE, f"{host} was taken away"
        if not is_ready and "creation" in str(error):
            return LossKind.WORKER, f"a worker could not start: {_last_line(error)}"
        if not is_ready and "node" in str(error).lower() and "died" in str(error).lower():
            return LossKind.NODE, f"{host} was lost"
        if is_ready and not is_alive():
            return LossKind.NODE, f"{host} was lost"
    return (
        LossKind.WORKER,
        f"the worker process on {host} died, as where memory runs out or compiled code fails",
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
