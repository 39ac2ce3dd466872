"""The store as one organization sees it: on PostgreSQL the others' rows are not there, whatever is asked."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, StoreError
from hilum.model.audit import Act, Change
from hilum.model.message import NewMessage
from hilum.store import Store, audit, configuration, outbox, schema
from hilum.store.audit import EventFilter
from hilum.store.schema_evidence import audit_event
from hilum.store.schema_people import study

pytestmark = pytest.mark.anyio
Open = Callable[..., Awaitable[Store]]
BY_OTHERS = [schema.body, schema.attempt]  # theirs whose message, whose delivery it is
FREE = {"setting", "principal_index", "parked", "shard", "progress", "tally", "signing_key"}
TABLES = [
    table
    for table in schema.metadata.sorted_tables
    if table.name == "organization" or ("organization" in table.c and table.name not in FREE)
]


async def fill(store: Store, arrived: Callable[..., NewMessage], queued: Callable[..., Any]) -> Store:
    """Organizations 1 and 2 with a message and a delivery each."""
    for number in (1, 2):
        assert await store.write(configuration.put_organization, f"org{number}", {}) == number
        await store.append(arrived(f"C{number}", organization=number, deliveries=[queued(keep=True)]))
    return store


@pytest.fixture
async def both(store: Store, arrived: Callable[..., NewMessage], queued: Callable[..., Any]) -> Store:
    return await fill(store, arrived, queued)


@pytest.fixture
async def shared(
    role_url: str, open_store: Open, arrived: Callable[..., NewMessage], queued: Callable[..., Any]
) -> Store:
    """The same on PostgreSQL alone, which has row level security: SQLite's functions narrow by themselves."""
    return await fill(await open_store(url=role_url), arrived, queued)


def rows(connection: sa.Connection, table: sa.Table) -> int:
    """How many there are, narrowed by nothing."""
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def add_study(connection: sa.Connection, organization: int, name: str) -> Change:
    values = {"uuid": uuid.uuid4(), "organization": organization, "name": name, "title": ""}
    connection.execute(study.insert().values(version=1, created_at=1, **values))
    return Change(name, f"study/{name}", after={"name": name})


async def test_nothing_of_another_organization_is_there_without_any_filter(shared: Store) -> None:
    for table in (schema.organization, schema.message, schema.body, schema.delivery):
        assert await shared.read(rows, table) == 2, "the hub itself sees all"
        assert [await shared.within(number).read(rows, table) for number in (1, 2, 3)] == [1, 1, 0], table.name


async def test_nothing_is_written_for_another_organization(shared: Store) -> None:
    with pytest.raises(StoreError, match="row-level security"):
        await shared.within(1).write(add_study, 2, "theirs")
    await shared.within(2).write(add_study, 2, "ours")

    def rename(connection: sa.Connection) -> int:
        return connection.execute(study.update().values(title="stolen")).rowcount

    assert await shared.within(1).write(rename) == 0
    assert await shared.within(2).write(rename) == 1


async def test_a_connection_forgets_whose_it_was(shared: Store) -> None:
    """Readers are pooled and the writer's batch is shared: neither may keep whose it was."""
    assert (
        await asyncio.gather(*(shared.within(1 + number % 2).read(rows, schema.message) for number in range(40)))
        == [1] * 40
    )
    assert await shared.read(rows, schema.message) == 2
    failing = shared.within(1).write(add_study, 2, "theirs")
    mixed = [shared.within(2).write(rows, schema.message), shared.write(rows, schema.message)]
    assert await asyncio.gather(*mixed) == [1, 2]
    with pytest.raises(StoreError):
        await failing


async def test_every_table_says_whose_its_rows_are(both: Store, url: str | None) -> None:
    assert {table.name for table in schema.metadata.sorted_tables} == (
        {one.name for one in (*TABLES, *BY_OTHERS)} | FREE
    ), "a new table needs `organization` and a policy, or is free because it holds ids, hashes and times alone"
    if url is None:
        return

    def policies(connection: sa.Connection) -> dict[str, tuple[bool, bool, int]]:
        found = connection.exec_driver_sql(
            "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, count(p.*) FROM pg_class c"
            " LEFT JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relkind = 'r'"
            " AND c.relnamespace = 'public'::regnamespace GROUP BY 1, 2, 3"
        )
        return {name: (on, forced, count) for name, on, forced, count in found}

    found = await both.read(policies)
    assert {name for name, state in found.items() if state == (True, True, 1)} == {
        one.name for one in (*TABLES, *BY_OTHERS)
    }


