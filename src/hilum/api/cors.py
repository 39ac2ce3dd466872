"""Which other origins' pages may call the API from a browser (CORS): those that the operator lists, no one else."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS = (
    b"Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Approval, X-CSRF-Token,"
    b" X-Reason, X-Request-ID, X-Signature"
)
_EXPOSED = (
    b"ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-API-Version, X-Request-ID"
)
_VARY = (b"vary", b"Origin")


class Cors:
    """A page of another origin gets an answer that its browser keeps from it; it is not told why."""

    def __init__(self, app: ASGIApp, origins: AbstractSet[str]) -> None:
        self._app = app
        self._origins = {one.encode() for one in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._origins:
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        origin = given.get(b"origin")
        mine = [_VARY]
        if origin in self._origins:
            mine += [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in given and origin in self._origins:
            mine += [
                (b"access-control-allow-methods", _METHODS), (b"access-control-allow-headers", _HEADERS),
                (b"access-control-max-age", b"600"),
            ]  # fmt: skip
            await send({"type": "http.response.start", "status": 204, "headers": mine})
            await send({"type": "http.response.body", "body": b""})
            return
        if origin in self._origins:
            mine.append((b"access-control-expose-headers", _EXPOSED))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *mine]
            await send(message)

        await self._app(scope, receive, answer)
