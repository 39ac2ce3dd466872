from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from hilum import clock
from hilum.connectors import http
from hilum.errors import ConfigError
from hilum.formats import hl7v2
from hilum.model.message import Ack, Disposition
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Outbound
from hilum.sdk.outcome import Ambiguous, Delivered, Permanent, Transient
from hilum.sdk.testing import DirectDialer, MemoryInbox, free_port, within

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
HEAD = b"POST /hl7 HTTP/1.1\r\n"
TOKEN = "canary-0123456789abcdef"


class Partner:
    """A server of the plainest kind: it keeps what it got and answers with the same bytes every time."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.received: list[bytes] = []
        self.heads: list[str] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(line for line in head.split("\r\n") if line.lower().startswith("content-length:"))
                self.received.append(await reader.readexactly(int(length.partition(":")[2])))
                self.heads.append(head)
                if self.answer is None:
                    await reader.read()
                    break
                writer.write(self.answer)
                await writer.drain()
                if b"Connection: close" in self.answer:
                    break


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.asynccontextmanager
async def partner(port: int, said: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Partner]:
    found = Partner(said)
    server = await asyncio.start_server(found.accept, "127.0.0.1", port, ssl=tls)
    try:
        yield found
    finally:
        server.close()
        for task in list(found.tasks):
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)
        await server.wait_closed()


class Web:
    """A partner on a port of the loopback."""

    module = http

    def values(self, place: int) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{place}/hl7", "timeout": 5_000}

    def partner(self, place: int, mood: testing.Mood) -> Any:
        said = {
            "takes": answer("200 OK"),
            "refuses": answer("422 Unprocessable Content"),
            "busy": answer("503 Service Unavailable", b"", "Retry-After: 7"),
            "silent": None,
        }
        return partner(place, said[mood])


class TestConfig(testing.ConfigSuite):
    module = http
    example: ClassVar[dict[str, Any]] = {"url": "https://lab.example/hl7", "headers": {"X-Key": "1"}}


class TestSource(Web, testing.SourceSuite):
    async def deliver(self, place: int, body: bytes) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            (await client.post(f"http://127.0.0.1:{place}/hl7", content=body)).raise_for_status()

    @contextlib.asynccontextmanager
    async def occupied(self, place: int) -> AsyncIterator[None]:
        async with partner(place, None):
            yield


class TestDestination(Web, testing.DestinationSuite):
    pass


class TestProbe(Web, testing.ProbeSuite):
    pass


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
    async with Hub(timeout=200, idle=200) as hub:
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
    async with Hub(timeout=200, idle=200) as hub, hub.call() as caller:
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


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Iterator[dict[str, str]]:
    """PEM files of a server called lab.example, its authority and a client."""
    paths = {name: str(tmp_path / name) for name in ("ca", "server", "client")}
    authority.cert_pem.write_to_path(paths["ca"])
    authority.issue_cert("lab.example").private_key_and_cert_chain_pem.write_to_path(paths["server"])
    authority.issue_cert("hub@hospital.example").private_key_and_cert_chain_pem.write_to_path(paths["client"])
    return paths  # type: ignore[return-value]


def sender(port: int, **tls: str) -> dict[str, Any]:
    return {"url": f"https://127.0.0.1:{port}/hl7", "timeout": 5_000, "tls": tls}


async def test_tls_both_ways(files: dict[str, str]) -> None:
    listener = {"certificate": files["server"], "ca": files["ca"], "client": "required"}
    port = free_port()
    config = read(http.Config, {"url": f"https://127.0.0.1:{port}/hl7", "tls": listener}, "")
    inbox = MemoryInbox()
    source = http.Source(config, inbox, DirectDialer())
    trusting = {"ca": files["ca"], "server_name": "lab.example"}
    await source.start()
    try:
        known = read(http.Config, sender(port, certificate=files["client"], **trusting), "")
        destination = http.Destination(known, DirectDialer())
        outcome = await destination.send(Outbound("1", ADT))
        assert isinstance(outcome, Delivered)
        await destination.close()
        unknown = http.Destination(read(http.Config, sender(port, **trusting), ""), DirectDialer())
        assert not isinstance(await unknown.send(Outbound("2", ADT)), Delivered)
        await unknown.close()
    finally:
        await within(10, source.stop())
    assert inbox.bodies == [ADT]


async def test_a_certificate_that_does_not_fit_is_not_sent_to(files: dict[str, str]) -> None:
    port = free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["server"])
    cases: list[tuple[dict[str, str], bool]] = [
        ({"ca": files["ca"], "server_name": "lab.example"}, True),
        ({"ca": files["ca"], "server_name": "other.example"}, False),
        ({"server_name": "lab.example"}, False),
    ]
    async with partner(port, answer("200 OK"), context) as lab:
        for tls, fits in cases:
            config = read(http.Config, sender(port, **tls), "")
            destination = http.Destination(config, DirectDialer())
            outcome = await destination.send(Outbound("1", ADT))
            await destination.close()
            result = await http.Probe(config, DirectDialer()).probe()
            assert result.reachable is fits
            if fits:
                assert outcome == Delivered("200")
            else:
                assert isinstance(outcome, Transient)
                assert not outcome.answered
                assert "certificate" in result.advice
    assert lab.received == [ADT]


async def test_a_tls_listener_needs_its_certificate() -> None:
    source = http.Source(read(http.Config, {"url": "https://127.0.0.1:1/x"}, ""), MemoryInbox(), DirectDialer())
    with pytest.raises(ConfigError, match=r"tls\.certificate"):
        await source.start()
    await source.stop()


async def test_a_missing_authority_holds_the_lane() -> None:
    config = read(http.Config, sender(1, ca="/nowhere.pem"), "")
    outcome = await http.Destination(config, DirectDialer()).send(Outbound("1", ADT))
    assert isinstance(outcome, Transient)
    assert not outcome.answered
    assert not (await http.Probe(config, DirectDialer()).probe()).reachable


# Out


async def post(said: bytes | None, **values: Any) -> tuple[Any, Partner]:
    """One delivery to a partner that answers so."""
    port = free_port()
    config = read(http.Config, {"url": f"http://127.0.0.1:{port}/hl7?a=1", "timeout": 5_000, **values}, "")
    destination = http.Destination(config, DirectDialer())
    async with partner(port, said) as found:
        outcome = await destination.send(Outbound("0192-id", ADT))
        await destination.close()
    return outcome, found


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("200 OK", Delivered("200", b"done")),
        ("201 Created", Delivered("201", b"done")),
        ("202 Accepted", Delivered("202", b"done")),
        ("301 Moved", Permanent("301: redirects are not followed")),
        ("304 Not Modified", Permanent("304: redirects are not followed")),
        ("400 Bad Request", Permanent("400")),
        ("401 Unauthorized", Transient("401: the partner does not accept our credentials")),
        ("403 Forbidden", Transient("403: the partner does not accept our credentials")),
        ("404 Not Found", Permanent("404")),
        ("408 Request Timeout", Transient("408", answered=True)),
        ("409 Conflict", Permanent("409")),
        ("422 Unprocessable", Permanent("422")),
        ("425 Too Early", Transient("425", answered=True)),
        ("429 Too Many Requests", Transient("429", answered=True)),
        ("500 Oops", Transient("500", answered=True)),
        ("503 Busy", Transient("503", answered=True)),
        ("599 Odd", Transient("599", answered=True)),
    ],
)
async def test_a_status_says_what_to_do_next(status: str, expected: Any) -> None:
    said = answer(status, b"" if status.startswith("304") else b"done", "Location: http://127.0.0.1:1/")
    assert (await post(said))[0] == expected


@pytest.mark.parametrize(
    ("ack", "expected"),
    [
        (b"MSH|^~\\&|||||||ACK\rMSA|AA|1\r", Delivered),
        (b"MSH|^~\\&|||||||ACK\rMSA|AE|1\r", Transient),
        (b"MSH|^~\\&|||||||ACK\rMSA|AR|1\r", Permanent),
        (b"not HL7", Delivered),
    ],
)
async def test_an_acknowledgment_has_the_last_word(ack: bytes, expected: type[Any]) -> None:
    outcome, _ = await post(answer("200 OK", ack, "Content-Type: application/hl7-v2; charset=utf-8"))
    assert type(outcome) is expected
    assert outcome.detail in ("AA", "AE", "AR", "200")
    assert getattr(outcome, "answered", True)
    assert isinstance((await post(answer("200 OK", ack, "Content-Type: text/plain")))[0], Delivered)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("9" * 400, None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
async def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    outcome, _ = await post(answer("503 Busy", b"", f"Retry-After: {header}"))
    assert outcome == Transient("503", answered=True, retry_after=seconds)


async def test_retry_after_a_date_to_come() -> None:
    until = email.utils.format_datetime(clock.now() + datetime.timedelta(seconds=100), usegmt=True)
    outcome, _ = await post(answer("429 Slow", b"", f"Retry-After: {until}"))
    assert 60 < outcome.retry_after <= 100


@given(st.text())
def test_no_retry_after_is_more_than_no_answer(text: str) -> None:
    found = http._seconds(text)
    assert found is None or found >= 0


async def test_what_is_sent() -> None:
    _, found = await post(answer("200 OK"), headers={"Authorization": f"Bearer {TOKEN}", "accept": "text/plain"})
    (head,) = found.heads
    lines = head.rstrip().lower().split("\r\n")
    assert lines[0] == "post /hl7?a=1 http/1.1"
    for line in (
        "content-type: application/hl7-v2",
        f"content-length: {len(ADT)}",
        "idempotency-key: 0192-id",
        f"authorization: bearer {TOKEN}",
        "accept: text/plain",
        "accept-encoding: identity",
        "user-agent: hilum",
    ):
        assert lines.count(line) == 1
    assert not any(line.startswith("transfer-encoding") for line in lines)
    assert found.received == [ADT]


async def test_the_content_type_is_the_formats_or_the_configured_one() -> None:
    for values, expected in (({"format": "bytes"}, "application/octet-stream"), ({"content_type": "x/y"}, "x/y")):
        _, found = await post(answer("200 OK"), **values)
        assert f"content-type: {expected}\r\n" in found.heads[0].lower()


async def test_connections_are_kept_and_cookies_are_not() -> None:
    port = free_port()
    config = read(http.Config, {"url": f"http://127.0.0.1:{port}/hl7"}, "")
    destination = http.Destination(config, DirectDialer())
    async with partner(port, answer("200 OK", b"", "Set-Cookie: session=1")) as found:
        for number in range(3):
            assert isinstance(await destination.send(Outbound(str(number), ADT)), Delivered)
        await destination.close()
    assert found.connections == 1
    assert not any("cookie" in head.lower() for head in found.heads)


async def test_a_large_answer_is_cut() -> None:
    outcome, _ = await post(answer("200 OK", b"x" * 1_000_000, "Connection: close"))
    assert outcome.response == b"x" * http.PART


async def test_an_answer_that_ends_early_still_counts() -> None:
    outcome, _ = await post(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf")
    assert isinstance(outcome, Delivered)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """The URL of a partner that talks so, once, after it read the message."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await reader.readuntil(ADT)
            await talk(reader, writer)
        done.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as found:
        yield f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}/"
        await within(10, done.wait())


