# ruff: noqa: ASYNC110 - sockets, threads and rows have no event that a test could wait for
"""A hub without its process: store, configuration, supervisor and jobs on the test's loop, partners on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from hilum.engine.lanes import Lanes
from hilum.engine.runner import Runner
from hilum.engine.supervisor import Supervisor
from hilum.formats import hl7v2
from hilum.intake.identity import Identify
from hilum.model import document
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act
from hilum.model.delivery import Attempt, Delivery, DeliveryState
from hilum.model.message import Message
from hilum.outbound.dialer import Dialers
from hilum.sdk.registry import Registry, discover
from hilum.sdk.testing.mllp import MllpClient, MllpPartner, Reaction, mllp_client
from hilum.security.egress import Allowed
from hilum.security.keyring import Keyring
from hilum.services.configuration import Configurations
from hilum.store import Store, configuration, deliveries, jobs, messages, schema


def message(control: str = "M1", patient: str = "4711", wishes: str = "") -> bytes:
    """An ADT^A01 of one patient."""
    header = f"MSH|^~\\&|ADM|GENERAL|HUB|HILUM|20260101||ADT^A01^ADT_A01|{control}|P|2.5{wishes}"
    return f"{header}\rPID|1||{patient}^^^GENERAL^MR||Doe^Jane\r".encode()


def layout(
    outbound: Mapping[str, Mapping[str, Any]],
    inbound: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A configuration: endpoints adt/in and NAME/out, and a route from the one to all of the others."""
    inbound = {"adt": {}} if inbound is None else inbound
    integrations: list[dict[str, Any]] = []
    for direction, ends in (("inbound", inbound), ("outbound", outbound)):
        for name, options in ends.items():
            options = {"url": "mllp://127.0.0.1:0", **options}
            active = options.pop("active", True)
            end = {"name": direction.removesuffix("bound"), "direction": direction, **options}
            integrations.append({"name": name, "protocol": "hl7_v2", "active": active, "endpoints": [end]})
    every = [
        {"name": f"{one}-all", "from": f"{one}/in", "to": [f"{other}/out" for other in outbound]} for one in inbound
    ]
    routes = every if routes is None else routes
    return {"version": 1, "organization": "demo", "integrations": integrations, "routes": list(routes)}


class Hub:
    """What `hilum serve` runs, without HTTP. `restart` is a clean one, `crash` leaves without a word."""

    def __init__(self, folder: Path, keyring: Keyring, registry: Registry, url: str | None) -> None:
        self.folder = folder
        self._keyring = keyring
        self._registry = registry
        self.url = url
        self.running = False
        self.window: tuple[int, int] | None = None  # deliveries and bytes that lanes hold in memory, if not the usual
        self.allowed: Sequence[Allowed] = ()  # where what people configure may connect to, besides
        self.config_folder = folder / "conf"
        self.config_folder.mkdir(exist_ok=True)
        (folder / "data").mkdir(exist_ok=True)

    async def open(self) -> None:
        store = Store(self.folder / "data", self._keyring, self.url)
        readers: dict[int, Identify] = {}

        def keys(found: Message) -> Sequence[int]:
            reader = readers.setdefault(found.endpoint, Identify(store.hash, 1, found.endpoint, "hl7v2", {}, True))
            return reader.again(found) if found.body is not None else ()

        self.store = await store.open(keys)
        self.configurations = Configurations(self.store, self._registry, {})

    async def apply(self, wanted: dict[str, Any] | None, **options: Any) -> None:
        """Apply a configuration; where the hub runs, wait until it is so."""
        if wanted is not None:
            checked = document.load(yaml.safe_dump(wanted), "hub.yaml")
            await self.configurations.apply(
                Act(HUB, Scope(SYSTEM), "test.apply"), checked, self.config_folder, **options
            )

    async def run(self) -> None:
        dialers = Dialers(self.folder, allowed=self.allowed)
        self.supervisor = Supervisor(self.store, self._registry, dialers, environ={}, folder=self.config_folder)
        await self.supervisor.start()
        for lanes in self.supervisor.lanes.values():
            if self.window is not None:
                lanes.line.window, lanes.line.window_bytes = self.window
        self.runner = Runner(self.store, self._registry, self.supervisor, dialers=dialers)
        await self.runner.start()
        self.running = True

    async def start(self, wanted: dict[str, Any] | None = None) -> Hub:
        await self.open()
        await self.apply(wanted)
        await self.run()
        return self

    async def stop(self) -> None:
        self.running = False
        await self.runner.stop()
        await self.supervisor.stop()
        await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def settled(self, change: Awaitable[Any]) -> None:
        """Do it, then wait until the engine has made it so."""
        await change
        await asyncio.sleep(0)
        await self.supervisor.reconcile()

    # Looking

    def lanes(self, reference: str) -> Lanes:
        return next(one for one in self.supervisor.lanes.values() if one.reference == reference)

    def source(self, reference: str = "adt/in") -> Any:
        return next(one for one in self.supervisor.sources.values() if one.reference == reference)

    def port(self, reference: str = "adt/in") -> int:
        running = self.source(reference)
        assert running.source is not None, running.problem
        found: int = running.source.port
        return found

    @contextlib.asynccontextmanager
    async def client(self, reference: str = "adt/in") -> AsyncIterator[MllpClient]:
        async with mllp_client(self.port(reference)) as found:
            yield found

    async def send(self, *bodies: bytes, reference: str = "adt/in") -> list[str]:
        """Send on one connection, each after the other's answer; the codes."""
        async with self.client(reference) as client:
            return [str((await client.ask(body, seconds=30))["MSA-1"]) for body in bodies]

    async def pour(self, bodies: Sequence[bytes], reference: str = "adt/in") -> None:
        """Send a lot on one connection; every one must be accepted."""
        async with self.client(reference) as client:
            for start in range(0, len(bodies), 200):
                part = bodies[start : start + 200]
                client.put(*part)
                for _ in part:
                    answer = await client.answer(seconds=30)
                    assert answer["MSA-1"] == "AA", answer["MSA-3"]

    async def deliveries(self, reference: str | None = None) -> list[Delivery]:
        """Every delivery (to one destination), oldest first, once all results are in their rows."""
        await self.supervisor.recorder.flush()
        number = None if reference is None else (await self.endpoints())[reference]

        def read(connection: sa.Connection) -> list[Delivery]:
            found = connection.execute(sa.select(schema.delivery).order_by(schema.delivery.c.id)).all()
            return [deliveries.view(row) for row in found if number in (None, row.destination)]

        return await self.store.read(read)

    async def become(self, *states: DeliveryState, reference: str | None = None) -> list[Delivery]:
        """Wait until the deliveries stand so, then give them; one state alone is meant of all of them."""
        found: list[Delivery] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while True:
                    found = await self.deliveries(reference)
                    now = [one.state for one in found]
                    if now and now == (list(states) if len(states) > 1 else [states[0]] * len(now)):
                        return found
                    await asyncio.sleep(0.02)
        raise AssertionError(f"the deliveries are {[one.state.name for one in found]}")

    async def endpoints(self) -> dict[str, int]:
        (stored,) = await self.store.read(configuration.read)
        return stored.endpoints

    async def messages(self) -> list[Message]:
        def read(connection: sa.Connection) -> list[Message]:
            found = connection.execute(sa.select(schema.message).order_by(schema.message.c.id)).all()
            bodies = messages.bodies(connection, self.store.sealer, [row.id for row in found])
            return [messages.view(row, self.store.sealer, bodies.get(row.id)) for row in found]

        return await self.store.read(read)

    async def attempts(self, one: int) -> list[Attempt]:
        await self.supervisor.recorder.flush()
        return await self.store.read(deliveries.attempts, self.store.sealer, [one])

    async def standing(self, reference: str) -> tuple[int, int, int]:
        """(watermark, delivered, failed) in the row."""
        await self.supervisor.recorder.flush()
        standing = await self.store.read(deliveries.standing)
        return standing.get((await self.endpoints())[reference], (0, 0, 0))

    async def job(self, kind: str, **arguments: Any) -> jobs.Job:
        """Ask for a job and wait for its end."""
        one = await self.store.write(jobs.insert, kind, arguments, actor="test")
        self.store.signal("job")
        async with asyncio.timeout(30):
            while (found := await self.store.read(jobs.get, one)).state not in ("done", "failed"):
                await asyncio.sleep(0.02)
        return found


