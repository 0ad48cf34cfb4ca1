"""Limits on connections: how many there are, how long one may wait before it asks, and how slowly it may send."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 500
HEAD_SECONDS = 10.0
"""Time in which a connection has to send the head of its first request, or the rest of one that has begun."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that is closed where it waits too long with its request, or holds a place that another needs.

    uvicorn counts idle connections against ``limit_concurrency`` and waits for a first request without end, so that
    a few hundred clients who say nothing would keep out all others. Here the one that has waited longest makes room
    for a new one. Only where all connections are busy is a further one answered with 503.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count a new connection, and close the one that has waited longest where there are too many."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._expect_head()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        if self._is_waiting and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    @property
    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        # Not anew with each byte, or a client could send one now and then for ever.
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _make_room(self) -> None:
        others = (one for one in self.connections if isinstance(one, BoundedConnection) and one is not self)
        waiting = [one for one in others if one._is_waiting]
        if waiting:
            oldest = min(waiting, key=lambda one: one._waiting_since)
            self.connections.discard(oldest)  # its transport says so only in the next turn of the event loop
            oldest.transport.close()
