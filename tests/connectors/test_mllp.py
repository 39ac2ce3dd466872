"""The listener: frames, connections and what a peer may do to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from hilum.connectors import mllp
from hilum.errors import ConfigError
from hilum.formats import mllp as framing
from hilum.model.message import Ack, Disposition
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Dialer
from hilum.sdk.faults import ADVICE, Fault
from hilum.sdk.testing import DirectDialer, MemoryInbox, RefusingDialer, free_port, within
from hilum.sdk.testing.mllp import MllpClient, MllpPartner, Reaction, acknowledgement, mllp_client

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"


def adt(control: str, **fields: str) -> bytes:
    """An ADT^A01; `fields` fill MSH by number: f15="AL"."""
    header = ["MSH", "^~\\&", "A", "B", "C", "D", "20260101", "", "ADT^A01", control, "P", "2.5", *[""] * 7]
    for name, value in fields.items():
        header[int(name[1:]) - 1] = value
    return ("|".join(header) + "\rPID|1||4711\r").encode()


@contextlib.asynccontextmanager
async def listening(inbox: MemoryInbox, **values: Any) -> AsyncIterator[mllp.MllpSource]:
    scheme = "mllps" if "tls" in values else "mllp"
    config = read(mllp.Config, {"url": f"{scheme}://127.0.0.1:0", **values}, "")
    source = mllp.MllpSource(config, inbox, DirectDialer())
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


class Peer:
    """The suites' partner: an MLLP listener."""

    module = mllp
    reactions: ClassVar[dict[str, Reaction]] = {"takes": ["AA"], "refuses": ["AR"], "busy": ["AE"], "silent": []}

    def values(self, place: Any) -> dict[str, Any]:
        return {"url": f"mllp://127.0.0.1:{place}", "timeout": 5_000}

    @contextlib.asynccontextmanager
    async def partner(self, place: int, mood: testing.Mood) -> AsyncIterator[MllpPartner]:
        def react(body: bytes) -> Reaction:
            if body.startswith(b"MSH") or mood == "silent":
                return self.reactions[mood]
            # the suite's bodies are no messages: answered all the same, as some partners do
            return [framing.frame(b"MSH|^~\\&|P||||20260101||ACK|1|P|2.5\rMSA|" + self.reactions[mood][0].encode())]

        partner = MllpPartner(react)
        await partner.start(place)
        try:
            yield partner
        finally:
            await partner.stop()


class TestConfig(testing.ConfigSuite):
    module = mllp
    example: ClassVar[dict[str, Any]] = {"url": "mllp://127.0.0.1:2575"}


class TestSource(Peer, testing.SourceSuite):
    bodies = (
        ADT,
        adt("2"),
        adt("3") + b"NTE|1||" + bytes(range(32, 256)) + b"\r",
        adt("4") + b"NTE|1||" + b"x" * 300_000,
    )

    async def deliver(self, place: int, body: bytes) -> None:
        async with mllp_client(place) as client:
            answer = await client.ask(body)
            if answer["MSA-1"] != "AA":
                raise AssertionError(f"it was answered {answer['MSA-1']}")

    @contextlib.asynccontextmanager
    async def occupied(self, place: int) -> AsyncIterator[None]:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", place))
            other.listen()
            yield


class TestDestination(Peer, testing.DestinationSuite):
    bodies = (
        adt("1") + b"NTE|1||CANARY\r",
        b"one",
        adt("3") + b"NTE|1||\xff\xfe\r",
        adt("4") + b"NTE|1||" + b"x" * 300_000,
    )


class TestProbe(Peer, testing.ProbeSuite):
    async def test_a_failure_has_its_class(self, place: int) -> None:
        plain, secure = f"mllp://127.0.0.1:{place}", f"mllps://127.0.0.1:{place}"
        cases: list[tuple[dict[str, Any], Dialer, Fault]] = [
            ({"url": plain}, DirectDialer(), Fault.REFUSED),
            ({"url": plain}, RefusingDialer(), Fault.BLOCKED_BY_POLICY),
            ({"url": "mllp://no-such-host.invalid:1"}, DirectDialer(), Fault.DNS),
            ({"url": secure, "tls": {"ca": "/nowhere.pem"}}, DirectDialer(), Fault.CONFIGURATION),
        ]
        for values, dialer, fault in cases:
            result = await mllp.MllpProbe(read(mllp.Config, values, ""), dialer).probe()
            assert (result.reachable, result.fault, result.advice) == (False, fault, ADVICE[fault])
            assert result.detail
            assert result.timings is not None


