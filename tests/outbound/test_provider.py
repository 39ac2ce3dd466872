"""A sign-in provider is configured by people: it is asked where the operator lets people go, and what it names too."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from hilum.errors import Refused
from hilum.outbound.dialer import Dialers
from hilum.outbound.provider import Provider
from hilum.security.egress import LOOPBACK, Allowed

pytestmark = pytest.mark.anyio


class Listening:
    """A TLS server on this machine that answers everything with an empty object."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.visits = self.port = 0

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[Listening]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "id.example").configure_cert(context)
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await reader.read(2_000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()


@pytest.fixture
async def inside(anyio_backend: object) -> AsyncIterator[Listening]:
    async with Listening().up() as made:
        yield made


async def names(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "id.example"])
async def test_it_is_asked_where_people_may_go(inside: Listening, tmp_path: Path, host: str) -> None:
    issuer, pem = f"https://{host}:{inside.port}", inside.authority.cert_pem.bytes().decode()
    for allowed, visits in (((), 0), ((Allowed.read("ward=127.0.0.1"),), 0), (LOOPBACK, 2)):
        provider = Provider(Dialers(tmp_path, (), allowed, names).organization("demo"), issuer, pem)
        for asking in (provider.metadata(), provider.keys(f"{issuer}/keys")):
            if visits:
                with contextlib.suppress(Refused):  # an empty object says of itself that it is another issuer
                    await asking
            else:
                with pytest.raises(Refused, match=r"^the provider cannot be reached \(ConnectError\)$"):
                    await asking
        await provider.close()
        assert inside.visits == visits


async def test_what_it_names_is_judged_as_well(inside: Listening, tmp_path: Path) -> None:
    issuer, pem = f"https://127.0.0.1:{inside.port}", inside.authority.cert_pem.bytes().decode()
    provider = Provider(Dialers(tmp_path, (), LOOPBACK).organization("demo"), issuer, pem)
    for place in (
        "https://10.0.0.1/token",
        "https://169.254.169.254/latest",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::ffff:a00:1]/",
    ):
        with pytest.raises(Refused, match="cannot be reached"):
            await provider.keys(place)
        with pytest.raises(Refused, match="cannot be reached"):
            await provider.token(place, client="c", secret=None, code="x", verifier="v", redirect="https://hub/")
    await provider.close()
