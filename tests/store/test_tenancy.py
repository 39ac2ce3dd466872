"""Whose a row is, the database itself keeps: of every table that belongs to organizations, on both databases."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from hilum.errors import StoreError
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act
from hilum.store import Connection, Store, audit, configuration, schema
from hilum.store.audit import EventFilter

pytestmark = pytest.mark.anyio
Open = Callable[..., Awaitable[Store]]
CONFIGURATION = ("integration", "endpoint", "route_version")
HOT = {"message", "delivery"}
"""Written thousands of times a second, by the hub alone: no foreign key leads there or from there (decision 0009)."""

_numbers = itertools.count(1_000)


def own_keys(table: sa.Table) -> Iterator[tuple[sa.ForeignKeyConstraint, sa.Table]]:
    """References to rows that belong to an organization."""
    for key in table.foreign_key_constraints:
        if "organization" in key.referred_table.c:
            yield key, key.referred_table


def add(connection: Connection, table: sa.Table, organization: int | None, **given: Any) -> int:
    """A row with something in every column that needs it; what it refers to is made first."""
    values: dict[str, Any] = {"organization": organization} | given
    for key, parent in own_keys(table):
        for column in key.columns:
            if column.name != "organization" and column.name not in values and not column.nullable:
                values[column.name] = add(connection, parent, organization)
    for column in table.c:
        needed = not column.nullable and column.server_default is None and column.name not in values
        if needed and not (column.primary_key and column.autoincrement is not False and column.name == "id"):
            values[column.name] = made(column)
    if "id" in table.c and "id" not in values:
        values["id"] = next(_numbers)
    connection.execute(table.insert().values(values))
    return int(values.get("id", 0))


def made(column: sa.Column[Any]) -> Any:
    number = next(_numbers)
    kinds = {
        sa.Uuid: uuid.uuid4(), sa.JSON: {}, sa.LargeBinary: str(number).encode(), sa.Text: f"text-{number}",
        sa.DateTime: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), sa.Integer: number, sa.SmallInteger: 1,
    }  # fmt: skip
    return next(value for kind, value in kinds.items() if isinstance(column.type, kind))


@contextlib.contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """What is tried here is taken back."""
    with connection.begin_nested() as tried:
        yield
        tried.rollback()


def refused(connection: Connection, table: sa.Table, organization: int | None, **given: Any) -> bool:
    try:
        with undone(connection):
            add(connection, table, organization, **given)
    except sa.exc.IntegrityError:
        return True
    return False


@pytest.fixture
async def both(store: Store) -> Store:
    """Organizations 1 and 2."""
    for number in (1, 2):
        assert await store.write(configuration.put_organization, f"org{number}", {}) == number
    return store


def owned() -> list[sa.Table]:
    return [table for table in schema.metadata.sorted_tables if "organization" in table.c]


@pytest.mark.ledger("S4-71", "S4-73")
async def test_every_integration_and_all_of_its_configuration_is_somebody_s(both: Store, open_store: Open) -> None:
    """NOT NULL, a foreign key, and on PostgreSQL row level security; what is the hub's own is nobody's to see."""

    def try_all(connection: Connection) -> None:
        for name in CONFIGURATION:
            table = schema.metadata.tables[name]
            assert refused(connection, table, None), f"{name} of nobody"
            assert refused(connection, table, 99), f"{name} of an organization that is not there"
            assert refused(connection, table, SYSTEM), f"{name} of the hub itself"
            assert not refused(connection, table, 1), name
        for number in (1, 2):  # the same names, twice
            add(connection, schema.integration, number, name="lab", document={"of": number})
            add(connection, schema.endpoint, number, reference="lab/out", document={"of": number})
            add(connection, schema.route_version, number, name="all", number=1, document={"of": number})

    await both.write(try_all)

    def seen(connection: Connection) -> dict[str, list[int]]:
        """Whose rows of the configuration are there, narrowed by nothing."""
        tables = [schema.metadata.tables[name] for name in CONFIGURATION]
        return {one.name: sorted(connection.execute(sa.select(one.c.organization)).scalars()) for one in tables}

    stored = await both.read(configuration.read)
    assert [(one.id, {"of": one.id}) for one in stored] == [(one.id, one.integrations["lab"]) for one in stored]
    if not both.database.embedded:
        for number in (1, 2):
            assert await both.within(number).read(seen) == {one: [number] for one in CONFIGURATION}
        assert not any((await both.within(3).read(seen)).values())

    hub = audit.event(Act(HUB, Scope(SYSTEM), "signing-key.replace"))  # the platform's own
    await both.journal.record(hub)
    for number in (1, 2):
        assert await both.within(number).read(audit.newest, number, EventFilter()) == []
    assert len(await both.within(None).read(audit.newest, SYSTEM, EventFilter())) == 1
    with pytest.raises(StoreError):
        await both.write(configuration.put_organization, None, {})  # type: ignore[arg-type]  # nobody's name


@pytest.mark.ledger("S4-72")
async def test_nothing_refers_to_what_is_another_organization_s(both: Store) -> None:
    """Each reference is a foreign key of two columns, the organization and the row: no other way round exists."""
    names, loose = {table.name for table in owned()}, set[str]()
    for table in owned():
        keys = [key for key, _ in own_keys(table)]
        for key in keys:
            assert next(column.name for column in key.columns) == "organization", f"{table.name}: {key.column_keys}"
            assert [one.column.name for one in key.elements] == ["organization", "id"], (
                f"{table.name}: {key.column_keys}"
            )
        pointing = {column.name for column in table.c if column.name in names - HOT - {"organization"}}
        if table.name not in HOT:
            loose |= {f"{table.name}.{one}" for one in pointing - {name for key in keys for name in key.column_keys}}
    assert not loose, "numbers that no foreign key keeps within the organization"

    def try_all(connection: Connection) -> int:
        tried = 0
        for table in owned():
            for key, parent in own_keys(table):
                (column,) = (one.name for one in key.columns if one.name != "organization")
                with undone(connection):
                    theirs, ours = add(connection, parent, 2), add(connection, parent, 1)
                    assert refused(connection, table, 1, **{column: theirs}), f"{table.name}.{column}"
                    assert not refused(connection, table, 1, **{column: ours}), f"{table.name}.{column}"
                    tried += 1
        return tried

    assert await both.write(try_all) > 12


@pytest.mark.ledger("S4-78")
async def test_every_audit_event_is_somebody_s(both: Store, act: Callable[..., Act]) -> None:
    """The column is NOT NULL, and the document that is sealed says it too, whoever acts on whatever."""
    table = schema.metadata.tables["audit_event"]

    def try_it(connection: Connection) -> None:
        assert not table.c.organization.nullable
        assert refused(connection, table, None)
        assert not refused(connection, table, 1)

    await both.write(try_it)
    for organization in (1, 2):
        for outcome in audit.Outcome:
            await both.journal.record(audit.event(act(organization), outcome=outcome))
    await both.journal.record(audit.event(Act(HUB, Scope(SYSTEM), "hub.start")))

    def read(connection: Connection) -> list[tuple[int, str]]:
        return [(row.organization, row.document) for row in connection.execute(sa.select(table))]

    found = await both.read(read)
    assert [number for number, _ in found] == [1, 1, 1, 2, 2, 2, SYSTEM]
    assert all(f'"organization":{number},' in text for number, text in found)


@pytest.mark.ledger_part(
    "S4-75", "PostgreSQL forces row level security, by role, by transaction, and shows nothing to who says nothing"
)
async def test_whoever_does_not_say_whose_rows_sees_none(
    role_url: str, open_store: Open, act: Callable[..., Act]
) -> None:
    store = await open_store(url=role_url)
    for number in (1, 2):
        await store.write(configuration.put_organization, f"org{number}", {})
        await store.journal.record(audit.event(act(number)))
    with psycopg.connect(role_url, autocommit=True) as connection:
        (rights,) = connection.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        (owned_by_it,) = connection.execute("SELECT count(*) FROM pg_tables WHERE tableowner = current_user")
        assert (rights, owned_by_it) == ((False,), (0,))

        def counts() -> dict[str, int]:
            names = ("organization", *(table.name for table in owned()))
            rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() for name in names}
            return {name: row[0] for name, row in rows.items() if row and row[0]}

        assert counts() == {}, "no setting, no row"
        with connection.transaction():
            connection.execute("SELECT set_config('hilum.organization', '1', true)")
            assert counts() == {"organization": 1, "audit_event": 1}
        assert counts() == {}, "the setting ends with its transaction"
        for odd in ("", "0", "99", "1 OR true"):
            with contextlib.suppress(psycopg.errors.InvalidTextRepresentation), connection.transaction():
                connection.execute("SELECT set_config('hilum.organization', %s, true)", [odd])
                assert counts() == {}, odd


@pytest.mark.ledger_part(
    "S4-75", "SQLite shows readers one organization's rows through views; no file for each of them"
)
async def test_views_show_a_reader_of_sqlite_one_organization(open_store: Open, act: Callable[..., Act]) -> None:
    store = await open_store()
    for number in (1, 2):
        await store.write(configuration.put_organization, f"org{number}", {})
        await store.journal.record(audit.event(act(number)))
    tables = {"organization", *(table.name for table in owned()), "body", "attempt"}

    def counts(connection: Connection) -> dict[str, int]:
        rows = {name: connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one() for name in tables}
        return {name: count for name, count in rows.items() if count}

    for read in (store.within(1).read, store.within(2).load):
        assert await read(counts) == {"organization": 1, "audit_event": 1}
    assert await store.within(3).read(counts) == {}
    assert await store.within(None).read(counts) == {"organization": 2, "audit_event": 2}
    with store.database.own.connect() as connection:
        assert counts(connection) == {}, "nobody said whose"
        hidden = connection.exec_driver_sql("SELECT name FROM sqlite_temp_master WHERE type = 'view'").scalars()
        assert set(hidden) == tables
