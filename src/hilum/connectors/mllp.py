"""HL7 v2 over MLLP, plain or TLS: a listener that acknowledges what is on disk, a sender that waits for its ACK.

Original mode answers one AA, AE or AR. Enhanced mode (MSH-15, MSH-16; chapter 2, 2.9) answers CA, CE or CR
once the message is stored, and AA, AE or AR as a message of its own after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import deque
from typing import cast
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from hilum import clock, telemetry
from hilum.errors import ConfigError, FormatError, Refused
from hilum.formats import hl7v2, mllp
from hilum.sdk.acknowledge import Acknowledgement, acknowledge
from hilum.sdk.config import Config as SdkConfig
from hilum.sdk.contracts import Connector, Destination, Dialer, Inbox, Outbound, Probe, ProbeResult, Receipt, Source
from hilum.sdk.faults import ADVICE, Timings, fault_of, reason_of
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.tls import Tls, version_of

log = telemetry.logger("mllp")
_CODE, _CONTROL = hl7v2.Path.parse("MSA-1"), hl7v2.Path.parse("MSA-2")
_UNANSWERED = 256  # frames of one connection that wait for their answer before it is read on
_CONNECT = 10.0
_FINISH = 8.0  # seconds that answers may take when the listener stops


class Config(SdkConfig):
    """An MLLP address."""

    url: str = Field(..., description="mllp://host:port, or mllps://host:port for TLS.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Sender: milliseconds to wait for an ACK.")
    ack: Acknowledgement = Field(Acknowledgement(), description="Listener: how to answer.")
    tls: Tls = Field(Tls(), description="Certificates, for mllps.")
    allow: list[str] = Field([], description="Listener: addresses or networks that may connect; empty: all.")
    max_bytes: int = Field(10 << 20, ge=1_024, le=1 << 30, description="Listener: the biggest frame that is taken.")
    max_connections: int = Field(256, ge=1, le=65_000, description="Listener: connections at the same time.")
    idle_timeout: int = Field(0, ge=0, description="Listener: milliseconds of silence that end a connection; 0: never.")
    keepalive: bool = Field(True, description="TCP keep-alive, so that a dead peer is noticed.")
    application_timeout: int = Field(60_000, ge=100, description="Sender: milliseconds to wait for AA after CA.")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("mllp", "mllps") or not parts.hostname or parts.port is None:
            raise ValueError("expected mllp://host:port or mllps://host:port")
        return url

    @field_validator("allow")
    @classmethod
    def _networks(cls, allow: list[str]) -> list[str]:
        for one in allow:
            ipaddress.ip_network(one)
        return allow

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def secure(self) -> bool:
        return self.url.startswith("mllps:")


class MllpSource(Source[Config]):
    """Listens."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self.connections: set[Listening] = set()
        self.paused = self.stopping = False
        self.networks = [ipaddress.ip_network(one) for one in config.allow]
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        tls = self.config.tls.listener() if self.config.secure else None
        self.stopping = False
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Listening(self), self.config.host, self.config.port, ssl=tls, reuse_address=True, backlog=1024
        )
        if self.config.idle_timeout:
            self._sweep = asyncio.create_task(self._end_idle())

    @property
    def port(self) -> int:
        """The port that is listened on, also where the configuration says 0."""
        assert self._server is not None  # noqa: S101 - asked for after start
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        self.stopping = True
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.finish()
        if waits := [connection.closed for connection in self.connections]:
            await asyncio.wait(waits, timeout=_FINISH)
        for connection in list(self.connections):
            connection.abort()
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 5)
            self._server = None

    def pause(self) -> None:
        self.paused = True
        for connection in self.connections:
            connection.steer()

    def resume(self) -> None:
        self.paused = False
        for connection in self.connections:
            connection.steer()

    def admits(self, peer: str) -> str | None:
        """None, or why a peer may not connect."""
        if self.stopping:
            return "the listener stops"
        if len(self.connections) >= self.config.max_connections:
            return f"{self.config.max_connections} connections are open already"
        if self.networks and not any(ipaddress.ip_address(peer) in one for one in self.networks):
            return "its address is not allowed"
        return None

    async def _end_idle(self) -> None:
        limit = self.config.idle_timeout / 1000
        while True:
            await asyncio.sleep(min(limit, 5.0) / 2)
            now = clock.monotonic()
            for connection in list(self.connections):
                if connection.waiting or connection.held:
                    connection.heard_at = now  # it is our turn to speak, or to read
                elif now - connection.heard_at > limit:
                    log.info("idle connection closed", peer=connection.peer)
                    connection.finish()


