"""HEAD and OPTIONS for every path, and an Allow header that names all that a path knows (RFC 9110, section 9)."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def allowed(app: FastAPI, path: str) -> str:
    """What a path knows, such as "GET, HEAD, OPTIONS"; empty where there is no such path."""
    found: set[str] = set()
    for one in iter_route_contexts(app.routes):
        if one.methods and one.path_regex.match(path):
            route = one.original_route
            if not getattr(route, "hidden", lambda _: False)(app):
                found |= one.methods
    if "GET" in found:
        found.add("HEAD")
    return ", ".join(one for one in _ORDER if one in found or (found and one == "OPTIONS"))


HEAD = "hilum.head"
"""In the scope of a GET that was a HEAD: nothing of its body leaves."""


class Methods:
    """HEAD is GET without the body; OPTIONS tells the methods."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method")
        if method == "HEAD":
            await self._head(scope, receive, send)
        elif method == "OPTIONS" and (known := allowed(scope["app"], scope["path"])):
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", known.encode())]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        asked = {**scope, "method": "GET", HEAD: True}
        try:
            await self._app(asked, receive, answer)
        finally:
            scope["route"] = asked.get("route")
