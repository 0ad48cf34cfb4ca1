"""The causes of lost attempts on a Ray cluster, by Ray's exceptions; no cluster is started."""

from __future__ import annotations

import pytest

from search.executors.base import LossKind

ray_losses = pytest.importorskip("search.executors.ray_losses", reason="needs the extra ray")

from ray.core.generated.common_pb2 import ActorDiedErrorContext  # noqa: E402
from ray.exceptions import (  # noqa: E402
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RuntimeEnvSetupError,
)


def died(message: str) -> ActorDiedError:
    """The error of a call of an actor that has died for this reason."""
    return ActorDiedError(ActorDiedErrorContext(error_message=message, actor_id=b"0" * 16))


KILLED = died("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR")


@pytest.mark.parametrize(
    ("error", "is_alive", "kind", "words"),
    [
        (OutOfMemoryError("killed"), True, LossKind.WORKER, "node-a ran out of memory"),
        (KILLED, True, LossKind.WORKER, "the worker process on node-a died, as where memory runs out"),
        (KILLED, False, LossKind.NODE, "node-a was lost"),
        (ActorUnavailableError("no answer", b"0" * 16), True, LossKind.NODE, "node-a was lost or cut off"),
        (NodeDiedError("gone"), True, LossKind.NODE, "node-a was lost or cut off"),
    ],
)
def test_the_loss_of_a_worker_that_was_ready(error: RayError, is_alive: bool, kind: LossKind, words: str) -> None:
    found, cause = ray_losses.cause_of(error, "node-a", True, lambda: is_alive)
    assert found is kind
    assert cause.startswith(words)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            RuntimeEnvSetupError("first\nno package"),
            LossKind.WORKER,
            "the worker on a node failed: no package",
        ),
        (died("The actor died because its node has died."), LossKind.NODE, "a node was lost"),
        (
            died("raised in its creation task\nImportError"),
            LossKind.WORKER,
            "a worker could not start: ImportError",
        ),
        (KILLED, LossKind.WORKER, "the worker process on a node died"),
    ],
)
def test_the_loss_of_a_worker_that_was_not_ready_asks_the_cluster_nothing(
    error: RayError, kind: LossKind, words: str
) -> None:
    found, cause = ray_losses.cause_of(error, "", False, lambda: pytest.fail("asked"))
    assert found is kind
    assert cause.startswith(words)
