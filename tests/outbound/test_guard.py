"""A name server that changes its mind between two questions wins nothing: it is asked once for each connection."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from hilum.errors import Refused
from hilum.outbound.dialer import Dialer
from hilum.outbound.guard import Guard
from hilum.sdk.testing import free_port
from hilum.security.egress import Allowed, Policy

pytestmark = pytest.mark.anyio
GOOD, INSIDE = "127.0.0.2", "127.0.0.1"  # stand for a partner's address and for one inside
POLICY = Policy(allowed=(Allowed.read(f"{GOOD}/32"),))


class Names:
    """A name server. The first of `answers` for the first question, and so on; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Visited:
    """Listens at both addresses, on one port, and counts who came where."""

    def __init__(self) -> None:
        self.port = free_port()
        self.good = self.inside = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Visited]:
        good = await asyncio.start_server(self._answer, GOOD, self.port)
        inside = await asyncio.start_server(self._answer, INSIDE, self.port)
        async with good, inside:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        good = writer.get_extra_info("sockname")[0] == GOOD
        self.good, self.inside = self.good + good, self.inside + (not good)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await reader.read(1_000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()


@pytest.fixture
async def visited(anyio_backend: object) -> AsyncIterator[Visited]:
    if sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8")
    async with Visited().listening() as made:
        yield made


async def test_it_asks_once_and_gives_what_was_checked() -> None:
    names = Names(["8.8.8.8", "2606:4700::1"], [INSIDE])
    assert await Guard(POLICY, names).addresses("Partner.Example.", 443) == ["8.8.8.8", "2606:4700::1"]
    assert names.asked == [("partner.example", 443)]


@pytest.mark.parametrize(
    "answer", [[INSIDE], ["8.8.8.8", INSIDE], ["fd00::1"], ["169.254.169.254"], ["::ffff:10.0.0.1"]]
)
async def test_one_bad_address_is_enough(answer: list[str]) -> None:
    with pytest.raises(Refused, match=r"^partner\.example leads to an address that only the hub's operator can allow$"):
        await Guard(POLICY, Names(answer)).addresses("partner.example", 443)


async def test_nobody_is_asked_about_an_address_or_for_what_is_refused_anyway() -> None:
    names = Names([GOOD])
    guard = Guard(POLICY, names)
    assert await guard.addresses(GOOD, 80) == [GOOD]
    assert await guard.addresses("[2606:4700::1]", 80) == ["2606:4700::1"]
    for host, port in ((INSIDE, 80), ("0x7f.1", 80), ("metadata.google.internal", 80), ("partner.example", 445)):
        with pytest.raises(Refused):
            await guard.addresses(host, port)
    assert names.asked == []


async def test_a_name_without_addresses_is_unreachable() -> None:
    with pytest.raises(OSError, match="no address"):
        await Guard(POLICY, Names([])).addresses("partner.example", 80)


async def test_a_rebinding_name_server_does_not_win_over_tcp(visited: Visited) -> None:
    names = Names([GOOD], [INSIDE])
    dialer = Dialer([], POLICY, names)
    transport, _ = await dialer.connect(asyncio.Protocol, "partner.example", visited.port)
    assert transport.get_extra_info("peername")[0] == GOOD
    transport.abort()
    assert len(names.asked) == 1
    with pytest.raises(Refused):
        await dialer.connect(asyncio.Protocol, "partner.example", visited.port)
    assert (visited.good, visited.inside) == (1, 0)


async def test_nor_over_http(visited: Visited) -> None:
    names = Names([GOOD], [INSIDE])
    url = f"http://partner.example:{visited.port}/"
    async with httpx.AsyncClient(transport=Dialer([], POLICY, names).transport()) as client:
        assert (await client.get(url)).status_code == 200
        assert len(names.asked) == 1
        with pytest.raises(httpx.ConnectError, match="only the hub's operator can allow"):
            await client.get(url)
    assert (visited.good, visited.inside) == (1, 0)


async def test_an_address_that_does_not_answer_is_passed_over_for_a_checked_one(visited: Visited) -> None:
    names = Names(["127.0.0.3", GOOD], [INSIDE])
    dialer = Dialer([], Policy(allowed=(Allowed.read("127.0.0.2/31"),)), names)
    transport, _ = await dialer.connect(asyncio.Protocol, "partner.example", visited.port)
    transport.abort()
    assert (visited.good, visited.inside, len(names.asked)) == (1, 0, 1)