class Listening(asyncio.Protocol):
    """One connection of a listener. Answers leave in the order in which their messages came."""

    def __init__(self, source: MllpSource) -> None:
        self._source = source
        self._decoder = mllp.Decoder(source.config.max_bytes)
        self._transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[bytes, asyncio.Future[Receipt]]] = deque()
        self._ending = self._choked = self.held = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_at = clock.monotonic()
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        reason = self._source.admits(self.peer)
        if reason is not None:
            log.warning("connection refused", peer=self.peer, reason=reason)
            self._transport.abort()
            return
        if self._source.config.keepalive:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._source.connections.add(self)
        asyncio.get_running_loop().call_soon(self.steer)  # uvloop begins to read right after this method

    def connection_lost(self, error: Exception | None) -> None:
        self._source.connections.discard(self)
        self._transport = None
        for event in self._decoder.close():
            log.warning("connection ended", peer=self.peer, left=str(event))
        if not self.closed.done():
            self.closed.set_result(None)

    def eof_received(self) -> bool:
        self.finish()
        return not self._source.config.secure  # half-closed: what was received is still answered (TLS cannot)

    def data_received(self, data: bytes) -> None:
        self.heard_at = clock.monotonic()
        source = self._source
        wait = source.config.ack.timeout / 1000 if source.config.ack.when == "delivered" else None
        for event in self._decoder.feed(data):
            if isinstance(event, bytes):
                body, future = event, source.inbox.receive(event, wait=wait)
            elif isinstance(event, mllp.Oversized):
                reason = f"larger than {event.max_bytes} bytes; only its beginning was kept"
                body, future = event.head, source.inbox.reject(event.head, reason)
            else:
                log.warning("bytes dropped", peer=self.peer, what=str(event))
                continue
            self.waiting.append((body, future))
            future.add_done_callback(self._answer)
        if len(self.waiting) > _UNANSWERED:
            self.steer()

    def steer(self) -> None:
        """Read on, or hold the socket."""
        hold = self._source.paused or len(self.waiting) > _UNANSWERED or self._choked or self._ending
        if self._transport is None or hold == self.held:
            return
        self.held = hold
        with contextlib.suppress(RuntimeError):  # it is closing
            (self._transport.pause_reading if hold else self._transport.resume_reading)()

    def pause_writing(self) -> None:
        self._choked = True  # a peer that does not read its answers is not read from
        self.steer()

    def resume_writing(self) -> None:
        self._choked = False
        self.steer()

    def finish(self) -> None:
        """Take nothing more; close once everything taken is answered."""
        self._ending = True
        self.steer()
        if not self.waiting and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, _: asyncio.Future[Receipt]) -> None:
        waiting = self.waiting
        while waiting and waiting[0][1].done():
            body, future = waiting.popleft()
            if future.cancelled():
                continue
            error = future.exception()
            if self._transport is None:
                continue
            answers = acknowledge(self._source.config.ack, body, None if error else future.result())
            if answers:
                self._transport.write(b"".join(map(mllp.frame, answers)))
            if error:
                log.error("a message could not be stored", peer=self.peer, reason=str(error))
        if self.held:
            self.steer()
        if self._ending and not waiting and self._transport is not None:
            self._transport.close()