@pytest.mark.ledger_part("S3-09", "partial frames")
async def test_a_frame_may_come_byte_by_byte() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        for byte in framing.frame(ADT):
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
        assert (await client.answer())["MSA-1"] == "AA"
    assert inbox.bodies == [ADT]


async def test_pipelined_messages_are_answered_in_their_order() -> None:
    inbox = MemoryInbox()
    controls = [f"M{number}" for number in range(600)]
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.put(*map(adt, controls))
        assert [(await client.answer())["MSA-2"] for _ in controls] == controls
    assert inbox.bodies == [adt(control) for control in controls]


async def test_a_late_commit_does_not_let_a_later_answer_overtake() -> None:
    class Slow(MemoryInbox):
        """The first message is committed last."""

        def receive(self, body: bytes, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
            future = super().receive(body, *args, **kwargs)
            if b"|M1|" not in body:
                return future
            late = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.1, lambda: late.set_result(future.result()))
            return late

    async with listening(Slow()) as source, mllp_client(source.port) as client:
        client.put(adt("M1"), adt("M2"), adt("M3"))
        assert [(await client.answer())["MSA-2"] for _ in range(3)] == ["M1", "M2", "M3"]


async def test_a_peer_that_waits_for_no_answer_is_held_not_lost() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    controls = [f"M{number}" for number in range(3_000)]
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.put(*(adt(control) + b"NTE|1||" + b"x" * 500 + b"\r" for control in controls))
        await inbox.until(257)
        (connection,) = source.connections
        assert connection.held
        taken = len(inbox.offered)
        assert taken < len(controls)
        inbox.release()
        assert [(await client.answer())["MSA-2"] for _ in controls] == controls
    assert len(inbox.bodies) == len(controls)


async def test_a_peer_that_does_not_read_its_answers_is_not_read_from() -> None:
    inbox = MemoryInbox()
    body = adt("X" * 4_000)  # its MSH-10 comes back in every answer
    count = 4_000  # 16 MB of answers: more than any socket buffer takes
    async with listening(inbox) as source, mllp_client(source.port) as client:
        writing = asyncio.create_task(_pour(client, body, count))
        last = -1
        async with asyncio.timeout(30):
            while last != len(inbox.offered) or last == 0:
                last = len(inbox.offered)
                await asyncio.sleep(0.3)
        assert last < count
        for _ in range(count):
            assert (await client.answer())["MSA-1"] == "AA"
        await writing
    assert len(inbox.bodies) == count


async def _pour(client: MllpClient, body: bytes, count: int) -> None:
    for _ in range(count):
        client.put(body)
        await client.writer.drain()


async def test_garbage_between_frames_is_skipped() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.writer.write(
            b"GET / HTTP/1.1\r\n\r\n" + framing.frame(adt("1")) + b"\x00\x1c\r\r\n" + framing.frame(adt("2"))
        )
        assert [(await client.answer())["MSA-2"] for _ in range(2)] == ["1", "2"]
    assert inbox.bodies == [adt("1"), adt("2")]


async def test_a_frame_without_its_last_cr_is_a_frame() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.writer.write(b"\x0b" + adt("1") + b"\x1c")
        assert (await client.answer())["MSA-2"] == "1"
        client.writer.write(b"\x0b" + adt("2") + b"\x1c\r")
        assert (await client.answer())["MSA-2"] == "2"


async def test_a_frame_that_is_too_big_is_rejected_and_the_connection_goes_on() -> None:
    inbox = MemoryInbox()
    big = adt("BIG") + b"NTE|1||" + b"x" * 5_000
    async with listening(inbox, max_bytes=2_000) as source, mllp_client(source.port) as client:
        client.put(adt("1"), big, adt("3"))
        answers = [await client.answer() for _ in range(3)]
    assert [(one["MSA-1"], one["MSA-2"]) for one in answers] == [("AA", "1"), ("AR", "BIG"), ("AA", "3")]
    assert "2000 bytes" in str(answers[1]["MSA-3"])
    assert [one.reason[:16] for one in inbox.stored] == ["", "larger than 2000", ""]
    assert inbox.stored[1].body == big[:2_000]


