"""Stands between a connector and its partner, and ends or holds their connections in the middle of a file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

_PART = 65_536


class Between:
    """Hands on what is sent until `after` bytes have gone to the partner; what then becomes of it, `then` says.

    `cut`: nobody answers any more. `hold`: nothing is read any more, and nobody is told.
    """

    def __init__(self, partner: int, after: int, then: Literal["cut", "hold"]) -> None:
        """`partner`: its port on the loopback."""
        self._partner, self._left, self._then = partner, after, then
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()  # no byte more
        self._ends = asyncio.Event()
        self.port = 0

    @property
    def over(self) -> bool:
        """Was there so much to hand on?"""
        return self._over.is_set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._ends.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._over.is_set() and self._then == "cut":
            writer.transport.abort()
            return
        back, out = await asyncio.open_connection("127.0.0.1", self._partner)
        ways = [asyncio.ensure_future(one) for one in (self._there(reader, out), self._back(back, writer))]
        ending = asyncio.ensure_future(self._ends.wait())
        try:
            await asyncio.wait([*ways, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (*ways, ending):
                one.cancel()
            await asyncio.gather(*ways, ending, return_exceptions=True)
            for end in (writer, out):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(_PART):
            rest, self._left = part[: self._left], self._left - len(part)
            writer.write(rest)
            await writer.drain()
            if self._left <= 0:
                self._left = 0
                self._over.set()
                if self._then == "hold":
                    await self._ends.wait()
                if self._server is not None:
                    self._server.close()
                return

    @staticmethod
    async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(_PART):
            writer.write(part)
            await writer.drain()


@contextlib.asynccontextmanager
async def between(partner: int, after: int, then: Literal["cut", "hold"]) -> AsyncIterator[Between]:
    """One that stands there until the end of the block."""
    found = Between(partner, after, then)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()