class MllpDestination(Destination[Config]):
    """Sends over connections that stay open, one message outstanding on each."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._idle: list[Sending] = []
        self.open: set[Sending] = set()
        self._tls = config.tls.sender() if config.secure else None
        self._judging: dict[bytes, deque[tuple[int, asyncio.TimerHandle]]] = {}  # committed, judged later

    async def send(self, outbound: Outbound) -> Outcome:
        connection = self._take()
        if connection is None:
            try:
                connection = await self._connect()
            except (OSError, Refused) as error:
                return Transient(f"cannot connect: {str(error) or type(error).__name__}")
        outcome = await connection.exchange(outbound, self.config.timeout / 1000)
        if connection.usable:
            self._idle.append(connection)
        return outcome

    async def close(self) -> None:
        while self._judging:
            self._judged(next(iter(self._judging)))
        for connection in list(self.open):
            connection.close()
        if closed := [connection.closed for connection in self.open]:
            await asyncio.wait(closed, timeout=5)

    def forget(self, connection: Sending) -> None:
        self.open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def stray(self, code: str, control: bytes) -> None:
        """An ACK that no send waits for: the later judgement of enhanced mode, or a late or foreign one."""
        if control not in self._judging or code not in ("AA", "AE", "AR"):
            log.warning("ACK matched nothing and was dropped", code=code)
            return
        delivery = self._judged(control)
        if code != "AA" and self.late is not None:
            # after the send that it judges, whose CA may have come in the same packet, has returned
            asyncio.get_running_loop().call_soon(self.late, delivery, f"application acknowledgement {code}")

    def _take(self) -> Sending | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> Sending:
        _, protocol = await self.dialer.connect(
            lambda: Sending(self), self.config.host, self.config.port, tls=self._tls,
            timeout=min(_CONNECT, self.config.timeout / 1000), server_name=self.config.tls.server_name,
        )  # fmt: skip
        assert isinstance(protocol, Sending)  # noqa: S101 - what the factory makes
        if not protocol.usable:
            raise ConnectionResetError("the partner closed the connection at once")
        return protocol

    def judge_later(self, control: bytes, delivery: int, expected: bool) -> None:
        """A commit ACK came. `expected`: an application ACK must follow; else only bad news does."""

        def overdue() -> None:
            late = self._judged(control)
            if expected and self.late is not None:
                self.late(late, "no application acknowledgement came")

        timer = asyncio.get_running_loop().call_later(self.config.application_timeout / 1000, overdue)
        self._judging.setdefault(control, deque()).append((delivery, timer))

    def _judged(self, control: bytes) -> int:
        """The delivery that has waited longest for an application ACK that names `control`; it waits no more."""
        line = self._judging[control]
        delivery, timer = line.popleft()
        timer.cancel()
        if not line:
            del self._judging[control]
        return delivery


class Sending(asyncio.Protocol):
    """One connection of a sender."""

    def __init__(self, owner: MllpDestination) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._decoder = mllp.Decoder(1 << 20)
        self._transport: asyncio.Transport | None = None
        self._control = self._wish = b""  # MSH-10 and MSH-16 of the message that waits for its answer
        self._delivery = 0
        self._answer: asyncio.Future[Outcome] | None = None
        self._due = 0.0  # when the answer is late
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._owner.open.add(self)
        if self._owner.config.keepalive:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._owner.forget(self)
        self._give(Ambiguous("the connection ended before the ACK"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            if isinstance(event, bytes):
                self._judge(event)

    async def exchange(self, outbound: Outbound, timeout: float) -> Outcome:  # noqa: ASYNC109 - an outcome
        """Send, wait for the ACK that names the message."""
        assert self._transport is not None  # noqa: S101 - it is usable
        self._control, self._wish = _identify(outbound.body)
        self._delivery = outbound.delivery
        self._answer = self._loop.create_future()
        self._due = clock.monotonic() + timeout
        if self._timer is None:  # it goes on from message to message: most are answered long before
            self._timer = self._loop.call_later(timeout, self._expire, timeout)
        self._transport.write(mllp.frame(outbound.body))
        try:
            return await self._answer
        finally:
            if self._answer.cancelled():  # nobody waits for its answer: it must not meet the next message
                self.close()
            self._answer = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _expire(self, timeout: float) -> None:
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        if (left := self._due - clock.monotonic()) > 0:
            self._timer = self._loop.call_later(left, self._expire, timeout)
            return
        self._give(Ambiguous(f"no ACK within {timeout:g} s"))
        if self._transport is not None:
            self._transport.abort()  # a late ACK must not meet the next message

    def _give(self, outcome: Outcome) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)

    def _judge(self, answer: bytes) -> None:
        try:
            message = hl7v2.Message.parse(answer)
        except FormatError:
            log.warning("an answer cannot be read and was dropped", bytes=len(answer))
            return
        code = (message.raw(_CODE) or b"").decode("latin-1")
        control = message.raw(_CONTROL) or b""
        outstanding = self._answer is not None and not self._answer.done()
        if not outstanding or (self._control and control != self._control):
            self._owner.stray(code, control)
            return
        if code == "CA" and self._wish in (b"AL", b"SU", b"ER"):
            self._owner.judge_later(control, self._delivery, self._wish != b"ER")
        if code in ("AA", "CA"):
            self._give(Delivered(code, answer))
        elif code in ("AE", "CE", "AR", "CR"):
            said = message.get("MSA-3") or message.get("ERR-8")
            detail = f"{code}: {said}" if said else code
            self._give(Transient(detail, answered=True) if code[1] == "E" else Permanent(detail))
        else:
            self._give(Transient(f"an answer without an acknowledgement code: {code!r}", answered=True))


def _identify(body: bytes) -> tuple[bytes, bytes]:
    """MSH-10 and MSH-16 (which tells what follows a commit); empty where they cannot be read."""
    line = body.partition(b"\r")[0]
    if line.startswith(b"MSH|") and b"\n" not in line:  # as nearly all are: its first line is enough
        fields = line.split(b"|", 16)
        if len(fields) > 16:
            return fields[9], fields[15]
    try:
        header = hl7v2.Message.parse(body).header
    except FormatError:
        return b"", b""
    return header[10], header[16]


class MllpProbe(Probe[Config]):
    """Connects and, for mllps, shakes hands; sends nothing."""

    async def probe(self) -> ProbeResult:
        at = clock.monotonic()
        try:
            tls = self.config.tls.sender() if self.config.secure else None
            transport, _ = await self.dialer.connect(
                asyncio.Protocol, self.config.host, self.config.port, tls=tls, timeout=_CONNECT,
                server_name=self.config.tls.server_name,
            )  # fmt: skip
        except (OSError, Refused, ConfigError) as error:
            took, fault = (clock.monotonic() - at) * 1000, fault_of(error)
            return ProbeResult(False, took, reason_of(error), ADVICE[fault], fault, timings=Timings(took))
        took, version = (clock.monotonic() - at) * 1000, version_of(transport)
        transport.abort()
        return ProbeResult(True, took, "connected", timings=Timings(took), tls=version)


connector = Connector(
    schemes=("mllp", "mllps"), config=Config, source=MllpSource, destination=MllpDestination, probe=MllpProbe,
    format="hl7v2",
    plain=("mllp",),
)  # fmt: skip