async def test_what_cannot_be_read_is_stored_and_not_answered() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.put(b"no message at all")
        await inbox.until(1)
        assert await client.silent()
        assert (await client.ask(ADT))["MSA-2"] == "MSG7"  # and the connection goes on
    assert inbox.bodies == [b"no message at all", ADT]


async def test_an_acknowledgement_is_never_acknowledged() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.writer.write(acknowledgement(ADT))
        await inbox.until(1)
        assert await client.silent()


async def test_a_silent_connection_ends_an_active_one_stays() -> None:
    inbox = MemoryInbox()
    async with contextlib.AsyncExitStack() as stack:
        source = await stack.enter_async_context(listening(inbox, idle_timeout=300))
        silent = await stack.enter_async_context(mllp_client(source.port))
        active = await stack.enter_async_context(mllp_client(source.port))
        ended = asyncio.create_task(silent.ended())
        while not ended.done():
            assert (await active.ask(ADT))["MSA-1"] == "AA"
            await asyncio.sleep(0.05)
        assert await ended
        assert (await active.ask(ADT))["MSA-1"] == "AA"


async def test_a_held_connection_does_not_end_for_its_silence() -> None:
    inbox = MemoryInbox()
    async with listening(inbox, idle_timeout=200) as source, mllp_client(source.port) as client:
        assert (await client.ask(adt("1")))["MSA-1"] == "AA"
        source.pause()
        client.put(adt("2"))
        assert await client.silent(1.0)
        assert len(inbox.offered) == 1
        source.resume()
        assert (await client.answer())["MSA-2"] == "2"


async def test_a_connection_that_waits_for_its_answer_is_not_idle() -> None:
    inbox = MemoryInbox()
    async with listening(inbox, idle_timeout=200) as source, mllp_client(source.port) as client:
        inbox.hold()
        client.put(ADT)
        await inbox.until(1)
        await asyncio.sleep(0.6)
        inbox.release()
        assert (await client.answer())["MSA-1"] == "AA"


async def test_connections_above_the_cap_are_refused() -> None:
    async with listening(MemoryInbox(), max_connections=2) as source, mllp_client(source.port) as first:
        async with mllp_client(source.port) as second:
            assert (await first.ask(ADT))["MSA-1"] == (await second.ask(ADT))["MSA-1"] == "AA"
            async with mllp_client(source.port) as third:
                assert await third.ended()
        async with asyncio.timeout(10):
            while len(source.connections) > 1:  # noqa: ASYNC110 - the other side's close has no event here
                await asyncio.sleep(0.01)
        async with mllp_client(source.port) as fourth:
            assert (await fourth.ask(ADT))["MSA-1"] == "AA"


@pytest.mark.parametrize(("allow", "admitted"), [(["127.0.0.0/8"], True), (["10.0.0.0/8", "::1"], False)])
async def test_only_allowed_addresses_may_connect(allow: list[str], admitted: bool) -> None:
    inbox = MemoryInbox()
    async with listening(inbox, allow=allow) as source, mllp_client(source.port) as client:
        if admitted:
            assert (await client.ask(ADT))["MSA-1"] == "AA"
        else:
            client.put(ADT)
            assert await client.ended()
    assert bool(inbox.offered) is admitted


@pytest.mark.parametrize("keepalive", [True, False])
async def test_the_keepalive_flag_reaches_the_socket(keepalive: bool) -> None:
    async with listening(MemoryInbox(), keepalive=keepalive) as source, mllp_client(source.port) as client:
        await client.ask(ADT)
        (connection,) = source.connections
        assert connection._transport is not None
        found = connection._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert bool(found) is keepalive


async def test_a_half_closed_peer_gets_its_answers() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with listening(inbox) as source, mllp_client(source.port) as client:
        client.put(adt("1"), adt("2"))
        client.writer.write_eof()
        await inbox.until(2)
        inbox.release()
        assert [(await client.answer())["MSA-2"] for _ in range(2)] == ["1", "2"]
        assert await client.ended()


async def test_a_peer_that_went_away_leaves_no_trouble() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with listening(inbox) as source:
        async with mllp_client(source.port) as client:
            client.put(ADT)
            await inbox.until(1)
        inbox.release()
        async with mllp_client(source.port) as client:
            assert (await client.ask(adt("2")))["MSA-1"] == "AA"
    assert len(inbox.bodies) == 2


