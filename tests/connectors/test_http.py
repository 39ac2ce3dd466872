from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
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
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Outbound
from hilum.sdk.http_client import seconds
from hilum.sdk.outcome import Ambiguous, Delivered, Permanent, Transient
from hilum.sdk.testing import DirectDialer, MemoryInbox, free_port, within

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
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
                self.heads.append(head)
                if found := [line for line in head.split("\r\n") if line.lower().startswith("content-length:")]:
                    self.received.append(await reader.readexactly(int(found[0].partition(":")[2])))
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


class TestExchange(Web, testing.ExchangeSuite):
    pass


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
    found = seconds(text)
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


async def test_a_port_that_nobody_listens_on_is_named_so() -> None:
    config = read(http.Config, {"url": f"http://127.0.0.1:{free_port()}/"}, "")
    destination = http.Destination(config, DirectDialer())
    assert await destination.send(Outbound("1", ADT)) == Transient("Connection refused")
    await destination.close()
    result = await http.Probe(config, DirectDialer()).probe()
    assert (result.detail, result.reachable) == ("Connection refused", False)


async def test_a_name_that_nobody_has_is_named_so() -> None:
    config = read(http.Config, {"url": "http://nobody.invalid/"}, "")
    destination = http.Destination(config, DirectDialer())
    outcome = await destination.send(Outbound("1", ADT))
    assert isinstance(outcome, Transient)
    assert not outcome.answered
    await destination.close()
    result = await http.Probe(config, DirectDialer()).probe()
    assert "name" in result.advice


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
