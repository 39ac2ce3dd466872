"""How big a request may be: counted while it is read, whatever it says of itself."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Message

from hilum.api import Edge, Server, create_app, sizes
from hilum.api.surface import Surface, allow, open_to_all
from hilum.app import Hub

pytestmark = pytest.mark.anyio


class Body(BaseModel):
    text: str


@pytest.fixture
async def client(stopped: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """A server on TCP that takes 1,000 bytes, and 5,000 for what is big."""
    router = Surface("/things")

    @router.post("")
    @open_to_all()
    async def small(body: Body) -> int:
        return len(body.text)

    @router.post("/big")
    @allow("self:read", audits="thing.big", body=5_000)
    async def big(body: Body) -> int:
        return len(body.text)

    app = create_app(dataclasses.replace(stopped.services()), local=False, edge=Edge(body=1_000))
    app.state.local = True  # whoever comes is known: what is measured here is the server
    app.include_router(router, prefix="/api/v1")
    server = Server(app, "127.0.0.1:0")
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}/api/v1") as client:
        yield client
    await server.stop()


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body without Content-Length."""
    yield b'{"text": "'
    for _ in range(size // 100):
        yield b"x" * 100
    yield b'"}'


@pytest.mark.ledger_part("S0-34", "413 for bodies above the limit, chunked ones as well")
@pytest.mark.parametrize(("path", "fits", "too_big"), [("/things", 900, 1_000), ("/things/big", 4_900, 5_000)])
async def test_a_body_has_its_limit(client: httpx.AsyncClient, path: str, fits: int, too_big: int) -> None:
    assert (await client.post(path, json={"text": "x" * fits})).json() == fits
    response = await client.post(path, json={"text": "x" * too_big})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "INT007")
    chunked = {"content-type": "application/json"}
    assert (await client.post(path, content=pieces(fits), headers=chunked)).json() == fits
    response = await client.post(path, content=pieces(too_big), headers=chunked)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "INT007")


async def test_a_body_that_is_announced_too_long_is_not_read(client: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    head = (
        "POST /api/v1/things HTTP/1.1\r\nhost: hub\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_paths_and_headers_have_limits(client: httpx.AsyncClient) -> None:
    response = await client.get("/things?q=" + "x" * sizes.URL)
    assert (response.status_code, response.json()["error"]["code"]) == (414, "INT002")
    response = await client.get("/things", headers=[(f"x-{number}", "x") for number in range(sizes.COUNT)])
    assert (response.status_code, response.json()["error"]["code"]) == (431, "INT002")
    response = await client.get("/things", headers={"x-long": "x" * sizes.HEADERS})
    assert response.status_code == 431


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(HTTPException) as raised:
        await sizes.Meter(never, 10, 1_000, patience=0.01)()
    assert raised.value.status_code == 408
