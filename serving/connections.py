"""Limits on connections: how many there are, how long one may wait before it asks, and how slowly it may send."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 500
HEAD_SECONDS = 10.0
"""Time in which a connection has to send the head of its first request, or the rest of one that has begun."""
STALL_SECONDS = 5.0
UPLOAD_SECONDS = 60.0


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


class TimedUploads:
    """Refuses with 408 a body that stalls or takes too long; ends in one line where the service stops meanwhile.

    Args:
        app: reads the body.
        stall_seconds: in which at least one more byte has to come.
        upload_seconds: in which the whole body has to come.
    """

    def __init__(self, app: ASGIApp, stall_seconds: float, upload_seconds: float) -> None:
        self._app = app
        self._stall_seconds = stall_seconds
        self._upload_seconds = upload_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        end = clock() + self._upload_seconds
        is_whole, has_begun = False, False

        async def receive_in_time() -> Message:
            nonlocal is_whole
            if is_whole:  # what comes now is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout_at(min(end, clock() + self._stall_seconds)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "body: expected it sooner; send it again", {"Connection": "close"}) from None
            is_whole = not message.get("more_body", False)
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive_in_time, send_and_note)
        except asyncio.CancelledError:
            if not has_begun:
                detail: dict[str, Any] = {"detail": "the service is stopping"}
                await JSONResponse(detail, 503, {"Connection": "close"})(scope, receive, send)
