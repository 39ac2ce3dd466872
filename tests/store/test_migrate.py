"""The schema: made by migrations, backed up before it changes, changed by one process at a time."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql

from hilum.errors import StoreError
from hilum.security.keyring import Keyring
from hilum.store import Store, schema
from hilum.store import migrate as module
from hilum.store.database import Database
from hilum.store.migrate import migrate

SCRIPTS = Path(module.__file__).parent / "migrations"
NEWEST = max(one.name[1:5] for one in (SCRIPTS / "versions").glob("v*.py"))
LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND d.datname = current_database()
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO later VALUES (1)")
    {then}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, as its owner."""
    url = request.getfixturevalue("empty_url") if request.param == "postgresql" else None
    made = Database(url, tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    made = Database(None, tmp_path)
    yield made
    made.dispose()


def later(folder: Path, then: str = "") -> Path:
    """The migrations of a later Hilum, which has one more."""
    scripts = folder / "100% later"  # a percent sign has a meaning in alembic's own files
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "v9999_later.py").write_text(SECOND.format(newest=NEWEST, then=then))
    return scripts


def earlier(folder: Path, newest: str) -> Path:
    """The migrations of an earlier Hilum, up to this revision."""
    scripts = folder / "earlier"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (scripts / "versions").glob("v*.py"):
        if script.name[1:5] > newest:
            script.unlink()
    return scripts


def tables(database: Database) -> set[str]:
    with database.writer.connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def conditions(index: Any) -> dict[str, str]:
    return {name: str(value) for name, value in index.get("dialect_options", {}).items()}


def described(connection: sa.Connection) -> dict[str, object]:
    """What a database says about its tables: columns in order, keys, constraints, indexes with their conditions."""
    inspector = sa.inspect(connection)
    return {
        table: (
            [(one["name"], str(one["type"]), one["nullable"], one["default"]) for one in inspector.get_columns(table)],
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted((one["constrained_columns"], one["referred_table"]) for one in inspector.get_foreign_keys(table)),
            sorted(one["column_names"] for one in inspector.get_unique_constraints(table)),
            sorted(
                (str(one["name"]), one["column_names"], bool(one["unique"]), conditions(one))
                for one in inspector.get_indexes(table)
            ),
        )
        for table in sorted(inspector.get_table_names())
        if table != "alembic_version"
    }


def test_the_migrations_make_what_the_code_declares(database: Database) -> None:
    migrate(database)
    with database.writer.connect() as connection:
        context = MigrationContext.configure(connection)
        beside = {"search_key"}  # declared apart, since SQLite has none
        found = [
            change
            for change in compare_metadata(context, schema.metadata)
            if not (change[0] == "remove_table" and change[1].name in beside)
            and not (change[0] == "add_index" and change[1].name == "message_organization" and database.embedded)
        ]
        assert found == []
        migrated = described(connection)
        made = set(migrated)
        connection.rollback()
        with connection.begin():
            order = [
                table.name for table in reversed(schema.metadata.sorted_tables)
            ]  # those that refer to others first
            first = ["body", "attempt"]  # their row policies look at others
            for table in [*first, *(made - set(order)), *(one for one in order if one not in first)]:
                connection.exec_driver_sql(f'DROP TABLE "{table}"')
            schema.metadata.create_all(connection)
            if not database.embedded:
                schema.search_key.create(connection)
        assert described(connection) == migrated


def test_the_first_rows_are_there(database: Database) -> None:
    migrate(database)
    with database.writer.connect() as connection:
        shards = list(connection.execute(sa.select(schema.shard).order_by(schema.shard.c.id)))
        assert [tuple(row) for row in shards] == [(number, 0, 0, 0) for number in range(64)]
        assert [tuple(row) for row in connection.execute(sa.select(schema.setting))] == [("message_floor", "0")]
        if not database.embedded:
            first = [connection.exec_driver_sql("SELECT nextval('message_ids')").scalar_one() for _ in range(2)]
            assert first == [1, 1001]


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)
    before = tables(database)
    migrate(database)
    assert tables(database) == before
    assert not list(database.folder.glob("*-before-*"))


def test_a_store_of_a_newer_hilum_is_refused(database: Database) -> None:
    migrate(database)
    with database.writer.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, which a newer Hilum made"):
        migrate(database)
    with database.writer.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "9999"
        if not database.embedded:  # the refused one holds no lock
            assert connection.exec_driver_sql(LOCKS).scalar_one() == 0


def test_a_change_of_the_schema_keeps_the_rows(database: Database, tmp_path: Path) -> None:
    migrate(database)
    with database.writer.connect() as connection, connection.begin():
        connection.execute(schema.setting.insert().values(name="kept", value="yes"))
    migrate(database, later(tmp_path))
    with database.writer.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM later").scalar_one() == 1
        kept = connection.execute(sa.select(schema.setting.c.value).where(schema.setting.c.name == "kept"))
        assert kept.scalar_one() == "yes"
    with pytest.raises(StoreError, match="newer Hilum"):
        migrate(database)


