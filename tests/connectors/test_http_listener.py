"""The listener of the http connector, spoken to in bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hilum.connectors import http
from hilum.formats import hl7v2
from hilum.model.message import Ack, Disposition
from hilum.sdk.config import read
from hilum.sdk.testing import DirectDialer, MemoryInbox, free_port, within

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
HEAD = b"POST /hl7 HTTP/1.1\r\n"
TOKEN = "canary-0123456789abcdef"


class Caller:
    """A connection to the listener, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def post(self, body: bytes = ADT, target: str = "/hl7", *headers: str, method: str = "POST") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: hub", f"Content-Length: {len(body)}", *headers, "", ""]
        self.say("\r\n".join(lines).encode() + body)

    async def hear(self, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers.get("content-length", "0")) if body else 0
            return int(first.split()[1]), headers, await self.reader.readexactly(length)

    async def closed(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


class Hub:
    """A running source, and calls to it."""

    def __init__(self, **values: Any) -> None:
        self.port = free_port()
        self.inbox = MemoryInbox()
        config = read(http.Config, {"url": f"http://127.0.0.1:{self.port}/hl7", **values}, "")
        self.source = http.Source(config, self.inbox, DirectDialer())

    async def __aenter__(self) -> Hub:
        await self.source.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await within(10, self.source.stop())

    @contextlib.asynccontextmanager
    async def call(self) -> AsyncIterator[Caller]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


# In: what is taken


@pytest.mark.parametrize(
    ("disposition", "code", "status"),
    [
        (Disposition.DELIVERING, Ack.AA, 200),
        (Disposition.FILTERED, Ack.AA, 200),
        (Disposition.ERROR, Ack.AE, 500),
        (Disposition.ERROR, Ack.AR, 400),
    ],
)
@pytest.mark.parametrize("form", ["json", "ack"])
async def test_the_answer_says_what_became_of_the_message(
    disposition: Disposition, code: Ack, status: int, form: str
) -> None:
    async with Hub(answer=form) as hub, hub.call() as caller:
        hub.inbox.disposition, hub.inbox.code = disposition, code
        caller.post()
        found, headers, body = await caller.hear()
    assert found == status
    assert hub.inbox.bodies == [ADT]
    assert hub.inbox.stored[0].attributes["peer"] == "127.0.0.1"
    if form == "json":
        said = json.loads(body)
        assert said == {"id": said["id"], "disposition": disposition.name.lower(), "duplicate": False}
        assert len(said["id"]) == 36
    else:
        ack = hl7v2.Message.parse(body)
        assert headers["content-type"] == "application/hl7-v2"
        assert (ack["MSA-1"], ack["MSA-2"], ack["MSH-3"], ack["MSH-5"]) == (code.value, "MSG7", "C", "A")


async def test_a_message_without_a_header_has_no_acknowledgment() -> None:
    async with Hub(answer="ack") as hub, hub.call() as caller:
        hub.inbox.disposition, hub.inbox.code = Disposition.ERROR, Ack.AR
        caller.post(b"not HL7")
        status, headers, body = await caller.hear()
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(body)["disposition"] == "error"


async def test_one_connection_carries_many_requests_chunked_or_not_at_once_or_not() -> None:
    async with Hub() as hub, hub.call() as caller:
        caller.post(b"one")
        assert (await caller.hear())[0] == 200
        caller.post(b"two")
        caller.say(b"POST /hl7?x=1 HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nth\r\n")
        caller.post(b"ree", method="3\r\nree\r\n0\r\n\r\nPOST")
        assert [(await caller.hear())[0] for _ in range(3)] == [200, 200, 200]
    assert hub.inbox.bodies == [b"one", b"two", b"three", b"ree"]


async def test_what_the_partner_says_about_the_body_travels_along() -> None:
    async with Hub() as hub, hub.call() as caller:
        caller.post(b"one", "/hl7", "Content-Type: text/plain", "Idempotency-Key: 17")
        await caller.hear()
    assert hub.inbox.stored[0].attributes == {
        "peer": "127.0.0.1",
        "content_type": "text/plain",
        "idempotency_key": "17",
    }


async def test_a_careful_partner_is_told_to_continue() -> None:
    async with Hub() as hub, hub.call() as caller:
        caller.say(b"POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await caller.hear())[0] == 100
        assert hub.inbox.offered == []
        caller.say(b"one")
        assert (await caller.hear())[0] == 200


async def test_http_1_0_is_answered_and_closed() -> None:
    async with Hub() as hub, hub.call() as caller:
        caller.say(b"POST /hl7 HTTP/1.0\r\nContent-Length: 3\r\n\r\none")
        assert (await caller.hear())[0] == 200
        assert await caller.closed()


# In: what is not taken


ODD: dict[str, tuple[Callable[[Caller], None], int]] = {
    "other path": (lambda caller: caller.post(target="/other"), 404),
    "longer path": (lambda caller: caller.post(target="/hl7/"), 404),
    "no URL": (lambda caller: caller.post(target="http://[x/hl7"), 404),
    "method": (lambda caller: caller.post(method="PUT"), 405),
    "empty": (lambda caller: caller.post(b""), 400),
    "compressed": (lambda caller: caller.post(ADT, "/hl7", "Content-Encoding: gzip"), 415),
    "large": (lambda caller: caller.post(b"x" * 1_001), 413),
    "huge": (lambda caller: caller.say(HEAD + b"Host: hub\r\nContent-Length: 99999999999\r\n\r\n"), 413),
    "long header": (lambda caller: caller.post(ADT, "/hl7", "X: " + "y" * 100_000), 431),
    "TLS": (lambda caller: caller.say(b"\x16\x03\x01 not HTTP\r\n\r\n"), 400),
    "no host": (lambda caller: caller.say(HEAD + b"Content-Length: 3\r\n\r\none"), 400),
    "two lengths": (lambda caller: caller.post(ADT, "/hl7", "Content-Length: 3"), 400),
    "bad chunk": (lambda caller: caller.say(HEAD + b"Host: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 400),
}


@pytest.mark.parametrize("odd", ODD)
async def test_a_request_that_cannot_be_taken_says_why(odd: str) -> None:
    say, status = ODD[odd]
    async with Hub(max_bytes=1_000) as hub, hub.call() as caller:
        say(caller)
        found, _, body = await caller.hear()
        assert found == status
        assert json.loads(body)["error"]
        async with hub.call() as next_one:
            next_one.post(b"next")
            assert (await next_one.hear())[0] == 200
    assert hub.inbox.bodies == [b"next"]


async def test_a_refusal_of_a_complete_request_keeps_the_connection() -> None:
    async with Hub() as hub, hub.call() as caller:
        caller.post(b"", "/hl7", method="HEAD")
        status, headers, _ = await caller.hear(body=False)
        assert (status, headers["allow"]) == (405, "POST")
        caller.post(b"")
        assert (await caller.hear())[0] == 400
        caller.post(b"one")
        assert (await caller.hear())[0] == 200


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_oversized_body_is_not_silent(chunked: bool) -> None:
    async with Hub(max_bytes=1_000) as hub, hub.call() as caller:
        head = b"Transfer-Encoding: chunked\r\n\r\n800\r\n" if chunked else b"Content-Length: 4096\r\n\r\n"
        caller.say(b"POST /hl7 HTTP/1.1\r\nHost: hub\r\n" + head + b"x" * 2048)
        status, headers, _ = await caller.hear()
        assert (status, headers["connection"]) == (413, "close")
        assert await caller.closed()
    (rejected,) = hub.inbox.stored
    assert rejected.reason == "the body has more than 1000 bytes"
    assert rejected.body == (b"x" * 2048 if chunked else b"")


async def test_a_partner_without_the_token_is_refused() -> None:
    async with Hub(token=TOKEN) as hub, hub.call() as caller:
        for header in ("X: 1", "Authorization: Bearer wrong", f"Authorization: Basic {TOKEN}", "Authorization: \xff"):
            caller.post(b"one", "/hl7", header)
            status, headers, body = await caller.hear()
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert b"canary" not in body
            if headers.get("connection") == "close":
                break
        async with hub.call() as other:
            other.post(b"one", "/hl7", f"Authorization: Bearer {TOKEN}")
            assert (await other.hear())[0] == 200
    assert hub.inbox.bodies == [b"one"]


async def test_nothing_stored_is_503_and_the_next_try_works() -> None:
    async with Hub() as hub, hub.call() as caller:
        hub.inbox.fail()
        caller.post()
        status, headers, _ = await caller.hear()
        assert (status, headers["retry-after"]) == (503, "1")
        caller.post()
        assert (await caller.hear())[0] == 200
    assert hub.inbox.bodies == [ADT]


# In: bounds


async def test_a_slow_request_is_408_and_an_idle_connection_is_closed() -> None:
    async with Hub(timeout=200, idle_timeout=200) as hub:
        async with hub.call() as slow:
            slow.say(b"POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: 10\r\n\r\none")
            assert (await slow.hear())[0] == 408
            assert await slow.closed()
        async with hub.call() as idle:
            assert await idle.closed()
        async with hub.call() as half:
            half.say(b"POST /hl7 HT")
            assert (await half.hear())[0] == 408
    assert hub.inbox.offered == []


async def test_connections_are_limited() -> None:
    async with Hub(max_connections=2) as hub, hub.call() as one, hub.call() as two:
        for caller in (one, two):
            caller.post()
            assert (await caller.hear())[0] == 200
        async with hub.call() as three:
            assert (await three.hear())[0] == 503
            assert await three.closed()
        one.writer.close()
        async with asyncio.timeout(10):
            while True:  # until the listener noticed that there is room again
                async with hub.call() as four:
                    four.post()
                    if (await four.hear())[0] == 200:
                        break


async def test_only_allowed_networks_connect() -> None:
    async with Hub(allow=["10.0.0.0/8", "::1/128"]) as hub, hub.call() as caller:
        caller.post()
        assert await caller.closed()
    assert hub.inbox.offered == []
    async with Hub(allow=["10.0.0.0/8", "127.0.0.0/8"]) as hub, hub.call() as caller:
        caller.post()
        assert (await caller.hear())[0] == 200


async def test_a_pause_does_not_count_as_the_partners_delay() -> None:
    async with Hub(timeout=200, idle_timeout=200) as hub, hub.call() as caller:
        hub.source.pause()
        caller.post(b"one")
        await asyncio.sleep(0.4)
        assert hub.inbox.offered == []
        hub.source.resume()
        assert (await caller.hear())[0] == 200


async def test_stop_closes_what_is_idle_or_incomplete_and_answers_the_rest() -> None:
    async with Hub() as hub, hub.call() as idle, hub.call() as half, hub.call() as taken:
        half.say(b"POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: 10\r\n\r\nhalf")
        hub.inbox.hold()
        taken.post(b"one")
        taken.post(b"pipelined")
        await hub.inbox.until(1)
        stopping = asyncio.create_task(hub.source.stop())
        assert await idle.closed()
        assert await half.closed()
        hub.inbox.release()
        status, headers, _ = await taken.hear()
        assert (status, headers["connection"]) == (200, "close")
        assert await taken.closed()
        await within(10, stopping)
    assert hub.inbox.bodies == [b"one"]


async def test_no_bytes_stop_the_listener() -> None:
    chance = random.Random(7)
    request = b"POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\none"
    async with Hub() as hub:
        for _ in range(150):
            noise = bytearray(request * chance.randint(1, 3))
            for _ in range(chance.randint(1, 8)):
                noise[chance.randrange(len(noise))] = chance.choice(b"\r\n\x00: 09azP\xff")
            async with hub.call() as caller:
                caller.say(bytes(noise[: chance.randint(1, len(noise))]))
                caller.writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    await within(10, caller.reader.read())
        async with hub.call() as caller:
            caller.post(b"good")
            assert (await caller.hear())[0] == 200
    assert hub.inbox.bodies[-1] == b"good"