@pytest.mark.ledger("S0-63")
async def test_a_change_its_event_and_its_note_come_together_or_not_at_all(
    both: Store, act: Callable[..., Act]
) -> None:
    within = both.within(1)
    last = await both.read(outbox.newest)
    done = act(1, "study.create")
    assert await within.change(done, add_study, 1, "one") == "one"
    assert done.recorded
    (event,) = await within.read(audit.newest, 1, EventFilter(action="study"))
    assert event.document["after"] == {"name": "one"}
    assert [note.topic for note in await both.read(outbox.after, last)] == ["study.create"]

    def fail(connection: sa.Connection) -> Change:
        add_study(connection, 1, "two")
        raise Conflict("no")

    failed = act(1, "study.create")
    with pytest.raises(Conflict):
        await within.change(failed, fail)
    assert not failed.recorded

    def unstorable(connection: sa.Connection) -> Change:
        add_study(connection, 1, "three")
        return Change(None, "study/three", after={"share": 0.5})  # evidence takes no fractions

    with pytest.raises(ValueError, match="canonical"):
        await within.change(act(1, "study.create"), unstorable)
    assert await within.read(rows, study) == 1
    assert len(await within.read(audit.newest, 1, EventFilter(action="study"))) == 1
    assert len(await both.read(outbox.after, last)) == 1


async def test_evidence_cannot_be_changed_by_the_hub(both: Store, act: Callable[..., Act]) -> None:
    await both.within(1).change(act(1, "study.create"), add_study, 1, "one")

    def work(statement: sa.Executable) -> Any:
        return both.write(lambda connection: connection.execute(statement))

    for statement in (audit_event.update().values(action="other"), audit_event.delete()):
        with pytest.raises(StoreError, match=r"only ever added|permission denied"):
            await work(statement)
    assert await both.read(rows, audit_event) == 1


async def test_events_that_come_together_are_stored_together(both: Store, act: Callable[..., Act]) -> None:
    before = both.writer.commits
    events = [audit.event(act(1, f"test.{number}")) for number in range(200)]
    await asyncio.gather(*map(both.journal.record, events))
    assert await both.read(rows, audit_event) == 200
    assert both.writer.commits - before <= 3


async def test_events_are_stored_in_their_order_beside_messages_and_changes(
    both: Store, act: Callable[..., Act], arrived: Callable[..., NewMessage]
) -> None:
    change = both.within(1).begin(act(1, "study.create"), add_study, 1, "one")
    recorded = [asyncio.ensure_future(both.journal.record(audit.event(act(1, f"test.{one}")))) for one in range(70)]
    message = both.append(arrived("C9"))
    await asyncio.gather(change, message, *recorded)
    found = await both.read(audit.newest, 1, EventFilter(action="test"), limit=100)
    assert [one.document["action"] for one in reversed(found)] == [f"test.{one}" for one in range(70)]
    assert len(await both.read(audit.newest, 1, EventFilter(action="study.create"))) == 1


async def test_no_event_loses_another(both: Store, act: Callable[..., Act]) -> None:
    """What no database takes is written otherwise, and a change that fails is alone in that."""
    odd = act(1, "test.odd")
    odd.entity = "file/a\0b"
    failing = both.within(1).begin(act(1, "study.create"), add_study, 77, "nobody's")
    done = await asyncio.gather(
        *(both.journal.record(audit.event(one)) for one in (act(1, "test.one"), odd, act(1, "test.two"))),
        failing, return_exceptions=True,
    )  # fmt: skip
    assert done[:3] == [None] * 3
    assert isinstance(done[3], StoreError)
    found = await both.read(audit.newest, 1, EventFilter(action="test"))
    assert {one.document["action"] for one in found} == {"test.one", "test.odd", "test.two"}
