"""The token that clusters of several machines need, and clusters that ask nobody for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from mnist_core.errors import WorkerError
from search.executors.ray_token import asks_for_token, check_token

ray_cluster = pytest.importorskip("search.executors.ray_cluster", reason="needs the extra ray")


def test_other_machines_need_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    check_token({"127.0.0.1"})
    with pytest.raises(WorkerError, match=r"192\.0\.2\.7: .* needs a token.*get-auth-token --generate"):
        check_token({"127.0.0.1", "192.0.2.7"})
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    check_token({"192.0.2.7"})


StartHead = Callable[[grpc.StatusCode | None], str]


@pytest.fixture
def start_head() -> Iterator[StartHead]:
    """Starts what answers every request alike: with a status, or with an empty message; returns its address."""
    server = grpc.server(ThreadPoolExecutor(1))

    def start(status: grpc.StatusCode | None) -> str:
        def answer(request: Any, context: grpc.ServicerContext) -> bytes:
            if status is not None:
                context.abort(status, "refused")
            return b""

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_unary_rpc_method_handler(answer)

        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"127.0.0.1:{port}"

    yield start
    server.stop(None).wait()


@pytest.mark.parametrize(("status", "asks"), [(grpc.StatusCode.UNAUTHENTICATED, True), (None, False)])
def test_a_head_is_asked_without_a_token_whether_it_requires_one(
    status: grpc.StatusCode | None, asks: bool, start_head: StartHead
) -> None:
    assert asks_for_token(start_head(status)) is asks


def test_a_head_that_says_neither_is_an_error(start_head: StartHead) -> None:
    address = start_head(grpc.StatusCode.UNIMPLEMENTED)
    with pytest.raises(WorkerError, match=f"address {address}: cannot be asked whether it requires a token"):
        asks_for_token(address)


class OpenCluster(ray_cluster.Cluster):  # type: ignore[misc]
    """Nodes of a cluster that asks nobody for a token, without a connection."""

    _asks_for_token = False

    def __init__(self) -> None:
        pass


def test_nodes_on_other_machines_may_not_be_used_where_nobody_is_asked_for_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    cluster = OpenCluster()
    problems = [
        cluster.token_problem(ray_cluster.Node("id", "host", address, True, 1, 0))
        for address in ("127.0.0.1", "192.0.2.7")
    ]
    assert problems[0] == ""
    assert "since Ray asks for no token; on this host run: ray get-auth-token" in problems[1]
