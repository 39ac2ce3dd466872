"""A running hub with an MLLP feed and two partners that answer as a test tells them; clients of its HTTP edge."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import Edge, create_app
from hilum.app import SOCKET, Hub
from hilum.errors import Unauthenticated
from hilum.formats import hl7v2
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.sdk.testing import free_port
from hilum.sdk.testing.web import HttpPartner, http_partner
from hilum.security.egress import LOOPBACK
from hilum.security.passwords import Cost, Passwords
from hilum.settings import Settings

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is encrypted here; one with all authorities takes 20 ms
CHEAP = Cost(time=1, memory=8, lanes=1)  # what a password costs is tested elsewhere
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
    """An MLLP receiver. `code` and `why` are what it answers; `bodies` what it was given."""

    def __init__(self) -> None:
        self.code = "AA"
        self.why = "why"
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
                header = f"MSH|^~\\&|P|P|H|H|20260101||ACK|a{len(self.bodies)}|P|2.5"
                answer = f"{header}\rMSA|{self.code}|{control}|{self.why}\r"
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
            found = (await self.get("/messages", size=100))["items"]
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
    try:
        for one in both:
            await one.start()
        yield both
    finally:  # what is left open would keep the loop from closing
        for one in both:
            await one.stop()


@pytest.fixture
async def web() -> AsyncIterator[HttpPartner]:
    """A partner that speaks HTTP."""
    async with http_partner() as made:
        yield made


@pytest.fixture
def config(tmp_path: Path, partners: tuple[Partner, Partner], port: int) -> Path:
    """The configuration file of the hub."""
    path = tmp_path / "hub.yaml"
    path.write_text(CONFIG.format(feed=port, lab=partners[0].port, registry=partners[1].port), encoding="utf-8")
    return path


@pytest.fixture
async def running(tmp_path: Path, config: Path, partners: tuple[Partner, Partner], port: int) -> AsyncIterator[Running]:
    data = tmp_path / "data"
    hub = Hub(Settings(data=data, http="127.0.0.1:0", config=config, egress=LOOPBACK), Passwords(CHEAP))
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
    transport = httpx.AsyncHTTPTransport(uds=str(data / SOCKET), verify=PLAIN)
    return httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30)


@pytest.fixture
async def stopped(tmp_path: Path) -> AsyncIterator[Hub]:
    """A data folder that is open, without an engine: what the CLI has where no hub runs."""
    hub = Hub(Settings(data=tmp_path / "data", http=None), Passwords(CHEAP))
    await hub.open()
    yield hub
    await hub.close()


class Anyone:
    """Knows `Bearer <role>` and `Bearer <role>.<who>` as if they had signed in to organization 1."""

    async def bearer(self, text: str, source: str) -> Principal:
        role, _, who = text.partition(".")
        if role not in set(Role):
            raise Unauthenticated
        return Principal(PrincipalKind.USER, who or role, who or role, 1, (Binding(Role(role)),))

    async def cookie(self, text: str) -> tuple[Principal, str]:
        return await self.bearer(text, ""), "the session's token"


@pytest.fixture
def serving(stopped: Hub) -> Callable[..., httpx.AsyncClient]:
    """Serves a router of the test's own as part of the API, to `Anyone`. `local`: on the data folder's socket."""

    def made(
        router: Any = None, *, local: bool = False, edge: Edge | None = None, client: str = "192.0.2.7", **others: Any
    ) -> httpx.AsyncClient:
        services = dataclasses.replace(stopped.services(), **{"identity": Anyone(), **others})
        app = create_app(services, local=local, edge=edge)
        if router is not None:
            app.include_router(router, prefix="/api/v1")
        transport = httpx.ASGITransport(app, client=(client, 1))
        headers = {} if local else {"authorization": "Bearer tenant_admin"}
        return httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", headers=headers)

    return made


PASSWORD = "correct horse battery staple"
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def signed_in(running: Running) -> AsyncIterator[Sign]:
    """Makes users of the running hub and signs them in over TCP; `roles` as the API takes them."""
    hub = running.hub
    assert hub is not None
    assert hub.http is not None
    clients: list[httpx.AsyncClient] = []

    async def make(*roles: str | dict[str, str], email: str = "", organization: str = "demo") -> httpx.AsyncClient:
        given = [{"role": one} if isinstance(one, str) else one for one in roles]
        email = email or f"user{len(clients)}@{organization}.example"
        body = {"email": email, "name": email.partition("@")[0], "roles": given}
        invited = await running.local.post(
            f"/api/v1/users?organization={organization}", json=body, headers={"x-reason": "a test needs people"}
        )
        assert invited.status_code == 201, invited.text
        base = f"http://127.0.0.1:{hub.http.port}/api/v1" if hub.http else ""
        client = httpx.AsyncClient(base_url=base, timeout=30, verify=PLAIN)
        clients.append(client)
        token = invited.json()["link"]["token"]
        opened = await client.post("/auth/link", json={"token": token, "password": PASSWORD})
        assert opened.status_code == 204, opened.text
        credentials = {"email": email, "password": PASSWORD, "organization": organization}
        tokens = await client.post("/auth/token", json=credentials)
        assert tokens.status_code == 200, tokens.text
        client.headers["authorization"] = f"Bearer {tokens.json()['access_token']}"
        return client

    yield make
    for client in clients:
        await client.aclose()
