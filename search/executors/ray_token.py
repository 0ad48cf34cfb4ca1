"""The token of a Ray cluster. Without it, everybody who reaches a node's ports can run programs on it."""

from __future__ import annotations

import os
from collections.abc import Iterable

import psutil

from mnist_core.errors import WorkerError

TOKEN_HELP = (
    "on this host run: ray get-auth-token --generate; copy ~/.ray/auth_token to every host, and on each, before "
    "ray start and here: export RAY_AUTH_MODE=token"
)
ASK_SECONDS = 5.0
QUESTION = "/ray.rpc.NodeInfoGcsService/CheckAlive"


def other_machines(addresses: Iterable[str]) -> list[str]:
    """Return those of the addresses that are not this machine's."""
    here = {one.address.partition("%")[0] for all_of in psutil.net_if_addrs().values() for one in all_of}
    return sorted(address for address in addresses if address not in here and not address.startswith("127."))


def sends_token() -> bool:
    """True if this process sends a token, and asks others for it."""
    return os.environ.get("RAY_AUTH_MODE") == "token"


def check_token(addresses: Iterable[str]) -> None:
    """Refuse machines other than this one where this process would send no token.

    Raises:
        WorkerError: there is another machine, and no token.
    """
    others = other_machines(addresses)
    if others and not sends_token():
        raise WorkerError(f"{others[0]}: a Ray cluster of several machines needs a token; {TOKEN_HELP}")


def asks_for_token(address: str) -> bool:
    """Return whether the head of a cluster refuses a request without a token: a client that sends one cannot tell.

    All nodes then ask for it too, since one setting of Ray has a node send it to the head and ask others for it.

    Args:
        address: ``host:port`` of the head.

    Raises:
        WorkerError: the head says neither.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # it asks for a certificate of each client
        return True
    import grpc  # type: ignore[import-untyped]  # comes with TensorFlow

    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(QUESTION)(b"", timeout=ASK_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                return True
            raise WorkerError(
                f"address {address}: cannot be asked whether it requires a token ({error.code().name})"
            ) from error
    return False
