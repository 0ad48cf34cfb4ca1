"""The server process: one port, and one thread for the network's computations."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from mnist_core.errors import SpecError
from serving.connections import MAX_CONNECTIONS, BoundedConnection

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

KEEP_ALIVE_SECONDS = 5
SHUTDOWN_SECONDS = 10


def listen(host: str, port: int) -> socket.socket:
    """Open the port, before a model is loaded, so that a mistake shows at once.

    Args:
        host: address to bind to.
        port: 0 for any that is free.

    Raises:
        SpecError: the address does not belong to this machine, or the port is taken or no port.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # clients that connect before the server is up wait
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"--host {host} --port {port}: cannot be bound to ({reason})") from error
    return listener


def run(app: FastAPI, listener: socket.socket, shutdown_seconds: int = SHUTDOWN_SECONDS) -> None:
    """Serve the application on the port until Ctrl-C or SIGTERM.

    Args:
        app: handles the requests.
        listener: the port.
        shutdown_seconds: time in which requests that have begun are still answered after Ctrl-C or SIGTERM.
    """
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_max_connections() + 1,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=shutdown_seconds,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _max_connections() -> int:
    """Half of the files that the process may open, since each connection is one, and 500 at most."""
    if resource is None:
        return MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)
