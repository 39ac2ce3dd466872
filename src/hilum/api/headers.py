"""What every answer says: what a browser may do with it (nothing), which API this is, how long, and how often."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_VERSION = "1.0"
"""Of the documents; a minor step adds, a major one would get a path of its own."""

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-api-version", API_VERSION.encode()),
)
_UNLESS_SET = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    ),
    (b"cache-control", b"no-store"),
)
_SHOWN = (b"application/json", b"application/problem+json", b"text/plain", b"text/html", b"text/event-stream")
_SECURE = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Headers:
    """Around everything else, so that errors have them as well. A page brings a policy of its own (CSP, caching)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_ALWAYS]
                given = dict(headers)
                headers += [one for one in _UNLESS_SET if one[0] not in given]
                kind = given.get(b"content-type", b"application/json")
                if not kind.startswith(_SHOWN) and b"content-disposition" not in given:
                    headers.append((b"content-disposition", b"attachment"))
                if scope["scheme"] == "https":
                    headers.append(_SECURE)
                state = scope.get("state", {})
                headers += (*state.get("limited", ()), *state.get("ending", ()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, answer)
