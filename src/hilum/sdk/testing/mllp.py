"""The other end of MLLP, played by a test: a partner that reacts as it is told, and a sender that pipelines.

A reaction is a list of moves: "AA" (or another code of table 0008) acknowledges, bytes are written as they are,
a number waits that many seconds, CLOSE ends the connection. An empty list never answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, cast

from hilum.formats import hl7v2, mllp

CLOSE: Final = "close"
Move = str | bytes | float
Reaction = Sequence[Move]


def acknowledgement(body: bytes, code: str = "AA", *, control: bytes | None = None, text: str | None = None) -> bytes:
    """The framed ACK of a message; `control` puts another message's MSH-10 into MSA-2."""
    answer = hl7v2.Message.parse(body).ack(code, text, (), timestamp="20260101", control_id="ACK1")
    if control is not None:
        found = hl7v2.Message.parse(answer)
        found.set_raw("MSA-2", control)
        answer = bytes(found)
    return mllp.frame(answer)


def control_of(body: bytes) -> str:
    """MSH-10; empty where there is none."""
    return hl7v2.Message.parse(body).control_id if body.startswith(b"MSH") else ""


class MllpPartner:
    """A listener. `next` holds reactions to the coming messages, `react` decides on all others (default: AA)."""

    def __init__(self, react: Callable[[bytes], Reaction] | None = None) -> None:
        self.react = react or (lambda _: ["AA"])
        self.next: deque[Reaction] = deque()
        self.received: list[bytes] = []
        self.accepted = 0  # connections, ever
        self.open: set[_Serving] = set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def controls(self) -> list[str]:
        """MSH-10 of what was received, in order."""
        return [control_of(body) for body in self.received]

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen on the loopback; the same port again after `stop` unless told otherwise."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Serving(self), "127.0.0.1", port or self.port, ssl=tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, end those that are open."""
        if self._server is not None:
            self._server.close()
            self.hang_up()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def hang_up(self) -> None:
        """End the open connections; new ones are welcome."""
        for connection in list(self.open):
            connection.end()

    async def until(self, count: int, *, seconds: float = 30.0) -> None:
        """Wait until `count` messages were received. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:
                self._news.clear()
                await self._news.wait()

    def take(self, body: bytes, connection: _Serving) -> None:
        self.received.append(body)
        self._news.set()
        reaction = self.next.popleft() if self.next else self.react(body)
        if any(isinstance(move, float) for move in reaction):
            task = asyncio.get_running_loop().create_task(self._play(body, reaction, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            for move in reaction:
                connection.do(body, cast("str | bytes", move))

    async def _play(self, body: bytes, reaction: Reaction, connection: _Serving) -> None:
        for move in reaction:
            if isinstance(move, float):
                await asyncio.sleep(move)
            else:
                connection.do(body, move)


class _Serving(asyncio.Protocol):
    def __init__(self, partner: MllpPartner) -> None:
        self._partner = partner
        self._decoder = mllp.Decoder()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._partner.accepted += 1
        self._partner.open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._partner.open.discard(self)

    def data_received(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            if isinstance(event, bytes):
                self._partner.take(event, self)

    def do(self, body: bytes, move: str | bytes) -> None:
        if self._transport is None:
            return
        if move == CLOSE:
            self._transport.close()
        else:
            self._transport.write(acknowledgement(body, move) if isinstance(move, str) else move)

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class MllpClient:
    """A sender on one connection: `put` does not wait, `answer` takes the next one that comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = mllp.Decoder()
        self._answers: deque[hl7v2.Message] = deque()

    def put(self, *bodies: bytes) -> None:
        """Frame and write."""
        self.writer.write(b"".join(map(mllp.frame, bodies)))

    async def answer(self, *, seconds: float = 10.0) -> hl7v2.Message:
        """The next answer. Raises TimeoutError, and ConnectionError where the connection ended."""
        async with asyncio.timeout(seconds):
            while not self._answers:
                data = await self.reader.read(65_536)
                if not data:
                    raise ConnectionError("the connection ended")
                found = [event for event in self._decoder.feed(data) if isinstance(event, bytes)]
                self._answers.extend(map(hl7v2.Message.parse, found))
        return self._answers.popleft()

    async def ask(self, body: bytes, *, seconds: float = 10.0) -> hl7v2.Message:
        """Send one, wait for one answer."""
        self.put(body)
        return await self.answer(seconds=seconds)

    async def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing came back within that time."""
        try:
            await self.answer(seconds=seconds)
        except TimeoutError:
            return True
        return False

    async def ended(self, *, seconds: float = 10.0) -> bool:
        """Wait until the other side ended the connection. False: it is open after that time, or it answered."""
        try:
            await self.answer(seconds=seconds)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return False


@contextlib.asynccontextmanager
async def mllp_client(
    port: int, tls: ssl.SSLContext | None = None, *, server_name: str = "localhost"
) -> AsyncIterator[MllpClient]:
    """Connect to the loopback. Raises OSError."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=server_name if tls else None
    )
    try:
        yield MllpClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def mllp_partner(react: Callable[[bytes], Reaction] | None = None, port: int = 0) -> AsyncIterator[MllpPartner]:
    """A partner that listens until the end of the block."""
    partner = MllpPartner(react)
    await partner.start(port)
    try:
        yield partner
    finally:
        await partner.stop()
