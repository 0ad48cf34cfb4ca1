"""The process that serves: one port, one thread that computes."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from mnist_core.errors import SpecError


def listen(host: str, port: int) -> socket.socket:
    """Take the port, so that a mistake shows before a model is loaded.

    Args:
        host: address to bind to.
        port: 0 takes any that is free.

    Raises:
        SpecError: the address is not this machine's, or the port is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who comes before the server is up waits
    except OSError as error:
        listener.close()
        raise SpecError(f"--host {host} --port {port}: cannot be bound to ({error.strerror or error})") from error
    return listener


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serve on the port until Ctrl-C or SIGTERM; requests that have begun are answered."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
