"""Serving inside the loop: a private socket, a taken port, a stop that lets requests end."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from hilum.api import Server
from hilum.api.services import local_name
from hilum.app import SOCKET, Hub
from hilum.errors import ConfigError
from hilum.settings import Settings

pytestmark = pytest.mark.anyio


class Slow:
    """An app whose request ends when it is told to."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

        @self.app.get("/slow")
        async def slow() -> str:
            self.asked.set()
            await self.go_on.wait()
            return "done"

        @self.app.get("/actor")
        async def who(request: Request) -> str:
            return request.client.host if request.client else ""


@pytest.fixture
async def slow() -> Slow:
    return Slow()


def over(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://hub")


async def test_the_socket_lets_only_its_owner_in(running: Any, tmp_path: Path) -> None:
    mode = (tmp_path / "data" / SOCKET).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_socket_that_a_dead_hub_left_is_replaced_and_ours_is_removed(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = Server(slow.app, path)
    await server.start()
    async with over(path) as client:
        assert (await client.get("/actor")).json() == local_name(os.geteuid())
    await server.stop()
    assert not path.exists()


async def test_what_is_no_socket_is_not_removed(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="cannot listen"):
        await Server(slow.app, path).start()
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_user_without_a_name_is_a_number() -> None:
    nobody = max(entry.pw_uid for entry in pwd.getpwall()) + 12_345
    assert local_name(nobody) == f"local:{nobody}"


async def test_a_taken_port_is_an_error_and_the_hub_takes_no_message(tmp_path: Path, config: Path, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        hub = Hub(Settings(data=tmp_path / "data", http=f"127.0.0.1:{taken}", config=config))
        await hub.open()
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}"):
            await hub.run()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await hub.close()


@pytest.mark.parametrize("address", ["8080", "localhost:", ":8080", "localhost:http", "localhost:70000"])
async def test_what_is_no_address_is_said(slow: Slow, address: str) -> None:
    with pytest.raises(ConfigError, match="no host:port"):
        await Server(slow.app, address).start()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0"])
async def test_port_0_takes_a_free_one(slow: Slow, address: str) -> None:
    server = Server(slow.app, address)
    await server.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{address.partition(':')[0]}:{server.port}/actor")).status_code == 200
    await server.stop()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


@pytest.mark.ledger_part("S0-55", "requests in flight end before the server does")
async def test_stop_lets_requests_in_flight_end(slow: Slow, tmp_path: Path) -> None:
    server = Server(slow.app, tmp_path / "hub.sock")
    await server.start()
    async with over(tmp_path / "hub.sock") as client:
        asked = asyncio.ensure_future(client.get("/slow"))
        await asyncio.wait_for(slow.asked.wait(), 20)
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0.3)
        assert not stopping.done()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await asyncio.open_unix_connection(str(tmp_path / "hub.sock"))
        slow.go_on.set()
        assert (await asyncio.wait_for(asked, 20)).json() == "done"
        await asyncio.wait_for(stopping, 20)


async def test_signals_stay_the_hubs(slow: Slow, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = Server(slow.app, tmp_path / "hub.sock")
    await server.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await server.stop()
