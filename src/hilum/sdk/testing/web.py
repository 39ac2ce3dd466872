"""The other end of HTTP, played by a test: a partner that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A request as it came. Names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """An answer, after `wait` seconds. `status` 0: the connection ends instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reason: str = "As told"
    wait: float = 0.0


class HttpPartner:
    """A listener. `next` holds answers to the coming requests, `react` decides on all others (default: 200, {})."""

    def __init__(self, react: Callable[[Heard], Said] | None = None) -> None:
        self.react = react or (lambda _: Said())
        self.next: deque[Said] = deque()
        self.heard: list[Heard] = []
        self.accepted = 0  # connections, ever
        self.port = 0
        self.gate = asyncio.Event()  # cleared: nobody is answered until it is set again
        self.gate.set()
        self._scheme = "http"
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def methods(self) -> list[str]:
        """Of what was heard, in order."""
        return [one.method for one in self.heard]

    def url(self, path: str = "/") -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen on the loopback; the same port again after `stop` unless told otherwise."""
        self._scheme = "https" if tls else "http"
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", port or self.port, ssl=tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, end those that are open."""
        if self._server is None:
            return
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def until(self, count: int, *, seconds: float = 30.0) -> None:
        """Wait until `count` requests were heard. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False: the connection ends."""
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (one.partition(":") for one in rest if one)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = line.split(" ", 2)
        self.heard.append(Heard(method, target, headers, body))
        self._news.set()
        said = self.next.popleft() if self.next else self.react(self.heard[-1])
        if said.wait:
            await asyncio.sleep(said.wait)
        await self.gate.wait()
        if not said.status:
            return False
        told = {"content-type": "application/json", "content-length": str(len(said.body)), **said.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        writer.write(f"HTTP/1.1 {said.status} {said.reason}\r\n{lines}\r\n".encode("latin-1"))
        if method != "HEAD":
            writer.write(said.body)
        return True


@contextlib.asynccontextmanager
async def http_partner(react: Callable[[Heard], Said] | None = None) -> AsyncIterator[HttpPartner]:
    """A partner that listens until the end of the block."""
    partner = HttpPartner(react)
    await partner.start()
    try:
        yield partner
    finally:
        await partner.stop()
