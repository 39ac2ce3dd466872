"""One endpoint's intake over a real store: what it takes in, and what then stands in the rows."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import StoreError
from hilum.intake.identity import Identify
from hilum.intake.inbox import Inbox
from hilum.intake.routing import Compiled, Routing
from hilum.intake.waiters import Waiters
from hilum.model.configuration import Endpoint, Route
from hilum.model.delivery import Delivery, DeliveryState, Pending, Settled
from hilum.model.message import Message
from hilum.pipeline import compile_route
from hilum.sdk.contracts import Receipt
from hilum.sdk.registry import Registry, discover
from hilum.security.keyring import Keyring
from hilum.store import Store, deliveries, messages, schema

ENDPOINT = 7
DESTINATIONS = {"lab/out": 11, "ward/out": 12, "keyed/out": 13}
_LANES = {"lab/out": {}, "ward/out": {}, "keyed/out": {"key": "PID-3.1"}}


def message(control: str = "M1", patient: str = "4711", *, note: str = "") -> bytes:
    """An ADT^A01."""
    header = f"MSH|^~\\&|ADM|GENERAL|HUB|HILUM|20260101||ADT^A01^ADT_A01|{control}|P|2.5"
    return f"{header}\rPID|1||{patient}^^^GENERAL^MR||Doe^Jane\rNTE|1||{note}\r".encode()


class Gate:
    """An inbox, its store and what was announced to the lanes."""

    def __init__(self, store: Store, registry: Registry, folder: Path) -> None:
        self.store = store
        self.registry = registry
        self.folder = folder
        self.waiters = Waiters()
        self.announced: list[Pending] = []
        self._versions = itertools.count(1)
        store.listeners.append(self.announced.extend)
        self.inbox = self.open()

    def open(self, *, dedupe: bool = True, endpoint: int = ENDPOINT, search: Mapping[str, str] | None = None) -> Inbox:
        """Another inbox on the same store, with one route to lab/out."""
        identify = Identify(self.store.hash, 1, endpoint, "hl7v2", search or {}, dedupe)
        self.inbox = Inbox(self.store, 1, endpoint, identify, self.routing(self.route()), self.waiters)
        return self.inbox

    def route(
        self, steps: Sequence[Mapping[str, Any]] = (), to: Sequence[str] = ("lab/out",), name: str = "r"
    ) -> Compiled:
        """A compiled version of a route."""
        document = Route.model_validate({"name": name, "from": "adt/in", "steps": steps, "to": to})
        source = Endpoint(name="in", direction="inbound", url="mllp://127.0.0.1:1")
        endpoints = {
            one: Endpoint.model_validate({"name": "out", "direction": "outbound", "url": "mllp://h:1", "lane": lane})
            for one, lane in _LANES.items()
        }
        pipeline = compile_route(
            document, registry=self.registry, source=source, source_format="hl7v2", destinations=endpoints,
            folder=self.folder,
        )  # fmt: skip
        destinations = {one: DESTINATIONS[one] for one in pipeline.destinations}
        return Compiled(next(self._versions), name, pipeline, destinations)

    def routing(self, *routes: Compiled) -> Routing:
        return Routing(self.store.hash, routes)

    def script(self, text: str) -> dict[str, Any]:
        """A script step with that Python text."""
        name = f"script{len(list(self.folder.glob('script*.py')))}.py"
        (self.folder / name).write_text(text)
        return {"script": {"file": name}}

    async def send(self, body: bytes, *, wait: float | None = None) -> Receipt:
        async with asyncio.timeout(20):
            return await self.inbox.receive(body, wait=wait)

    async def rows(self) -> list[Message]:
        """Every message, oldest first."""

        def read(connection: sa.Connection) -> list[Message]:
            found = connection.execute(sa.select(schema.message).order_by(schema.message.c.id)).all()
            bodies = messages.bodies(connection, self.store.sealer, [row.id for row in found])
            return [messages.view(row, self.store.sealer, bodies.get(row.id)) for row in found]

        return await self.store.read(read)

    async def deliveries(self) -> list[Delivery]:
        """Every delivery, oldest first."""

        def read(connection: sa.Connection) -> list[Delivery]:
            found = connection.execute(sa.select(schema.delivery).order_by(schema.delivery.c.id)).all()
            return [deliveries.view(row) for row in found]

        return await self.store.read(read)

    async def settle(self, one: Pending, state: DeliveryState = DeliveryState.DELIVERED) -> None:
        """End a delivery as the engine does: those who wait are told, the row follows."""
        self.waiters.settled(one.message, one.id, state is DeliveryState.DELIVERED)
        result = Settled(one.id, one.destination, one.message, state, 1, clock.micros(), "")
        await self.store.settle([result], [], {}, [])


Reopen = Callable[[], Any]


@pytest.fixture(scope="session")
def adt() -> Callable[..., bytes]:
    return message


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "hub.key")[0]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return discover()


@pytest.fixture
async def opened(
    tmp_path: Path, keyring: Keyring, registry: Registry, anyio_backend: object
) -> AsyncIterator[Callable[..., Any]]:
    """Opens gates on stores; what is left open is closed."""
    stores: list[Store] = []

    async def open(url: str | None = None) -> Gate:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "conf").mkdir(exist_ok=True)
        again = Identify(Store(tmp_path, keyring).hash, 1, ENDPOINT, "hl7v2", {}, True)
        store = await Store(tmp_path / "data", keyring, url).open(again.again)
        stores.append(store)
        return Gate(store, registry, tmp_path / "conf")

    yield open
    for store in stores:
        with contextlib.suppress(StoreError):
            await store.close()


@pytest.fixture
async def gate(opened: Callable[..., Any]) -> Gate:
    """A gate on SQLite."""
    found: Gate = await opened()
    return found


@pytest.fixture
def full(gate: Gate) -> Callable[..., AbstractContextManager[None]]:
    """While it is entered, no message can be stored: the database says what a full disk makes it say."""

    @contextlib.contextmanager
    def enter(event: str = "INSERT") -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(gate.store.database.path, timeout=10)) as other:
            other.execute(
                f"CREATE TRIGGER full BEFORE {event} ON message"
                " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
            other.commit()
            yield
            other.execute("DROP TRIGGER full")
            other.commit()

    return enter
