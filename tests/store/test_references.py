"""Nothing of one organization can refer to something of another one: the database itself refuses it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import StoreError
from hilum.store import Store, configuration, schema, schema_people, studies
from hilum.store.database import Database
from hilum.store.migrate import migrate

OF_ITS_OWN = {"study": schema_people.study, "user": schema_people.user}
FREE = {
    "message.endpoint": "hot", "message.origin": "hot", "message.first_delivery": "hot", "delivery.message": "hot",
    "delivery.destination": "hot", "delivery.route": "hot", "archived.message": "names a hot row",
    "archive.first": "the end of a range, where others' may lie", "archive.last": "the same",
    "audit_seal.event": "the chain's hash says which event it seals", "checkpoint.message": "how far it reaches",
    "principal_index.number": "its kind says of which table", "activity_log.attempt": "a count",
    "delivery.shard": "one of 64, which are nobody's",
}  # fmt: skip
"""What is bound to no organization's row, and why. What is hot is written with each message: docs/decisions/0009."""

NOBODYS = {  # without a column organization: the hub's own, or a part of the one row that they name
    "organization", "setting", "signing_key", "shard", "progress", "tally", "parked", "body", "attempt", "search_key",
    "alembic_version",
}  # fmt: skip


def test_whatever_names_a_study_or_user_names_one_of_its_own_organization() -> None:
    found = 0
    for table in schema.metadata.tables.values():
        for name, target in OF_ITS_OWN.items():
            if name not in table.c or "organization" not in table.c:
                continue
            pairs = {
                tuple((one.parent.name, one.column.name) for one in constraint.elements)
                for constraint in table.foreign_key_constraints
                if constraint.referred_table is target
            }
            assert pairs == {(("organization", "organization"), (name, "id"))}, f"{table.name}.{name}"
            found += 1
    assert found >= 10


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database that the migrations made, as its owner."""
    url = request.getfixturevalue("empty_url") if request.param == "postgresql" else None
    database = Database(url, tmp_path)
    migrate(database)
    yield database
    database.dispose()


def loose(connection: sa.Connection) -> set[str]:
    """References that could name another organization's row, by what the database itself says about its tables.

    A reference is what has a foreign key, is called like a table, or is declared as an `Id`.
    """
    inspector, found = sa.inspect(connection), set()
    tables = set(inspector.get_table_names())
    for table in tables - NOBODYS:
        columns = {one["name"] for one in inspector.get_columns(table)}
        assert "organization" in columns, f"{table} says not whose it is"
        keys = inspector.get_foreign_keys(table)
        declared = schema.metadata.tables[table].c if table in schema.metadata.tables else ()
        named = {name for one in keys for name in one["constrained_columns"]} | (columns & tables)
        named |= {one.name for one in declared if one.type is schema.Id}
        bound = {
            one["constrained_columns"][1] for one in keys
            if one["constrained_columns"][0] == "organization" and one["referred_columns"] == ["organization", "id"]
        }  # fmt: skip
        found |= {f"{table}.{name}" for name in named - bound - {"id", "organization"}}
    return found


@pytest.mark.ledger("S4-72")
def test_every_reference_is_to_a_row_of_the_same_organization(migrated: Database) -> None:
    with migrated.writer.connect() as connection:
        assert loose(connection) == set(FREE)


@pytest.mark.parametrize(
    "column",
    [
        "endpoint BIGINT",
        "endpoint BIGINT REFERENCES endpoint (id)",
        "whose BIGINT, FOREIGN KEY (whose) REFERENCES integration (id)",
        "endpoint BIGINT, other BIGINT, FOREIGN KEY (other, endpoint) REFERENCES endpoint (organization, id)",
    ],
)
def test_a_loose_reference_is_found(migrated: Database, column: str) -> None:
    with migrated.writer.connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE planted (id BIGINT, organization BIGINT, {column})")
        assert {one for one in loose(connection) if one.startswith("planted.")}
        connection.rollback()


def test_whatever_is_an_organizations_says_whose_it_is() -> None:
    for table in schema.metadata.tables.values():
        if "organization" in table.c:
            nullable = {"job"}  # the hub's own jobs are nobody's
            assert table.c.organization.nullable is (table.name in nullable), table.name


@pytest.mark.anyio
@pytest.mark.ledger_part("S4-72", "a study of another organization cannot be referred to, whoever writes")
@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("integration", {"uuid": uuid.uuid4, "name": "x", "document": {}, "managed_by": "api"}),
        (
            "api_key",
            {
                "uuid": uuid.uuid4, "name": "x", "key_id": "x", "digest": b"", "role": "service", "scopes": [],
                "allow": [], "version": 1, "created_at": 1, "created_by": "x",
            },
        ),
    ],
)  # fmt: skip
async def test_another_organizations_study_is_out_of_reach(store: Store, table: str, values: dict[str, Any]) -> None:
    one = await store.write(configuration.put_organization, "one", {})
    two = await store.write(configuration.put_organization, "two", {})
    theirs = await store.write(studies.ensure, two, "trial")
    made = {name: value() if callable(value) else value for name, value in values.items()}

    def insert(connection: sa.Connection, owner: int) -> None:
        connection.execute(schema.metadata.tables[table].insert().values(organization=owner, study=theirs, **made))

    with pytest.raises(StoreError):
        await store.write(insert, one)
    await store.write(insert, two)
