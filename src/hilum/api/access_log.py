"""A line in the log and a figure for every request: route, status, time. No path, no query: they may name a patient."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum import clock

Answered = Callable[[str, str, int, float], None]
"""Told the method, the route's path (empty where there is none), the status and the seconds that it took."""


class AccessLog:
    """Around everything else. `logged` False: figures alone."""

    def __init__(self, app: ASGIApp, answered: Answered, *, logged: bool) -> None:
        self._app = app
        self._answered = answered
        self._log = logging.getLogger("access")
        self._logged = logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # nobody waited for an answer
        began = clock.monotonic()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            took = clock.monotonic() - began
            route = scope.get("state", {}).get("template", "")
            self._answered(scope["method"], route, status, took)
            if self._logged and self._log.isEnabledFor(logging.INFO):
                self._write(scope, route, status, took)

    def _write(self, scope: Scope, route: str, status: int, took: float) -> None:
        """The line is made here: structlog's way costs as much as the rest of a small request."""
        fields = {
            "request_id": scope.get("state", {}).get("request_id"), "method": scope["method"], "route": route,
            "status": status, "ms": round(took * 1_000, 1), "event": "request", "level": "info", "logger": "access",
            "timestamp": clock.now().isoformat().replace("+00:00", "Z"),
        }  # fmt: skip
        text = f"{fields['method']} {route or '-'} {status} {fields['ms']} ms"
        record = self._log.makeRecord("access", logging.INFO, "", 0, text, (), None, extra={"line": json.dumps(fields)})
        self._log.handle(record)
