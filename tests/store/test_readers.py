"""Small reads are done on the loop where the database is a file; what lasts, or fails there, a thread does anew."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import NotFound, StoreError
from hilum.model.message import NewMessage
from hilum.store import Store, configuration, messages, schema
from hilum.store.hot import driver
from hilum.store.messages import Filter

pytestmark = pytest.mark.anyio
Open = Callable[..., Awaitable[Store]]
_COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"


def where(connection: sa.Connection) -> int:
    """The thread that reads."""
    connection.execute(sa.select(schema.setting.c.name)).all()
    return threading.get_ident()


async def test_a_small_read_needs_no_thread_where_the_database_is_a_file(store: Store) -> None:
    there = await store.within(1).read(where)
    assert (there == threading.get_ident()) == store.database.embedded
    assert await store.within(1).load(where) != threading.get_ident()
    assert await store.read(where) != threading.get_ident()


async def test_what_lasts_is_left_to_a_thread(sqlite_store: Store) -> None:
    tried: list[int] = []

    def scan(connection: sa.Connection) -> int:
        tried.append(threading.get_ident())
        return int(connection.exec_driver_sql(_COUNT).scalar_one())

    assert await sqlite_store.within(1).read(scan) == 2_000_000
    first, second = tried
    assert first == threading.get_ident() != second
    assert await sqlite_store.within(1).read(where) == threading.get_ident(), "the next one is tried here again"


async def test_a_read_whose_time_ends_after_its_last_row_is_done_anew(sqlite_store: Store) -> None:
    within = sqlite_store.within(1)
    tried: list[int] = []

    def interrupted(connection: sa.Connection) -> int:
        tried.append(threading.get_ident())
        if len(tried) == 1:
            driver(connection).set_progress_handler(lambda: True, 1)
        return threading.get_ident()

    assert await within.read(interrupted) == tried[-1]
    assert tried[0] == threading.get_ident() != tried[-1]
    assert await within.read(where) == threading.get_ident(), "the next one is tried here again"


async def test_while_reads_are_slow_the_loop_tries_none(sqlite_store: Store) -> None:
    def slow(_: sa.Connection) -> int:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.02:
            """As a slow disk."""
        return threading.get_ident()

    async with asyncio.timeout(30):
        while await sqlite_store.within(1).read(slow) == threading.get_ident():
            """So far it was."""
        while await sqlite_store.within(1).read(where) != threading.get_ident():
            """Not yet again."""


async def test_each_read_is_of_what_is_committed_by_then(store: Store) -> None:
    def count(connection: sa.Connection) -> int:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.organization)).scalar_one()

    for number in range(3):
        assert await store.within(None).read(count) == number
        await store.write(configuration.put_organization, f"org{number}", {})


async def test_a_read_that_fails_keeps_nothing(store: Store) -> None:
    def half(connection: sa.Connection) -> None:
        connection.execute(sa.select(schema.shard)).fetchone()
        raise NotFound("no such thing")

    with pytest.raises(NotFound):
        await store.within(1).read(half)
    with pytest.raises(StoreError, match="no_such_table"):
        await store.within(1).read(lambda connection: connection.exec_driver_sql("SELECT 1 FROM no_such_table"))
    await store.write(configuration.put_organization, "one", {})
    assert len(await store.within(None).read(lambda one: one.execute(sa.select(schema.organization)).all())) == 1


@pytest.mark.parametrize("rows", ["none", "half"])
async def test_a_read_of_what_is_not_there_keeps_its_connection(store: Store, rows: str) -> None:
    """Whoever asks for what there is not would else cost a connection each time. What is half-read costs one."""
    made: list[Any] = []

    def fails(connection: sa.Connection) -> None:
        held = connection.exec_driver_sql("SELECT 1 UNION ALL SELECT 2")
        assert len(held.fetchmany(1) if rows == "half" else held.all())
        assert connection.execute(sa.select(schema.setting).where(schema.setting.c.name == "no")).one_or_none() is None
        raise NotFound("no such thing")

    within = store.within(1)
    for number in range(4):
        for read in (within.read, within.load):
            with pytest.raises(NotFound):
                await read(fails)
        if not number:  # by now there are connections
            for engine in (store.database.own, store.database.reader):
                sa.event.listen(engine, "connect", lambda *of: made.append(of))
    assert bool(made) == (rows == "half" and store.database.embedded)


async def test_nothing_is_written_by_a_read(sqlite_store: Store) -> None:
    def write(connection: sa.Connection) -> Any:
        return connection.execute(schema.setting.insert().values(name="x", value="y"))

    with pytest.raises(StoreError, match="readonly"):
        await sqlite_store.within(1).read(write)


async def test_a_list_for_any_number_of_endpoints_and_ids(store: Store, arrived: Callable[..., NewMessage]) -> None:
    """Each number of values is a statement of its own; none finds nothing."""
    stored = [await store.append(arrived(f"C{number}", endpoint=number)) for number in (1, 2, 3)]

    async def ids(**given: Any) -> list[int]:
        found = await store.within(1).read(lambda one: messages.newest(one, 1, Filter(**given)))
        return [row.id for row in found]

    for count in range(4):
        expected = [one.id for one in reversed(stored[:count])]
        assert await ids(endpoints=frozenset(range(1, count + 1))) == expected
        assert await ids(ids=[one.id for one in stored[:count]]) == expected
    assert await ids(type="ADT") == [one.id for one in reversed(stored)]
    assert await ids(type="AD_") == await ids(type="%") == []
