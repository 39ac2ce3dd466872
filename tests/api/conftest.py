"""A running hub with an MLLP feed and two partners that answer as a test tells them; clients of its HTTP edge."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.app import SOCKET, Hub
from hilum.formats import hl7v2
from hilum.sdk.testing import free_port
from hilum.settings import Settings

CONFIG = """
version: 1
organization: demo
integrations:
  - name: adt
    type: HL7
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}", search: {{visit: PV1-19}}}}
  - name: lab
    type: LAB_SYSTEM
    protocol: hl7_v2
    endpoints:
      - {{name: out, direction: outbound, url: "mllp://127.0.0.1:{lab}", timeout: 5000, retries: 0, on_dead: block}}
  - name: registry
    type: OTHER
    protocol: hl7_v2
    endpoints:
      - {{name: out, direction: outbound, url: "mllp://127.0.0.1:{registry}", timeout: 5000, retries: 0}}
routes:
  - name: adt-to-lab
    from: adt/in
    steps: [{{filter: {{where: "MSH-9.1 == 'ADT'"}}}}, {{map: {{set: {{MSH-5: LAB}}}}}}]
    to: [lab/out]
  - name: oru-to-registry
    from: adt/in
    steps: [{{filter: {{where: "MSH-9.1 == 'ORU'"}}}}]
    to: [registry/out]
"""


class Partner:
    """An MLLP receiver. `code` is what it answers; `bodies` what it was given."""

    def __init__(self) -> None:
        self.code = "AA"
        self.bodies: list[bytes] = []
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                body = (await reader.readuntil(b"\x1c\r"))[1:-2]
                self.bodies.append(body)
                control = hl7v2.Message.parse(body).control_id
                answer = f"MSH|^~\\&|P|P|H|H|20260101||ACK|a{len(self.bodies)}|P|2.5\rMSA|{self.code}|{control}|why\r"
                writer.write(b"\x0b" + answer.encode() + b"\x1c\r")
        writer.close()


def adt(control: str, patient: str = "4711", kind: str = "ADT^A01", name: str = "MÜLLER") -> bytes:
    """A message that we wrote ourselves, in UTF-8."""
    header = f"MSH|^~\\&|HIS|WARD|HUB|LAB|20260102030405||{kind}|{control}|P|2.5|||||DEU|UNICODE UTF-8"
    return f"{header}\rPID|1||{patient}^^^HIS||{name}^EVA\rPV1|1|I{'|' * 17}V{control}\r".encode()


@dataclasses.dataclass
class Running:
    """The hub of a test and what surrounds it."""

    hub: Hub | None
    config: Path
    feed: int
    lab: Partner
    registry: Partner
    local: httpx.AsyncClient

    async def send(self, *bodies: bytes) -> list[str]:
        """Send over MLLP, one after the other; the acknowledgement codes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.feed)
        codes = []
        for body in bodies:
            writer.write(b"\x0b" + body + b"\x1c\r")
            answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
            codes.append(str(hl7v2.Message.parse(answer[1:-2]).get("MSA-1")))
        writer.close()
        await writer.wait_closed()
        return codes

    async def drop(self, body: bytes) -> None:
        """Send what nobody answers."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.feed)
        writer.write(b"\x0b" + body + b"\x1c\r")
        writer.close()
        await writer.wait_closed()

    async def stop(self) -> None:
        """Drain the hub and close its data folder, once."""
        hub, self.hub = self.hub, None
        if hub is not None:
            await hub.close()

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.local.get(f"/api/v1{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, expected: int = 200, /, **body: Any) -> Any:
        response = await self.local.post(f"/api/v1{path}", json=body)
        assert response.status_code == expected, response.text
        return response.json()

    async def settled(self, *states: str, count: int | None = None) -> list[Any]:
        """All messages, newest first, once no delivery waits (or exactly these states are reached)."""
        found: list[Any] = []

        async def reached() -> bool:
            nonlocal found
            found = (await self.get("/messages", limit=100))["items"]
            if count is not None and len(found) < count:
                return False
            seen = [one["state"] for one in found]
            return Counter(seen) == Counter(states) if states else "pending" not in seen

        await eventually(reached)
        return found


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for a condition; how long is bounded, not judged."""
    async with asyncio.timeout(seconds):
        reached = await condition()
        while not reached:
            await asyncio.sleep(0.02)
            reached = await condition()


@pytest.fixture
def message() -> Callable[..., bytes]:
    return adt


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return eventually


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def partners() -> AsyncIterator[tuple[Partner, Partner]]:
    both = Partner(), Partner()
    for one in both:
        await one.start()
    yield both
    for one in both:
        await one.stop()


@pytest.fixture
def config(tmp_path: Path, partners: tuple[Partner, Partner], port: int) -> Path:
    """The configuration file of the hub."""
    path = tmp_path / "hub.yaml"
    path.write_text(CONFIG.format(feed=port, lab=partners[0].port, registry=partners[1].port), encoding="utf-8")
    return path


@pytest.fixture
async def running(tmp_path: Path, config: Path, partners: tuple[Partner, Partner], port: int) -> AsyncIterator[Running]:
    data = tmp_path / "data"
    hub = Hub(Settings(data=data, http="127.0.0.1:0", config=config))
    await hub.open()
    async with local_client(data) as local:
        running = Running(hub, config, port, *partners, local)
        try:
            await hub.run()
            yield running
        finally:
            await running.stop()


def local_client(data: Path) -> httpx.AsyncClient:
    """A client of a hub's socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(data / SOCKET))
    return httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30)


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[Hub]:
    """A data folder that is open, without an engine: what the CLI has where no hub runs."""
    hub = Hub(Settings(data=tmp_path / "data", http=None))
    await hub.open()
    yield hub
    await hub.close()
