"""An answer in one piece: uvicorn writes head and body apart, two system calls that wake the client twice."""

from __future__ import annotations

import asyncio
from typing import Any

_MOST = 64 << 10  # bytes that wait for the end of the loop's turn


class Joined:
    """A transport that sends together what is written in one turn of the loop."""

    __slots__ = ("_held", "_loop", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST:  # a long answer goes on in pieces, and its flow is controlled
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._size = 0
            self._transport.write(data)
