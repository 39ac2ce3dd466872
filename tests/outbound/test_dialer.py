"""The one place that dials out, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from hilum.errors import Refused
from hilum.outbound.dialer import Dialer, Dialers
from hilum.outbound.resolve import resolve
from hilum.sdk.testing import free_port
from hilum.security.egress import LOOPBACK, Allowed, Policy

pytestmark = pytest.mark.anyio

HERE = Policy(allowed=LOOPBACK)
ANSWER = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\n\r\nhi"


@contextlib.asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that keeps what it reads and answers each connection once."""
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            read.append(await reader.read(1_000))
            writer.write(ANSWER)
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], read


async def test_it_connects_and_gives_the_protocol() -> None:
    async with listening() as (port, read):
        transport, protocol = await Dialer([], HERE).connect(asyncio.Protocol, "localhost", port)
        assert isinstance(protocol, asyncio.Protocol)
        transport.write(b"hello")
        async with asyncio.timeout(10):
            while not read:  # noqa: ASYNC110 - the server has no event for this
                await asyncio.sleep(0.01)
        transport.abort()
    assert read == [b"hello"]


async def test_nobody_there_is_an_os_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the contract names no narrower one
        await Dialer([], HERE).connect(asyncio.Protocol, "127.0.0.1", free_port())
    with pytest.raises(OSError):  # noqa: PT011
        await Dialer([], HERE).connect(asyncio.Protocol, "no-such-host.invalid", 80)


async def test_a_time_limit_is_an_os_error_too() -> None:
    """A listener whose queue is full answers nobody."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(address)
            with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
                await Dialer([], HERE).connect(asyncio.Protocol, *address, timeout=0.3)


@pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200"])
async def test_metadata_addresses_are_never_connected_to(host: str, tmp_path: Path) -> None:
    """Not even for the operator's file."""
    url = f"http://[{host}]/" if ":" in host else f"http://{host}/"
    dialer = Dialers(tmp_path, allowed=[Allowed.read("0.0.0.0/0")]).endpoint("demo", "file", {"url": url})
    with pytest.raises(Refused, match="metadata"):
        await dialer.connect(asyncio.Protocol, host, 80, timeout=1)
    async with httpx.AsyncClient(transport=dialer.transport()) as client:
        with pytest.raises(httpx.ConnectError, match="metadata"):
            await client.get(url)


async def test_tls_names_are_checked() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with listening(server) as (port, _):
        transport, _protocol = await Dialer([], HERE).connect(asyncio.Protocol, "localhost", port, tls=trusting)
        transport.abort()
        transport, _protocol = await Dialer([], HERE).connect(
            asyncio.Protocol, "127.0.0.1", port, tls=trusting, server_name="localhost"
        )
        transport.abort()
        for context, name in ((trusting, "127.0.0.1"), (ssl.create_default_context(), "localhost")):
            with pytest.raises(ssl.SSLError):
                await Dialer([], HERE).connect(asyncio.Protocol, "127.0.0.1", port, tls=context, server_name=name)


async def test_http_goes_through_the_same_door_and_follows_nothing() -> None:
    async with listening() as (port, read):
        async with httpx.AsyncClient(transport=Dialer([], HERE).transport()) as client:
            found = await client.get(f"http://localhost:{port}/x", headers={"Connection": "close"})
        assert (found.status_code, found.text) == (302, "hi")
    assert read[0].startswith(b"GET /x HTTP/1.1\r\n")


async def test_the_environment_s_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as (port, read), listening() as (proxy, proxied):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        async with httpx.AsyncClient(transport=Dialer([], HERE).transport()) as client:
            await client.get(f"http://127.0.0.1:{port}/", headers={"Connection": "close"})
        assert (len(read), len(proxied)) == (1, 0)


async def test_folders_are_inside_the_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    dialer = Dialer([inside], HERE)
    assert dialer.directory(str(inside)) == inside
    assert dialer.directory(str(inside / "deep" / "er")) == inside / "deep" / "er"
    for path in (outside, inside / ".." / "out", inside / "link", tmp_path, Path("/")):
        with pytest.raises(Refused, match="outside") as refused:
            dialer.directory(str(path))
        assert str(refused.value) == f"{path} is outside the folders that files may use"  # what was typed, no more


async def test_what_people_configure_has_a_folder_of_their_organization(tmp_path: Path) -> None:
    """The operator's roots are for the operator's file."""
    files, root = tmp_path / "files", tmp_path / "srv"
    dialers = Dialers(files, [root])
    people, file = dialers.endpoint("demo", "api", {}), dialers.endpoint("demo", "file", {})
    assert people.directory(str(files / "demo" / "in")) == files / "demo" / "in"
    for path in (files, files / "other", files / "demo" / ".." / "other", files / "demo2", root, tmp_path):
        with pytest.raises(Refused):
            people.directory(str(path))
    for path in (files, files / "other", root / "deep"):
        assert file.directory(str(path)) == path


async def test_who_configured_it_decides_where_it_may_go(tmp_path: Path) -> None:
    dialers = Dialers(tmp_path, allowed=[Allowed.read("ward=127.0.0.1")])
    async with listening() as (port, _), listening() as (other, _):
        values = {"url": f"mllp://127.0.0.1:{port}"}
        for dialer in (dialers.endpoint("demo", "file", values), dialers.organization("ward")):
            (await dialer.connect(asyncio.Protocol, "127.0.0.1", port))[0].abort()
        for dialer, asked in (
            (dialers.endpoint("demo", "file", values), other),
            (dialers.endpoint("demo", "api", values), port),
            (dialers.organization("demo"), port),
        ):
            with pytest.raises(Refused, match="loopback"):
                await dialer.connect(asyncio.Protocol, "127.0.0.1", asked)


async def test_names_become_addresses_each_once() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80)
    found = await resolve("127.0.0.1", 80)
    assert found == ["127.0.0.1"]
