"""Gives every request an id: in its response, its error and every line that is logged meanwhile."""

from __future__ import annotations

import re
import uuid

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.api import errors

_OWN = re.compile(r"[\w.-]{1,64}", re.ASCII)


class RequestId:
    """The outermost middleware, so that an unforeseen error is answered in the envelope as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Request(scope).headers.get("x-request-id", "")
        identifier = given if _OWN.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = identifier
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identifier.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identifier):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                errors.log.exception("request failed", path=scope["path"])
                if started:
                    raise
                await errors.respond(Request(scope), errors.BROKEN, errors.GENERIC)(scope, receive, answer)
