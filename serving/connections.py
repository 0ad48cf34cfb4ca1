"""Limits on connections: their number, the size and time of a request's head, and the time of a response."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 500
HEAD_SECONDS = 10.0
"""Time in which a connection has to send the head of its first request, or the rest of one that has begun."""
MAX_HEAD_BYTES = 65_536
"""Maximum size of the head of a request; the parser would keep any number of bytes in memory."""
MAX_PIPELINED = 100
"""Maximum number of requests sent before their responses; uvicorn would keep any number in memory."""
READ_SECONDS = 20.0
"""Time in which a client has to read on, once the buffers for its response are full."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that is closed if its client is too slow or sends too much, or if a new one needs its place.

    A client is too slow if it does not send its request, or does not read its response, in time.

    uvicorn counts idle connections against ``limit_concurrency`` and waits for a first request without end, so a few
    hundred silent clients would keep out all others. Here the connection that has waited longest is closed to make
    room for a new one. A new connection is refused with 503 only while all others are busy.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # received since the last complete head or part of a body
    _waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count a new connection, and close the one that has waited longest if there are too many."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._start_head_timer()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._close_longest_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._stop_head_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES or len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()
        elif self._is_waiting and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        """Start the response."""
        self._stop_head_timer()
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to read its response."""
        super().pause_writing()
        # Aborted, since a closed connection would stay open until the client has read what is in the buffer.
        self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with the response."""
        self._stop_read_timer()
        super().resume_writing()

    @property
    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_head_timer(self) -> None:
        # Not restarted with each byte, or a client could send one now and then for ever.
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _close_longest_waiting(self) -> None:
        others = [one for one in self.connections if isinstance(one, BoundedConnection) and one is not self]
        waiting = [connection for connection in others if connection._is_waiting]
        if waiting:
            oldest = min(waiting, key=lambda connection: connection._waiting_since)
            self.connections.discard(oldest)  # connection_lost follows only in the next iteration of the event loop
            oldest.transport.close()
