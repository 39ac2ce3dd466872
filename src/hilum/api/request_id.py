"""Gives every request an id: in its response, its error and every line that is logged meanwhile."""

from __future__ import annotations

import re

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum import clock
from hilum.api import errors
from hilum.model.identifier import ulid

_OWN = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestId:
    """Around all that may fail, so that an unforeseen error is answered in the envelope as well.

    A client's own X-Request-ID is kept where it has 8 to 64 letters, digits, dashes or underscores.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = _given(scope) or f"req_{ulid(clock.micros())}"
        scope.setdefault("state", {})["request_id"] = identifier
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identifier.encode())]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=identifier)  # of this request's task, which ends with it
        try:
            await self._app(scope, receive, answer)
        except Exception:  # the last one that can answer
            errors.log.exception("request failed", path=scope["path"])
            if started:
                raise
            await errors.respond(Request(scope), errors.BROKEN, errors.GENERIC)(scope, receive, answer)


def _given(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if _OWN.fullmatch(text) else ""
    return ""