@contextlib.asynccontextmanager
async def opened(folder: Path, keyring: Keyring, registry: Registry, url: str | None) -> AsyncIterator[Hub]:
    found = Hub(folder, keyring, registry, url)
    yield found
    if found.running:
        await found.stop()


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for a condition; how long is bounded, not judged."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def adt() -> Callable[..., bytes]:
    return message


@pytest.fixture(scope="session")
def config() -> Callable[..., dict[str, Any]]:
    return layout


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Awaitable[None]]:
    return until


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "hub.key")[0]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return discover()


@pytest.fixture
async def hub(tmp_path: Path, keyring: Keyring, registry: Registry, anyio_backend: object) -> AsyncIterator[Hub]:
    """Not started yet; stopped at the end."""
    async with opened(tmp_path, keyring, registry, None) as found:
        yield found


@pytest.fixture
async def postgres_hub(
    owner_url: str, tmp_path: Path, keyring: Keyring, registry: Registry, anyio_backend: object
) -> AsyncIterator[Hub]:
    """The same on PostgreSQL."""
    async with opened(tmp_path, keyring, registry, owner_url) as found:
        yield found


@pytest.fixture
async def partners(anyio_backend: object) -> AsyncIterator[Callable[..., Awaitable[MllpPartner]]]:
    """Makes partners that listen; all are stopped at the end."""
    made: list[MllpPartner] = []

    async def make(react: Callable[[bytes], Reaction] | None = None, *, listen: bool = True) -> MllpPartner:
        partner = MllpPartner(react)
        made.append(partner)
        await partner.start()
        if not listen:
            await partner.stop()
        return partner

    yield make
    for partner in made:
        await partner.stop()


@pytest.fixture
def full(hub: Hub) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """While it is entered, the database says of a table what a full disk makes it say."""

    @contextlib.contextmanager
    def enter(table: str, event: str = "UPDATE") -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(hub.store.database.path, timeout=10)) as other:
            other.execute(
                f"CREATE TRIGGER full BEFORE {event} ON {table}"
                " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
            other.commit()
            yield
            other.execute("DROP TRIGGER full")
            other.commit()

    return enter


@pytest.fixture(scope="session")
def by_patient() -> Callable[[Sequence[bytes]], dict[str, list[str]]]:
    """The control ids that a partner received, in order, for each patient."""

    def sort(received: Sequence[bytes]) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for body in received:
            one = hl7v2.Message.parse(body)
            found[str(one["PID-3.1"])].append(one.control_id)
        return dict(found)

    return sort
