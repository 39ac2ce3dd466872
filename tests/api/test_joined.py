"""An answer leaves in one piece; a long one goes on in pieces, and nothing is left behind when the connection ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from hilum.api import Server
from hilum.api.joined import Joined

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    """Keeps the pieces that were sent."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def joined(wire: Wire) -> Joined:
    return Joined(wire, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_leaves_together(wire: Wire, joined: Joined) -> None:
    for piece in (b"head ", b"body", b""):
        joined.write(piece)
    assert wire.sent == []
    await asyncio.sleep(0)
    joined.write(b"next")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"next"]


async def test_a_long_answer_does_not_pile_up(wire: Wire, joined: Joined) -> None:
    for _ in range(8):
        joined.write(bytes(40_000))
    assert sum(map(len, wire.sent)) >= 240_000, "its flow could not be controlled otherwise"
    await asyncio.sleep(0)
    assert sum(map(len, wire.sent)) == 320_000


async def test_what_was_written_leaves_before_the_end(wire: Wire, joined: Joined) -> None:
    joined.write(b"last words")
    joined.close()
    assert (wire.sent, wire.closed) == ([b"last words"], True)
    await asyncio.sleep(0)
    assert wire.sent == [b"last words"]


async def test_the_rest_is_the_transport_s(joined: Joined) -> None:
    assert joined.get_extra_info("peername") == ("192.0.2.1", 1)


async def test_a_head_does_not_wait_for_its_body() -> None:
    app, go_on = FastAPI(), asyncio.Event()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def parts() -> Any:
            await go_on.wait()
            yield b"one"

        return StreamingResponse(parts(), media_type="text/event-stream")

    server = Server(app, "127.0.0.1:0")
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /events HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            go_on.set()
            assert b"one" in await reader.read()
        writer.close()
    finally:
        await server.stop()
