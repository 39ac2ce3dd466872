"""What `hilum new-connector NAME` writes: a connector that works, and the test file that holds it to its contract.

The example speaks a protocol of its own, small enough to be read at a sitting; its author replaces the wire
and keeps the shape.
"""

from __future__ import annotations

import keyword
import re
import string
from pathlib import Path

from hilum.errors import ConfigError


def new_connector(name: str, root: Path) -> list[Path]:
    """Write `connectors/NAME.py` and `tests/connectors/test_NAME.py` under `root`; the paths written.

    In a checkout of Hilum the first goes to `src/hilum/connectors`. Raises ConfigError where the name can be
    no module and URL scheme, and where one of the files exists: then neither is written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{1,30}", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be a URL scheme and a Python module: 2 to 31 lower-case letters and digits, no keyword"
        )
    inside = (root / "src" / "hilum" / "connectors").is_dir()
    module = (root / "src" / "hilum" if inside else root) / "connectors" / f"{name}.py"
    test = root / "tests" / "connectors" / f"test_{name}.py"
    for path in (module, test):
        if path.exists():
            raise ConfigError(f"{path} exists already")
    words = {"name": name, "package": "hilum.connectors" if inside else "connectors"}
    for path, template in ((module, MODULE), (test, TEST)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(string.Template(template).substitute(words), encoding="utf-8")
    return [module, test]


MODULE = '''"""Messages over $name, each answered with one byte.

Say here why this connector exists and what its protocol is. The example sends a message as its length in
four bytes and its body, and is answered + (taken), - (refused for good) or ~ (later).
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse

from pydantic import Field, field_validator

from hilum import clock
from hilum.errors import Refused, StoreError
from hilum.sdk import config, contracts
from hilum.sdk.contracts import Connector, Dialer, Inbox, Outbound, ProbeResult
from hilum.sdk.faults import ADVICE, fault_of, reason_of
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient

ANSWERS: dict[bytes, Outcome] = {
    b"+": Delivered("taken"),
    b"-": Permanent("refused"),
    b"~": Transient("busy", answered=True),
}


class Config(config.Config):
    """Each description becomes a line of the form and of the reference page."""

    url: str = Field(..., description="The address as $name://host:port.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds to wait for an answer.")
    max_bytes: int = Field(16 << 20, ge=1, description="In: the largest message; others are stored as errors.")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "$name" or not parts.hostname or not parts.port:
            raise ValueError("must be written $name://host:port")
        return url

    @property
    def address(self) -> tuple[str, int]:
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname or "", parts.port or 0


class Source(contracts.Source[Config]):
    """Listens. The inbox stores; only then is a message answered."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._running = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._busy: dict[asyncio.Task[None], bool] = {}  # connections; True: a message waits for its answer

    async def start(self) -> None:
        self._running.set()
        self._server = await asyncio.start_server(self._accept, *self.config.address)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server:
            server.close()
        for task, busy in self._busy.items():
            if not busy:
                task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)
        if server:
            await server.wait_closed()

    def pause(self) -> None:
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._busy[task] = False
        task.add_done_callback(self._busy.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - a coroutine that runs has a task
        gone = (OSError, asyncio.IncompleteReadError, StoreError)  # no answer: the partner sends again
        with contextlib.closing(writer), contextlib.suppress(*gone):
            while self._server:
                length = int.from_bytes(await reader.readexactly(4), "big")
                if length > self.config.max_bytes:
                    await self.inbox.reject(b"", f"a message of {length} bytes is too large")
                    break
                body = await reader.readexactly(length)
                await self._running.wait()
                self._busy[task] = True
                receipt = await asyncio.shield(self.inbox.receive(body))
                writer.write(b"+" if receipt.code.positive else b"-")
                await writer.drain()
                self._busy[task] = False


class Destination(contracts.Destination[Config]):
    """Sends over a connection of its own. Retries, lanes and logs are the hub's."""

    async def send(self, outbound: Outbound) -> Outcome:
        sent = False
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                reader, writer = await self._connect()
                with contextlib.closing(writer):
                    sent = True
                    writer.write(len(outbound.body).to_bytes(4, "big") + outbound.body)
                    await writer.drain()
                    answer = await reader.readexactly(1)
        except Refused as error:
            return Transient(str(error))
        except (OSError, asyncio.IncompleteReadError) as error:
            reason = type(error).__name__
            return Ambiguous(f"no answer: {reason}") if sent else Transient(f"not reached: {reason}")
        return ANSWERS.get(answer, Ambiguous("an answer that is none"))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self.dialer.connect(lambda: protocol, *self.config.address)
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


class Probe(contracts.Probe[Config]):
    """Connects and hangs up: a probe must not do anything at the partner."""

    async def probe(self) -> ProbeResult:
        start = clock.monotonic()
        detail, fault = "connected", None
        try:
            transport, _ = await self.dialer.connect(
                asyncio.Protocol, *self.config.address, timeout=self.config.timeout / 1000
            )
            transport.abort()
        except (OSError, Refused) as error:
            detail, fault = reason_of(error), fault_of(error)
        took = (clock.monotonic() - start) * 1000
        return ProbeResult(fault is None, took, detail, ADVICE[fault] if fault else "", fault)


connector = Connector(("$name",), Config, Source, Destination, Probe)
'''

TEST = '''"""The suites hold $name to the contract; what only $name does is tested below them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from $package import $name
from hilum.sdk import testing

ANSWERS = {"takes": b"+", "refuses": b"-", "busy": b"~", "silent": b""}


class Partner:
    """The other end, which answers every message with the same byte."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.received: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                self.received.append(await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()


class Wire:
    """What the suites need to know about this protocol."""

    module = $name

    def values(self, place: int) -> dict[str, Any]:
        return {"url": f"$name://127.0.0.1:{place}", "timeout": 5_000}

    @contextlib.asynccontextmanager
    async def partner(self, place: int, mood: testing.Mood) -> AsyncIterator[Partner]:
        found = Partner(ANSWERS[mood])
        async with await asyncio.start_server(found.serve, "127.0.0.1", place):
            yield found
        for writer in found.writers:
            writer.close()


class TestConfig(testing.ConfigSuite):
    module = $name
    example: ClassVar[dict[str, Any]] = {"url": "$name://127.0.0.1:1"}


class TestSource(Wire, testing.SourceSuite):
    async def deliver(self, place: int, body: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", place)
        with contextlib.closing(writer):
            writer.write(len(body).to_bytes(4, "big") + body)
            await writer.drain()
            if await reader.read(1) != b"+":
                raise ConnectionError("the message was not taken")

    @contextlib.asynccontextmanager
    async def occupied(self, place: int) -> AsyncIterator[None]:
        async with self.partner(place, "takes"):
            yield


class TestDestination(Wire, testing.DestinationSuite):
    pass


class TestProbe(Wire, testing.ProbeSuite):
    pass
'''
