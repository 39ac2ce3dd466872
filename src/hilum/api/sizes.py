"""How big a request may be: its line, its headers, its body; and how long a body may take to come.

A body is counted while it is read, whatever its Content-Length says or does not say, and nothing of it is kept once it
is too long. A route that takes whole messages allows more: `@allow(…, body=…)`.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.api import errors

URL = 8_192  # bytes of path and query
HEADERS = 32_768  # bytes of all headers
COUNT = 100  # headers
PATIENCE = 30.0  # seconds until the next piece of a body must be there


class Meter:
    """Receives a body and counts it. Raises HTTPException 413 where it is too long, 408 where it does not come."""

    def __init__(self, receive: Receive, announced: int, limit: int, patience: float = PATIENCE) -> None:
        self._receive = receive
        self._announced = announced
        self._patience = patience
        self._read = 0
        self._ended = False
        self.limit = limit

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()  # the wait for a disconnect
        if self._announced > self.limit:
            raise self._too_long()
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not come in time", {"connection": "close"}) from None
        self._read += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._read > self.limit:
            raise self._too_long()
        return message

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"a body may have {self.limit} bytes here", {"connection": "close"})


class Sizes:
    """Turns away what is too big before anything looks at it."""

    def __init__(self, app: ASGIApp, body: int) -> None:
        self._app = app
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        status, problem, size, length = 0, "", 0, b"0"
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"content-length":
                length = value
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL:
            status, problem = 414, f"path and query may have {URL} bytes"
        elif len(headers) > COUNT or size > HEADERS:
            status, problem = 431, f"there may be {COUNT} headers and {HEADERS} bytes of them"
        if status:
            await errors.respond(Request(scope), errors.kind_of_status(status), problem)(scope, receive, send)
            return
        meter = Meter(receive, int(length) if length.isdigit() else 0, self._body)
        scope["state"]["meter"] = meter
        await self._app(scope, meter, send)