async def test_stop_answers_what_was_taken_and_ends_the_connections() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with listening(inbox) as source, mllp_client(source.port) as busy, mllp_client(source.port) as idle:
        busy.put(adt("1"), adt("2"))
        await inbox.until(2)
        stopping = asyncio.create_task(source.stop())
        assert await idle.ended()
        assert not stopping.done()
        inbox.release()
        assert [(await busy.answer())["MSA-2"] for _ in range(2)] == ["1", "2"]
        assert await busy.ended()
        await within(10, stopping)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    """The listener's TLS options."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {"certificate": str(tmp_path / "server.pem"), "ca": str(tmp_path / "ca.pem")}


def client_context(authority: trustme.CA, *, certified: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certified:
        authority.issue_cert("sender@example.org").configure_cert(context)
    return context


@pytest.mark.ledger_part("S3-09", "MLLP over TLS")
async def test_tls(authority: trustme.CA, tls: dict[str, Any]) -> None:
    inbox = MemoryInbox()
    async with listening(inbox, tls=tls) as source:
        async with mllp_client(source.port, client_context(authority)) as client:
            assert (await client.ask(ADT))["MSA-1"] == "AA"
        async with mllp_client(source.port) as plain:
            plain.put(ADT)
            with pytest.raises((ConnectionError, TimeoutError)):
                await plain.answer(seconds=2)
        with pytest.raises(ssl.SSLError):
            async with mllp_client(source.port, ssl.create_default_context()):
                pass
    assert inbox.bodies == [ADT]


async def test_mutual_tls(authority: trustme.CA, tls: dict[str, Any]) -> None:
    inbox = MemoryInbox()
    async with listening(inbox, tls=tls | {"client": "required"}) as source:
        async with mllp_client(source.port, client_context(authority, certified=True)) as client:
            assert (await client.ask(ADT))["MSA-1"] == "AA"
        for context in (client_context(authority), client_context(trustme.CA(), certified=True)):
            with pytest.raises(OSError):  # noqa: PT011 - refused in the handshake, or right after it
                async with mllp_client(source.port, context) as client:
                    await client.ask(ADT)
    assert inbox.bodies == [ADT]


async def test_a_handshake_that_is_late_for_the_stop_is_refused(authority: trustme.CA, tls: dict[str, Any]) -> None:
    inbox = MemoryInbox()
    async with listening(inbox, tls=tls) as source:
        port = source.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)  # accepted, and waiting for a hello
        stopping = asyncio.create_task(source.stop())
        await asyncio.sleep(0.1)
        with contextlib.suppress(OSError):
            await within(5, writer.start_tls(client_context(authority), server_hostname="localhost"))
            client = MllpClient(reader, writer)
            client.put(ADT)
            assert await client.ended()
        writer.transport.abort()
        await within(20, stopping)
    assert not inbox.offered
    assert not source.connections


async def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    config = read(mllp.Config, {"url": "mllps://127.0.0.1:0", "tls": {"certificate": str(tmp_path / "none.pem")}}, "")
    with pytest.raises(ConfigError, match=r"tls: cannot load"):
        await mllp.MllpSource(config, MemoryInbox(), DirectDialer()).start()


async def test_a_port_that_is_taken_raises() -> None:
    async with listening(MemoryInbox()) as source:
        config = read(mllp.Config, {"url": f"mllp://127.0.0.1:{source.port}"}, "")
        with pytest.raises(OSError):  # noqa: PT011 - the contract names no narrower one
            await mllp.MllpSource(config, MemoryInbox(), DirectDialer()).start()


@pytest.mark.parametrize("url", ["mllp://127.0.0.1", "tcp://127.0.0.1:1", "mllp://:2575", "127.0.0.1:2575"])
def test_an_address_without_host_or_port_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected mllp"):
        read(mllp.Config, {"url": url}, "")


async def test_an_allow_list_that_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigError):
        read(mllp.Config, {"url": f"mllp://127.0.0.1:{free_port()}", "allow": ["ward 7"]}, "")


async def test_an_error_disposition_is_a_negative_answer() -> None:
    inbox = MemoryInbox()
    inbox.disposition, inbox.code = Disposition.ERROR, Ack.AE
    async with listening(inbox) as source, mllp_client(source.port) as client:
        assert (await client.ask(ADT))["MSA-1"] == "AE"
    assert inbox.bodies == [ADT]
