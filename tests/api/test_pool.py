"""The connections that reads share: how many, how long one waits, what is counted, and that none keeps whose it was."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hilum.api import create_app
from hilum.app import Hub
from hilum.errors import ConfigError, NotFound, StoreError
from hilum.model.pool import Pool
from hilum.settings import Settings
from hilum.store import Connection, configuration, schema

pytestmark = pytest.mark.anyio
_WHOSE = "SELECT current_setting('hilum.organization')"


@pytest.fixture
async def hub(url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    """A hub whose operator asked for two connections, one more where both are in use, and a second of patience."""
    for name, value in (("POOL", "2"), ("OVERFLOW", "1"), ("TIMEOUT", "1")):
        monkeypatch.setenv(f"HILUM_DATABASE_{name}", value)
    hub = Hub(Settings.read(data=tmp_path / "data", database=url, http="127.0.0.1:0"))
    await hub.open()
    try:
        for number in (1, 2):
            assert await hub.store.write(configuration.put_organization, f"org{number}", {}) == number
        yield hub
    finally:
        await hub.close()


async def figures(hub: Hub) -> dict[str, float]:
    """The pool's, as Prometheus reads them."""
    app = create_app(hub.services(), local=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        text = (await client.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hilum_database_")]
    return {name.removeprefix("hilum_database_"): float(value) for name, value in lines}


async def held(hub: Hub, count: int, until: threading.Event) -> list[asyncio.Task[bool]]:
    """Reads that go on until they are told to end; returns once they have their connections."""
    begun = threading.Barrier(count + 1)

    def work(connection: Connection) -> bool:
        connection.execute(sa.select(1))
        begun.wait(20)
        return until.wait(30)

    tasks = [asyncio.ensure_future(hub.store.read(work)) for _ in range(count)]
    await asyncio.to_thread(begun.wait, 20)
    return tasks


def whose(connection: Connection) -> str:
    return str(connection.exec_driver_sql(_WHOSE).scalar_one())


def names(connection: Connection) -> list[str]:
    """Of the organizations that can be seen, narrowed by nothing."""
    return list(connection.execute(sa.select(schema.organization.c.name)).scalars())


@pytest.mark.ledger("S0-56")
async def test_the_pool_is_as_the_operator_says_and_no_connection_keeps_whose_it_was(hub: Hub) -> None:
    assert hub.store.database.pool == Pool(2, 1, 1)
    before, let_go = await figures(hub), threading.Event()
    assert (before["connections_most"], before["timeouts_total"]) == (3, 0)
    reads = await held(hub, 2, let_go)
    assert hub.store.database.use().in_use - int(before['connections{state="in_use"}']) == 2
    if hub.store.database.embedded:  # the event loop has one of them for itself
        let_go.set()
        await asyncio.gather(*reads)
        return
    reads += await held(hub, 1, let_go)  # the overflow
    assert hub.store.database.use().in_use == 3
    with pytest.raises(StoreError, match="in use"):  # a fourth waits no longer than the operator said
        await hub.store.read(names)
    let_go.set()
    assert await asyncio.gather(*reads) == [True] * 3
    after = await figures(hub)
    assert (after['connections{state="in_use"}'], after["timeouts_total"]) == (0, 1)
    assert after['connections{state="idle"}'] == 2  # the overflow was closed

    def careless(connection: Connection) -> str:
        connection.exec_driver_sql("SELECT set_config('hilum.organization', '1', false)")
        return whose(connection)

    def failing(connection: Connection) -> None:
        raise NotFound(whose(connection))

    for _ in range(20):
        assert await hub.store.within(1).read(whose) == "1"
        with pytest.raises(NotFound, match="2"):
            await hub.store.within(2).read(failing)
        assert await hub.store.within(2).read(careless) == "1"
        mixed = [hub.store.within(1 + number % 2).read(names) for number in range(6)]
        assert await asyncio.gather(*mixed) == [["org1"], ["org2"]] * 3
        assert await hub.store.read(whose) == "*"
        assert await hub.store.write(whose) == "*"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HILUM_DATABASE_POOL", "1", "at least 2"),
        ("HILUM_DATABASE_POOL", "many", "no whole number"),
        ("HILUM_DATABASE_TIMEOUT", "0", "at least 1"),
        ("HILUM_DATABASE_OVERFLOW", "-1", "no whole number"),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    read: Callable[..., Any] = Settings.read
    with pytest.raises(ConfigError, match=problem) as error:
        read()
    assert error.value.where == name


def test_the_usual_pool() -> None:
    assert Settings.read().pool == Pool(4, 0, 10)
