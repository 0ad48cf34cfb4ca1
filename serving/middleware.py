"""ASGI middleware: security headers, refusal of writes from other sites' pages, and time limits on uploads."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STALL_SECONDS = 5.0
UPLOAD_SECONDS = 60.0
READ_METHODS = ("GET", "HEAD", "OPTIONS")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SecurityHeaders:
    """Adds the security headers to every response, and ``Cache-Control: no-cache`` where none is set."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class SameOriginWrites:
    """Refuses requests that another site's page sends through a visitor's browser. Programs send no Origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or refuse it with 403."""
        if scope["type"] == "http" and scope["method"] not in READ_METHODS and _is_foreign(Headers(scope=scope)):
            detail = "Origin: expected this server's own; pages of other sites may not write here"
            await JSONResponse({"detail": detail}, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class UploadTimeouts:
    """Refuses with 408 a body that stalls or takes too long, and with 503 one that is cut off by a shutdown.

    Args:
        app: reads the body.
        stall_seconds: time in which at least one more byte has to arrive.
        upload_seconds: time in which the whole body has to arrive.
    """

    def __init__(self, app: ASGIApp, stall_seconds: float, upload_seconds: float) -> None:
        self._app = app
        self._stall_seconds = stall_seconds
        self._upload_seconds = upload_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            await self._app(scope, self._with_timeouts(receive), send_and_note)
        except asyncio.CancelledError:
            if not response_started:
                detail = {"detail": "the service is stopping"}
                await JSONResponse(detail, 503, {"Connection": "close"})(scope, receive, send)

    def _with_timeouts(self, receive: Receive) -> Receive:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._upload_seconds
        is_complete = False

        async def receive_in_time() -> Message:
            nonlocal is_complete
            if is_complete:  # the next message is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout_at(min(deadline, clock() + self._stall_seconds)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "body: expected it sooner; send it again", {"Connection": "close"}) from None
            is_complete = not message.get("more_body", False)
            return message

        return receive_in_time


def _is_foreign(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # not an address, such as http://[
        return True
