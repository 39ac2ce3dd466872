"""A WebSocket (RFC 6455) begins as a GET, and is treated as one.

Its handshake passes the same layers and the same guard as any request; a route that says `socket=True` takes it up with
the status 101, everything else is answered as ever. Browsers cannot send an Authorization header with it. They offer
subprotocols: `hilum.v1`, and `bearer.<token>` beside it; or `hilum.v1` alone, and the first message says who calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.api import json_body
from hilum.api.callers import COOKIE, SOCKET

PROTOCOL = "hilum.v1"
BEARER = "bearer."
PATIENCE = 10.0  # seconds until the first message says who calls
_WAITING = 100  # sockets on which nobody has said so yet; more are asked to show it at once
_SCHEMES = {"ws": "http", "wss": "https"}
_OFFERED = b"sec-websocket-protocol"
_HANDSHAKE = frozenset({_OFFERED, b"content-length"})


class Gone(Exception):
    """The other end is not there any more."""


class Unusable(Exception):
    """Closed with `code` (RFC 6455, section 7.4) for what came."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Socket:
    """Texts out and in. Until it is open it speaks HTTP: `answer` is what a request's answer goes to."""

    def __init__(self, receive: Receive, send: Send, protocol: str | None) -> None:
        self._receive = receive
        self._send = send
        self._protocol = protocol
        self._status = 0
        self._body = b""
        self._open = False
        self.kept = contextlib.ExitStack()
        """What is given back when it ends."""

    async def open(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        if not self._open:
            self._open = True
            given = [one for one in headers if one[0] not in _HANDSHAKE]
            await self._put({"type": "websocket.accept", "subprotocol": self._protocol, "headers": given})

    async def tell(self, text: str) -> None:
        """Raises Gone, also where the other end does not take it in time (server.py)."""
        await self._put({"type": "websocket.send", "text": text})

    async def hear(self) -> str:
        """The next text. Raises Gone, Unusable."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Gone
        text: str | None = message.get("text")
        if text is None:
            raise Unusable(1003, "texts alone")
        return text

    async def close(self, code: int, reason: str) -> None:
        with contextlib.suppress(Gone):
            await self._put({"type": "websocket.close", "code": code, "reason": reason})

    async def fail(self, status: int, envelope: bytes) -> None:
        """What would be an answer with this status, once the socket is open: told, then closed with 4000 more."""
        with contextlib.suppress(Gone):
            await self.tell(envelope.decode())
        await self.close(4_000 + status, http.HTTPStatus(status).phrase)

    async def answer(self, message: Message) -> None:
        """An answer's messages, as ASGI has them for HTTP. Nobody is told where the other end is gone."""
        with contextlib.suppress(Gone):
            await self._answer(message)

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status == 101:
                await self.open(message.get("headers", ()))
            elif not self._open:
                await self._put({**message, "type": "websocket.http.response.start"})
        elif self._status == 101:
            pass  # it has no body
        elif not self._open:
            body, more = message.get("body", b""), message.get("more_body", False)
            await self._put({"type": "websocket.http.response.body", "body": body, "more_body": more})
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self.fail(self._status, self._body)

    async def introduced(self, patience: float) -> str:
        """The token of the first message. Raises Gone, Unusable."""
        await self.open()
        try:
            async with asyncio.timeout(patience):
                text = await self.hear()
        except TimeoutError:
            raise Unusable(4_408, "nobody said who calls") from None
        try:
            message = json_body.read(text.encode())
        except ValueError:
            message = None
        token = message.get("token") if isinstance(message, dict) and message.get("type") == "authenticate" else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Unusable(4_401, 'begin with {"type": "authenticate", "token": …}')
        return token

    async def _put(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # as the server says that the peer is gone
            raise Gone from None


class Upgrade:
    """Hands a handshake to the app as the GET that it is, its socket in the scope."""

    def __init__(self, app: ASGIApp, patience: float = PATIENCE) -> None:
        self._app = app
        self._patience = patience
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        await receive()  # that somebody wants to connect
        offered = scope["subprotocols"]
        socket = Socket(receive, send, PROTOCOL if PROTOCOL in offered else None)
        with socket.kept, contextlib.suppress(Gone):
            token = next((one.removeprefix(BEARER) for one in offered if one.startswith(BEARER)), None)
            if token is None and PROTOCOL in offered and not _shows(scope) and self._waiting < _WAITING:
                self._waiting += 1
                try:
                    token = await socket.introduced(self._patience)
                except Unusable as error:
                    await socket.close(error.code, error.reason)
                    return
                finally:
                    self._waiting -= 1
            await self._app(_request(scope, socket, token), _nothing, socket.answer)


def _request(scope: Scope, socket: Socket, token: str | None) -> Scope:
    """The handshake as a request. What was offered is left out: it may hold the token."""
    headers = [one for one in scope["headers"] if one[0] != _OFFERED]
    if token is not None and not any(name == b"authorization" for name, _ in headers):
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scheme = _SCHEMES.get(scope["scheme"], scope["scheme"])
    return {**scope, "type": "http", "method": "GET", "scheme": scheme, "headers": headers, SOCKET: socket}


def _shows(scope: Scope) -> bool:
    """Whether it shows who calls in a header."""
    cookie = f"{COOKIE}=".encode()
    return any(name == b"authorization" or (name == b"cookie" and cookie in value) for name, value in scope["headers"])


async def _nothing() -> dict[str, Any]:
    """The body of a handshake."""
    return {"type": "http.request", "body": b"", "more_body": False}