def used(connection: sa.Connection) -> None:
    """A store that was used: an integration was asked and tested, a hold placed, a message received."""
    of, stamps = {"organization": 7}, {"stamp": 1}
    logged = {**of, **stamps, "integration": 8, "kind": "test", "level": "info", "outcome": "success",
              "status": "success", "attempt": 0, "correlation": ""}  # fmt: skip
    held = {**of, "reason": "", "version": 1, "placed_by": "me", "placed_at": 1, "lifted_why": ""}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("organization", {"id": 7, "name": "clinic", "document": {"kept": [1]}}),
        ("integration", {**of, "id": 8, "uuid": uuid.uuid4(), "name": "lab", "document": {}, "managed_by": "api"}),
        ("endpoint", {**of, "id": 9, "uuid": uuid.uuid4(), "reference": "lab/out", "direction": "outbound",
                      "document": {}, "draining": 0}),
        ("execution", {**of, "id": 10, "uuid": uuid.uuid4(), "integration": 8, "endpoint": 9, "status": "completed",
                       "started_at": 1, "attempts": 1, "correlation": "c", "actor": "me", "request": b"\0sealed"}),
        ("activity_log", {**logged, "id": 11, "uuid": uuid.uuid4()}),
        ("activity_log", {**logged, "id": 12, "uuid": uuid.uuid4(), "endpoint": 9, "execution": 10, "error": b"e"}),
        ("probe_result", {**of, **stamps, "id": 13, "integration": 8, "endpoint": 9, "kind": "test", "success": 1,
                          "told": b"t"}),
        ("legal_hold", {**held, "id": 14, "uuid": uuid.uuid4(), "name": "all"}),
        ("legal_hold", {**held, "id": 15, "uuid": uuid.uuid4(), "name": "of one", "endpoint": 9}),
        ("message", {**of, "id": 16, "uuid": bytes(16), "endpoint": 9, "received_at": 1, "disposition": 1, "ack": "AA",
                     "type": "ADT^A01", "control_id": "1", "body_hash": bytes(32), "deliveries": 0, "routes": ""}),
    ]  # fmt: skip
    for table, values in rows:
        connection.execute(schema.metadata.tables[table].insert().values(values))


def stored(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    names = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
    return {
        name: [dict(one) for one in connection.exec_driver_sql(f'SELECT * FROM "{name}" ORDER BY 1').mappings()]
        for name in names
    }


def test_an_older_store_keeps_every_row(database: Database, tmp_path: Path) -> None:
    migrate(database, earlier(tmp_path, "0007"))
    with database.writer.begin() as connection:
        used(connection)
        before = stored(connection)
    assert len(before["activity_log"]) == len(before["legal_hold"]) == 2
    migrate(database)
    with database.writer.begin() as connection:
        after = stored(connection)
        for name, rows in before.items():
            assert [{column: one[column] for column in rows[0]} for one in after[name] if rows] == rows, name
        assert [one["synthetic"] for one in (*after["message"], *after["execution"])] == [0, 0]
        if database.embedded:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
            connection.exec_driver_sql("UPDATE activity_log SET execution = 99 WHERE id = 12")


def test_sqlite_is_backed_up_before_its_schema_changes(embedded: Database, tmp_path: Path) -> None:
    migrate(embedded)
    with embedded.writer.connect() as connection, connection.begin():
        connection.execute(schema.setting.insert().values(name="kept", value="yes"))
    migrate(embedded, later(tmp_path))
    (copy,) = tmp_path.glob(f"hub-before-{NEWEST}-*.db")
    assert copy.stat().st_mode & 0o077 == 0, "others may not read it"
    backup = sqlite3.connect(copy)
    try:
        assert backup.execute("SELECT value FROM setting WHERE name = 'kept'").fetchone() == ("yes",)
        assert backup.execute("SELECT version_num FROM alembic_version").fetchone() == (NEWEST,)
        assert backup.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)
    finally:
        backup.close()


def test_a_migration_that_fails_leaves_everything_as_it_was(database: Database, tmp_path: Path) -> None:
    migrate(database)
    before = tables(database)
    scripts = later(tmp_path, then="op.execute('SELECT nonsense FROM nowhere')")
    with pytest.raises(sa.exc.DBAPIError):
        migrate(database, scripts)
    assert tables(database) == before
    migrate(database)  # it is still a store of this Hilum, and no lock is left


def test_processes_that_start_at_once_migrate_one_after_the_other(empty_url: str, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from hilum.store.database import Database; from hilum.store.migrate import migrate;"
        "migrate(Database(sys.argv[1], pathlib.Path(sys.argv[2]))); print('migrated')"
    )
    database = Database(empty_url, tmp_path)
    with database.writer.connect() as holder:  # nobody starts before all of them are waiting
        holder.execute(sa.select(sa.func.pg_advisory_lock(module._LOCK)))
        command = [sys.executable, "-c", code, empty_url, str(tmp_path)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        while holder.exec_driver_sql(f"{LOCKS} AND NOT granted").scalar_one() < 2:
            assert [one.poll() for one in started] == [None, None]
            holder.rollback()
        holder.execute(sa.select(sa.func.pg_advisory_unlock(module._LOCK)))
    assert [one.communicate(timeout=60)[0] for one in started] == ["migrated\n", "migrated\n"]
    assert [one.returncode for one in started] == [0, 0]
    assert "message" in tables(database)
    database.dispose()


@pytest.mark.anyio
async def test_the_owner_migrates_and_the_hub_runs_as_a_role_that_owns_nothing(
    empty_url: str, tmp_path: Path, keyring: Keyring
) -> None:
    name = f"hilum_test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(empty_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'test'").format(sql.Identifier(name)))
    url = sa.make_url(empty_url).set(username=name, password="test").render_as_string(hide_password=False)
    try:
        with pytest.raises(StoreError, match="HILUM_DATABASE_OWNER"):  # it may not even make a table
            await Store(tmp_path, keyring, url).open(lambda message: ())
        store = await Store(tmp_path, keyring, url, empty_url).open(lambda message: ())
        try:
            with pytest.raises(StoreError, match="owner of table"):
                await store.write(lambda one: one.exec_driver_sql("ALTER TABLE message DISABLE ROW LEVEL SECURITY"))
        finally:
            await store.close()
    finally:
        with psycopg.connect(empty_url, autocommit=True) as server:
            server.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
