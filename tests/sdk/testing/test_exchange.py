from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hilum.connectors import http
from hilum.sdk import testing
from hilum.sdk.contracts import Call, Reply
from hilum.sdk.faults import Failed, Fault, Timings
from hilum.sdk.testing import DirectDialer

pytestmark = pytest.mark.anyio


class Partner:
    """Answers each request with the same status, or never."""

    def __init__(self, status: bytes | None) -> None:
        self.status = status
        self.received: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                self.received.append(await reader.readexactly(length))
                if self.status is not None:
                    writer.write(b"HTTP/1.1 " + self.status + b"\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()


class Suite(testing.ExchangeSuite):
    module = http

    def values(self, place: int) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{place}/", "timeout": 5_000}

    @contextlib.asynccontextmanager
    async def partner(self, place: int, mood: testing.Mood) -> AsyncIterator[Partner]:
        found = Partner({"takes": b"200 OK", "refuses": b"422 No", "busy": b"503 Later", "silent": None}[mood])
        async with await asyncio.start_server(found.serve, "127.0.0.1", place):
            try:
                yield found
            finally:
                for writer in found.writers:
                    writer.close()


class TestExchange(Suite):
    """The connector as it is keeps the contract."""


MADE: list[Any] = []  # what a check that fails leaves open


class Faulty(http.Exchange):
    """Asks as the good one does."""

    def __init__(self, config: Any, dialer: Any) -> None:
        super().__init__(config, dialer)
        MADE.append(self)

    async def asked(self, call: Call) -> Reply:
        return await http.Exchange.exchange(self, call)


class Twice(Faulty):
    async def exchange(self, call: Call) -> Reply:
        await self.asked(call)
        return await self.asked(call)


class Picky(Faulty):
    async def exchange(self, call: Call) -> Reply:
        reply = await self.asked(call)
        if reply.status >= 400:
            raise Failed("refused", Fault.PROTOCOL, reply.timings)
        return reply


class Unsure(Faulty):
    async def exchange(self, call: Call) -> Reply:
        try:
            return await self.asked(call)
        except Failed as error:
            raise Failed(str(error), error.fault, error.timings, sent=True) from None


class Quoting(Faulty):
    async def exchange(self, call: Call) -> Reply:
        try:
            return await self.asked(call)
        except Failed as error:
            raise Failed(f"{call.body!r}", error.fault, error.timings, sent=error.sent) from None


class Sure(Faulty):
    async def exchange(self, call: Call) -> Reply:
        try:
            return await self.asked(call)
        except Failed as error:
            raise Failed(str(error), Fault.REFUSED, error.timings) from None


class Straight(Faulty):
    """Goes past the dialer."""

    async def exchange(self, call: Call) -> Reply:
        self._client = http._Client(self.config, DirectDialer())
        return await self.asked(call)


class Sulking(Faulty):
    failed = False

    async def exchange(self, call: Call) -> Reply:
        if self.failed:
            raise Failed("still unreachable", Fault.REFUSED, Timings(0.0))
        self.failed = True
        return await self.asked(call)


class Staying(Faulty):
    left: asyncio.StreamWriter

    async def exchange(self, call: Call) -> Reply:
        _, self.left = await asyncio.open_connection(*self.config.address)
        return await self.asked(call)


FAULTS: list[tuple[str, type[Faulty]]] = [
    ("a_question_is_asked_once_and_answered", Twice),
    ("a_refusal_is_an_answer", Picky),
    ("a_partner_out_of_reach_got_nothing", Unsure),
    ("a_partner_out_of_reach_got_nothing", Quoting),
    ("what_policy_forbids_is_not_asked", Straight),
    ("silence_may_have_taken_it", Sure),
    ("it_recovers_once_the_partner_is_there", Sulking),
    ("close_leaves_nothing_behind_and_may_come_twice", Staying),
]


@pytest.mark.parametrize(("check", "exchange"), FAULTS)
async def test_an_exchange_at_fault_is_caught(tmp_path: Path, check: str, exchange: type[Faulty]) -> None:
    module = types.ModuleType("faulty")
    module.__dict__["connector"] = dataclasses.replace(http.connector, exchange=exchange)
    suite: Any = type("Faulty", (Suite,), {"module": module, "patience": 3.0, "quiet": 0.1})()
    with pytest.raises((AssertionError, Failed, pytest.fail.Exception)):
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))
    while MADE:
        made = MADE.pop()
        await made.close()
        if isinstance(made, Staying) and hasattr(made, "left"):
            made.left.close()
    await asyncio.sleep(0.05)  # what was closed gets a moment to end


def test_every_check_of_an_exchange_is_proven() -> None:
    names = {name.removeprefix("test_") for name in dir(testing.ExchangeSuite) if name.startswith("test_")}
    assert names == {check for check, _ in FAULTS}
