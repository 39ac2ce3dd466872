"""A WebSocket's handshake as a request: what the app behind it sees, and what becomes of its answer."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from hilum.api import Server
from hilum.api.callers import SOCKET
from hilum.api.edge import Edge
from hilum.api.forwarded import Forwarded
from hilum.api.surface import Surface, allow
from hilum.api.upgrade import Upgrade

pytestmark = pytest.mark.anyio
ASKED: Scope = {
    "type": "websocket", "scheme": "wss", "path": "/x", "query_string": b"", "client": ("10.0.0.1", 1),
    "headers": [(b"host", b"hub"), (b"x-forwarded-for", b"192.0.2.9"), (b"x-forwarded-proto", b"https")],
    "subprotocols": [],
}  # fmt: skip


class Peer:
    """The other end of a connection: what it says, and what it was told."""

    def __init__(self, *texts: str) -> None:
        self.told: list[Message] = []
        self._says: asyncio.Queue[Message] = asyncio.Queue()
        self._says.put_nowait({"type": "websocket.connect"})
        for one in texts:
            self._says.put_nowait({"type": "websocket.receive", "text": one})

    async def receive(self) -> Message:
        return await self._says.get()

    async def send(self, message: Message) -> None:
        self.told.append(message)


def app(seen: list[Scope], status: int) -> Any:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        response = Response(status_code=101) if status == 101 else JSONResponse({"error": "why"}, status)
        await response(scope, receive, send)

    return answer


async def test_it_is_the_get_that_it_is() -> None:
    seen: list[Scope] = []
    peer = Peer()
    asked = {**ASKED, "scheme": "ws"}
    proxied = Forwarded(Upgrade(app(seen, 101)), Edge.read(proxies=["10.0.0.0/8"]).proxies)
    await proxied(asked, peer.receive, peer.send)
    (scope,) = seen
    assert (scope["type"], scope["method"], scope["scheme"], scope["client"][0]) == (
        "http",
        "GET",
        "https",
        "192.0.2.9",
    )
    assert SOCKET in scope
    assert [one["type"] for one in peer.told] == ["websocket.accept"]


@pytest.mark.parametrize("offered", [["hilum.v1", "bearer.abc"], ["bearer.abc"]])
async def test_a_token_of_a_subprotocol_is_a_bearers_and_is_shown_to_nobody(offered: list[str]) -> None:
    seen: list[Scope] = []
    peer = Peer()
    headers = [*ASKED["headers"], (b"sec-websocket-protocol", ", ".join(offered).encode())]
    await Upgrade(app(seen, 101))({**ASKED, "headers": headers, "subprotocols": offered}, peer.receive, peer.send)
    assert dict(seen[0]["headers"])[b"authorization"] == b"Bearer abc"
    assert b"sec-websocket-protocol" not in dict(seen[0]["headers"])
    assert peer.told[0]["subprotocol"] == (offered[0] if len(offered) == 2 else None)
    assert "abc" not in str(peer.told)


async def test_an_answer_that_is_no_upgrade_is_that_answer() -> None:
    peer = Peer()
    await Upgrade(app([], 403))(ASKED, peer.receive, peer.send)
    start, body = peer.told
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert json.loads(body["body"]) == {"error": "why"}


async def test_who_says_it_in_the_first_message_is_told_in_one() -> None:
    seen: list[Scope] = []
    peer = Peer('{"type": "authenticate", "token": "abc"}')
    asked = {**ASKED, "subprotocols": ["hilum.v1"]}
    await Upgrade(app(seen, 403))(asked, peer.receive, peer.send)
    assert dict(seen[0]["headers"])[b"authorization"] == b"Bearer abc"
    assert [one["type"] for one in peer.told] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert json.loads(peer.told[1]["text"]) == {"error": "why"}
    assert (peer.told[2]["code"], peer.told[2]["reason"]) == (4403, "Forbidden")


@pytest.mark.parametrize(
    ("texts", "code"),
    [((), 4408), (("",), 4401), (("[1]",), 4401), (('{"type": "authenticate", "token": "a\\nb"}',), 4401)],
)
async def test_who_does_not_say_it_is_not_heard(texts: tuple[str, ...], code: int) -> None:
    seen: list[Scope] = []
    peer = Peer(*texts)
    asked = {**ASKED, "subprotocols": ["hilum.v1"]}
    await Upgrade(app(seen, 101), patience=0.05)(asked, peer.receive, peer.send)
    assert not seen
    assert peer.told[-1]["code"] == code


async def test_only_so_many_are_waited_for(until: Callable[..., Awaitable[None]]) -> None:
    """Whoever comes after them has to show at once who calls."""
    upgrade = Upgrade(app([], 401), patience=30)
    asked = {**ASKED, "subprotocols": ["hilum.v1"]}
    peers = [Peer() for _ in range(100)]

    async def all_told() -> bool:
        return all(one.told for one in peers)

    waiting = [asyncio.ensure_future(upgrade(asked, one.receive, one.send)) for one in peers]
    try:
        await until(all_told)
        late = Peer()
        await upgrade(asked, late.receive, late.send)
        assert late.told[0]["status"] == 401
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def test_a_socket_that_declares_nothing_cannot_be_defined() -> None:
    router = Surface("/things")

    async def undeclared() -> None: ...

    with pytest.raises(TypeError, match="must be a GET that says @allow"):
        router.websocket("/socket")(undeclared)
    with pytest.raises(TypeError, match="undeclared must say @allow"):
        router.get("/socket")(undeclared)
    assert allow("events:read", audits="event.stream", socket=True)(undeclared).__allowed__.socket  # type: ignore[attr-defined]


async def test_who_reads_nothing_is_let_go_and_little_is_held() -> None:
    sent, ended = 0, asyncio.Event()

    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while sent < 10_000:
                await send({"type": "websocket.send", "text": "x" * 65_536})
                sent += 1
        except OSError:
            ended.set()

    server = Server(pour, "127.0.0.1:0", beat=0.5)  # type: ignore[arg-type]  # any app is served
    await server.start()
    try:
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw, limit=1)
        writer.write(
            b"GET / HTTP/1.1\r\nhost: hub\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        async with asyncio.timeout(30):
            await ended.wait()
            assert sent < 10_000
            told = b""
            try:
                while more := await reader.read(1 << 20):
                    told = (told + more)[-100_000:]
            except ConnectionError:
                pass
        assert told.count(b"x") > 0
        writer.close()
    finally:
        await server.stop()
