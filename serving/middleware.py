"""What stands before every request: who may write, and what browsers are told never to do."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STALL_SECONDS = 5.0
UPLOAD_SECONDS = 60.0
READING = ("GET", "HEAD", "OPTIONS")
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
    """Adds the security headers to every response; what is not kept elsewhere is asked for anew each time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class OwnOriginWrites:
    """Refuses what another site's page sends through a visitor's browser; programs send no Origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "http" and scope["method"] not in READING and _is_foreign(Headers(scope=scope)):
            detail = "Origin: expected this server's own; pages of other sites may not write here"
            await JSONResponse({"detail": detail}, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


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
                detail = {"detail": "the service is stopping"}
                await JSONResponse(detail, 503, {"Connection": "close"})(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # no address at all, such as http://[
        return True