async def test_a_partner_that_hangs_up_unanswered_may_have_taken_it() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with server(hang_up) as url:
        destination = http.Destination(read(http.Config, {"url": url}, ""), DirectDialer())
        assert isinstance(await destination.send(Outbound("1", ADT)), Ambiguous)
        await destination.close()


async def test_a_dripping_answer_is_bounded() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)
            if writer.is_closing():
                break

    async with server(drip) as url:
        destination = http.Destination(read(http.Config, {"url": url, "timeout": 300}, ""), DirectDialer())
        assert await within(5, destination.send(Outbound("1", ADT))) == Ambiguous("no answer in time")
        await destination.close()


# Config


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"url": "ftp://host/"}, "must be written http"),
        ({"url": "http:///path"}, "must be written http"),
        ({"url": "http://host/#x"}, "must be written http"),
        ({"url": "http://host:99999/"}, "Port"),
        ({"url": "http://user:canary@host/"}, "no credentials"),
        ({"url": "http://host/", "tls": {}}, "https"),
        ({"url": "http://host/", "headers": {"X": "canary\r\nY: 1"}}, "no header"),
        ({"url": "http://host/", "headers": {"X": " canary"}}, "no header"),
        ({"url": "http://host/", "headers": {"X Y": "canary"}}, "no header"),
        ({"url": "http://host/", "headers": {"Host": "canary"}}, "set by the hub"),
        ({"url": "http://host/", "headers": {f"X{n}": "1" for n in range(51)}}, "at most 50"),
        ({"url": "http://host/", "token": "canary"}, "at least 16"),
        ({"url": "http://host/", "allow": ["10.0.0.1/8"]}, "host bits"),
    ],
)
@pytest.mark.ledger_part("S2-36", "at most 50 headers; hop-by-hop, Host, Content-Length, CR and LF refused")
def test_a_configuration_that_cannot_work_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read(http.Config, values, "")
    assert "canary" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    config = read(http.Config, {"url": "http://host/", "token": TOKEN, "headers": {"X-Key": TOKEN}}, "")
    assert TOKEN not in repr(config)
