"""An HTTP/1.1 listener for connectors that take requests: bounded in size, time and connections.

It speaks RFC 9112 through h11 and knows nothing of messages: a connector gives it a `Handler`. A request that
was handed over is answered before its connection closes; what is not complete when it stops was never taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email.utils
import http
import ipaddress
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

import h11

from hilum import clock, telemetry

HEAD = 16_384  # bytes of a request's line and headers
PART = 65_536  # bytes that are read at once, and kept of an oversized body
LINGER = 2.0  # seconds in which a refused partner may still read the answer

log = telemetry.logger("sdk.http")


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request. Header names are lower case; the last of several counts. `check` sees it without its body."""

    method: str
    target: str
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target's path, percent-encoded as it came; empty where the target is no URL."""
        try:
            return urllib.parse.urlsplit(self.target).path
        except ValueError:
            return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A status, its content and what is said about it."""

    status: int
    content: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Refusal(Exception):
    """The request is answered with this status and reason; `body` is what was read of one that was too large."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers, self.body = status, reason, headers or {}, body


class Handler(Protocol):
    """What a connector does with requests."""

    def check(self, request: Request) -> None:
        """Before the body is read. Raises Refusal."""
        ...

    async def take(self, request: Request) -> Answer:
        """Do it, and answer once it is done. Raises Refusal."""
        ...

    async def refused(self, peer: str, refusal: Refusal) -> None:
        """Told before a refusal is answered."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body, connections at a time, seconds of an idle connection and of a request, networks (CIDR)."""

    max_bytes: int = 16 << 20
    max_connections: int = 200
    idle: float = 60.0
    timeout: float = 30.0
    allow: tuple[str, ...] = ()


class Listener:
    """Accepts connections. A pause holds them: nothing more is read, nothing more is handed over."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.running = asyncio.Event()
        self.stopping = False
        self._networks = [ipaddress.ip_network(network) for network in limits.allow]
        self._visits: dict[asyncio.Task[None], _Visit] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Returns once it listens. Raises OSError where the address is taken."""
        self.stopping = False
        self.running.set()
        self._server = await asyncio.start_server(
            self._accept,
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=10.0 if tls else None,
            ssl_shutdown_timeout=LINGER if tls else None,
        )

    async def stop(self) -> None:
        """Take nothing new, answer what was taken, close."""
        self.stopping = True
        server, self._server = self._server, None
        if server:
            server.close()
        for task, visit in self._visits.items():
            if not visit.busy:
                task.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        if server:
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        if self.stopping or not self._allowed(peer):
            log.info("connection refused", peer=peer)
            writer.transport.abort()
        elif len(self._visits) >= self.limits.max_connections:
            log.warning("too many connections", peer=peer, connections=len(self._visits))
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")
            writer.close()
        else:
            visit = _Visit(self, reader, writer, peer)
            task = asyncio.get_running_loop().create_task(visit.serve())
            self._visits[task] = visit
            task.add_done_callback(self._visits.pop)

    def _allowed(self, peer: str) -> bool:
        if not self._networks:
            return True
        address = ipaddress.ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


class _Visit:
    """One connection: requests one after the other, whether they were sent so or all at once."""

    def __init__(
        self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        self.listener, self.reader, self.writer, self.peer = listener, reader, writer, peer
        self.limits = listener.limits
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)
        self.busy = False  # a request is with the handler, or its answer on the way
        self.deadline = 0.0
        self.method = ""

    async def serve(self) -> None:
        try:
            while await self._exchange():
                self.http.start_next_cycle()
        except (OSError, h11.LocalProtocolError):
            pass  # the partner left; whoever got no answer will send again
        except Exception:
            log.exception("connection failed", peer=self.peer)
        finally:
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()

    async def _exchange(self) -> bool:
        """One request and its answer. Is there to be another one?"""
        try:
            request = await self._request()
            if request is None:
                return False
            self.listener.handler.check(request)
            request = dataclasses.replace(request, body=await self._body(request))
            await self.listener.running.wait()
            self.busy = True
            answer = await self.listener.handler.take(request)
        except h11.RemoteProtocolError as error:
            await self._refuse(Refusal(error.error_status_hint, "this is not HTTP/1.1"))
        except Refusal as refusal:
            await self._refuse(refusal)
        else:
            await self._answer(answer)
            self.busy = False
        return not self.listener.stopping and set(self.http.states.values()) == {h11.DONE}

    async def _request(self) -> Request | None:
        """The next request's head; None where the partner has no more to say."""
        if not self.http.trailing_data[0]:
            self.deadline = clock.monotonic() + self.limits.idle
            await self._read()
        self.deadline = clock.monotonic() + self.limits.timeout
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        self.method = event.method.decode("latin-1")
        return Request(self.method, event.target.decode("latin-1"), headers, self.peer)

    async def _body(self, request: Request) -> bytes:
        if int(request.headers.get("content-length", "0")) > self.limits.max_bytes:
            raise self._oversized(b"")
        if self.http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > self.limits.max_bytes:
                raise self._oversized(bytes(body[:PART]))
        return bytes(body)

    def _oversized(self, body: bytes) -> Refusal:
        return Refusal(413, f"the body has more than {self.limits.max_bytes} bytes", body=body)

    async def _event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            try:
                await self._read()
            except TimeoutError:
                raise Refusal(408, "the request took too long") from None
        return event

    async def _read(self) -> None:
        held = clock.monotonic()
        await self.listener.running.wait()
        self.deadline += clock.monotonic() - held  # a pause is not the partner's delay
        async with asyncio.timeout(max(0.0, self.deadline - clock.monotonic())):
            self.http.receive_data(await self.reader.read(PART))

    async def _refuse(self, refusal: Refusal) -> None:
        self.busy = True
        await self.listener.handler.refused(self.peer, refusal)
        headers = dict(refusal.headers)
        complete = self._complete()
        if not complete:
            headers["connection"] = "close"  # what is left of the body would be read as the next request
        content = json.dumps({"error": refusal.reason}).encode()
        await self._answer(Answer(refusal.status, content, headers=headers))
        self.busy = False
        if not complete:
            await self._linger()

    def _complete(self) -> bool:
        """Is the whole request here already? Then the connection can go on."""
        try:
            while self.http.their_state is h11.SEND_BODY and self.http.next_event() is not h11.NEED_DATA:
                pass
        except h11.RemoteProtocolError:
            return False
        return self.http.their_state is h11.DONE

    async def _answer(self, answer: Answer) -> None:
        headers = {
            "content-type": answer.content_type,
            "content-length": str(len(answer.content)),
            "date": email.utils.format_datetime(clock.now(), usegmt=True),
            **answer.headers,
        }
        if self.listener.stopping:
            headers["connection"] = "close"
        reason = http.HTTPStatus(answer.status).phrase
        self._write(h11.Response(status_code=answer.status, headers=list(headers.items()), reason=reason))
        if self.method != "HEAD":
            self._write(h11.Data(data=answer.content))
        self._write(h11.EndOfMessage())
        async with asyncio.timeout(self.limits.timeout):
            await self.writer.drain()

    def _write(self, event: Any) -> None:
        self.writer.write(self.http.send(event) or b"")

    async def _linger(self) -> None:
        """Closing with unread bytes resets the connection, and the partner would lose the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                while await self.reader.read(PART):
                    pass
