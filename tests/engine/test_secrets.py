"""A secret is replaced once, and every endpoint that refers to it uses the new one from its next connection on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hilum.app import Hub
from hilum.engine.supervisor import Supervisor
from hilum.errors import StoreError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.sdk.testing import free_port
from hilum.sdk.testing.mllp import mllp_client
from hilum.services.credentials import CredentialView
from hilum.settings import Settings
from hilum.store import deliveries

pytestmark = pytest.mark.anyio


class Web:
    """An HTTP partner: keeps the X-Key header of every request; `echo`: refuses it, and repeats the header."""

    def __init__(self) -> None:
        self.port = free_port()
        self.keys: list[str] = []
        self.echo = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                headers = {name.lower(): value for name, value in headers.items()}
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.keys.append(headers.get("x-key", ""))
                status, said = ("422 No", headers.get("x-key", "")) if self.echo else ("200 OK", "")
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode())
        writer.close()


@pytest.fixture
async def web(anyio_backend: object) -> AsyncIterator[Callable[[], Awaitable[Web]]]:
    servers = []

    async def start() -> Web:
        one = Web()
        servers.append(await asyncio.start_server(one.serve, "127.0.0.1", one.port))
        return one

    yield start
    for server in servers:
        server.close()


@dataclasses.dataclass
class Site:
    """A running hub, with the vault's door in the test's hand."""

    hub: Hub
    feed: int
    closed: bool = False

    @property
    def supervisor(self) -> Supervisor:
        assert self.hub.supervisor is not None
        return self.hub.supervisor

    @property
    def status(self) -> str:
        return str(self.supervisor.status())

    async def add(self, name: str) -> CredentialView:
        create, secrets = self.hub.entries.credentials.create, {"token": "token-number-one"}
        return await create(self.act("credential.create"), name=name, kind="bearer", fields={}, secrets=secrets)

    async def rotate(self, one: CredentialView, token: str) -> CredentialView:
        rotate = self.hub.entries.credentials.rotate
        return await rotate(self.act("credential.rotate"), uuid.UUID(one.id), one.version, {"token": token})

    def act(self, action: str) -> Act:
        return Act(dataclasses.replace(HUB, organization=1), Scope(1), action)

    async def send(self, control: str) -> None:
        async with mllp_client(self.feed) as client:
            body = f"MSH|^~\\&|A|B|C|D|2026||ADT^A01|{control}|P|2.5\rPID|1||4711\r"
            answer = await client.ask(body.encode(), seconds=20)
            assert str(answer["MSA-1"]) == "AA"

    async def values(self, organization: int, study: int | None, wanted: set[str]) -> dict[str, str]:
        if self.closed:
            raise StoreError("KMS does not answer (ConnectError)")
        return await self.hub.entries.values(organization, study, wanted)


Start = Callable[..., Awaitable[Site]]


@pytest.fixture
async def site(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Start]:
    """Starts a hub that sends what it receives to partners, each time with the header X-Key."""
    hubs = []

    async def start(*partners: Web, key: str = "${secret:lab}") -> Site:
        feed = free_port()
        adt = {"name": "in", "direction": "inbound", "url": f"mllp://127.0.0.1:{feed}"}
        ends = {
            f"p{number}": {"name": "out", "direction": "outbound", "url": one.url, "headers": {"X-Key": key}}
            for number, one in enumerate(partners)
        }
        document = {
            "version": 1,
            "organization": "demo",
            "integrations": [
                {"name": "adt", "protocol": "hl7_v2", "endpoints": [adt]},
                *({"name": name, "protocol": "rest_api", "endpoints": [end]} for name, end in ends.items()),
            ],
            "routes": [{"name": "all", "from": "adt/in", "to": [f"{name}/out" for name in ends]}],
        }
        path = tmp_path / "hub.yaml"
        path.write_text(yaml.safe_dump(document))
        hub = Hub(Settings(data=tmp_path / "data", http=None, config=path, environ={"LAB": "from-the-environment"}))
        hubs.append(hub)
        await hub.open()
        await hub.run()
        found = Site(hub, feed)
        found.supervisor._secrets._entries = found
        return found

    yield start
    for hub in hubs:
        await hub.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - sockets have no event that a test could wait for
            await asyncio.sleep(0.02)


@pytest.mark.ledger("S0-10")
async def test_one_rotation_reaches_every_endpoint_that_refers_to_it(
    web: Callable[[], Awaitable[Web]], site: Start
) -> None:
    """No endpoint is touched and nothing is reloaded: the next message goes with the new secret."""
    partners = [await web(), await web()]
    here = await site(*partners)
    made = await here.add("lab")
    await here.send("M1")
    await until(lambda: all(one.keys == ["token-number-one"] for one in partners))
    usage = await here.hub.entries.credentials.usage(Scope(1), uuid.UUID(made.id))
    assert {use.integration for use in usage.items} == {"p0", "p1"}
    before = dict(here.supervisor._used)
    rotated = await here.rotate(made, "token-number-two")
    await until(lambda: all(used != before[one] for one, used in here.supervisor._used.items()))
    await here.send("M2")
    await until(lambda: all(one.keys == ["token-number-one", "token-number-two"] for one in partners))
    for shown in (repr(made), repr(rotated), repr(usage), here.status):
        assert "token-number" not in shown


async def test_an_entry_may_come_later(web: Callable[[], Awaitable[Web]], site: Start) -> None:
    """Without it the lane waits, and says why; nothing is lost."""
    partner = await web()
    here = await site(partner)
    await here.send("M1")
    await until(lambda: "no such entry" in here.status)
    assert partner.keys == []
    await here.add("lab")
    await until(lambda: partner.keys == ["token-number-one"])


async def test_a_vault_that_does_not_open_stops_nothing(web: Callable[[], Awaitable[Web]], site: Start) -> None:
    """What was opened before goes on; it is tried again until it opens."""
    partner = await web()
    here = await site(partner)
    made = await here.add("lab")
    await here.send("M1")
    await until(lambda: len(partner.keys) == 1)
    here.closed = True
    await here.rotate(made, "token-number-two")
    await until(lambda: bool(here.supervisor._secrets._closed))
    await here.send("M2")
    await until(lambda: partner.keys == ["token-number-one"] * 2)
    here.closed = False
    await until(lambda: not here.supervisor._secrets._closed)
    await here.send("M3")
    await until(lambda: partner.keys[2:] == ["token-number-two"])


async def test_what_a_partner_repeats_is_masked(web: Callable[[], Awaitable[Web]], site: Start) -> None:
    """The answer of a partner that echoes the secret is kept without it."""
    partner = await web()
    partner.echo = True
    here = await site(partner, key="${env:LAB}")
    await here.send("M1")
    await until(lambda: partner.keys == ["from-the-environment"])
    store, ended = here.hub.store, list[Any]()
    async with asyncio.timeout(30):
        while not ended:
            ended = await store.read(deliveries.failed, 1, before=None, limit=10)
    tried = await store.read(deliveries.attempts, store.sealer, [one.id for one in ended])
    assert "422" in repr(tried)
    assert "from-the-environment" not in repr(tried) + repr(ended) + here.status
