"""The demo's partners: systems that receive, one that always answers and one as partners really are."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from hilum import clock
from hilum.errors import FormatError
from hilum.formats import mllp
from hilum.formats.hl7v2 import Message

DOWN = 5.0  # seconds
Answer = tuple[str, str]  # acknowledgement code, text


class Temper(Protocol):
    """How a partner takes the message with this control id; None: it hangs up and is down for a while."""

    def __call__(self, control: str) -> Answer | None: ...


def reliable(control: str) -> Answer:
    """Takes everything."""
    return "AA", ""


class Moody:
    """Busy for every sixth message at first, refuses every tenth for good, goes down at every thirtieth."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, control: str) -> Answer | None:
        again = control in self._seen
        number = self._seen.setdefault(control, len(self._seen) + 1)
        if number % 10 == 4:
            return "AR", "no such record"
        if number % 6 == 2 and not again:
            return "AE", "busy, come back"
        if number % 30 == 15 and not again:
            return None
        return "AA", ""


class Partner:
    """Listens, and answers by its temper."""

    def __init__(self, port: int, temper: Temper) -> None:
        self._port = port
        self._temper = temper
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._returning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def stop(self) -> None:
        if self._returning is not None:
            self._returning.cancel()
        await self._close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._connections):
            writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 2)

    async def _pause(self) -> None:
        await self._close()
        await asyncio.sleep(DOWN)
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = mllp.Decoder()
        self._connections.add(writer)
        try:
            while data := await reader.read(65_536):
                for event in decoder.feed(data):
                    if not isinstance(event, bytes):
                        continue
                    answer = self._answer(event)
                    if answer is None:
                        self._returning = asyncio.create_task(self._pause())
                        return
                    writer.write(mllp.frame(answer))
                await writer.drain()
        except OSError:
            return  # the hub hung up
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, body: bytes) -> bytes | None:
        try:
            message = Message.parse(body)
        except FormatError:
            return None
        taken = self._temper(message.control_id)
        if taken is None:
            return None
        code, text = taken
        return message.ack(code, text or None, control_id=message.control_id[::-1][:20],
                           timestamp=clock.now().strftime("%Y%m%d%H%M%S"))  # fmt: skip
