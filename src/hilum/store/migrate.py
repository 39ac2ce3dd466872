"""Brings the schema up to date at start: a backup first on SQLite, one migrator by advisory lock on PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import StoreError
from hilum.store.database import Database
from hilum.store.grants import escapes, grant

_LOCK = 7263_1001  # ours alone among the advisory locks of the database
log = telemetry.logger("store")
_SCRIPTS = Path(__file__).parent / "migrations"


def prepare(database: Database, owner: str | None) -> None:
    """Bring the schema up to date. On PostgreSQL `owner` is the address of the role that owns it: it migrates, and
    grants the hub's own role what it needs. Without one the hub's role does it itself. Raises StoreError."""
    try:
        if database.embedded or owner is None:
            migrate(database)
        else:
            _as_owner(owner, database)
    except sa.exc.DBAPIError as error:
        hint = "" if database.embedded or owner else "; HILUM_DATABASE_OWNER names a role that may change tables"
        raise StoreError(f"the schema cannot be brought up to date: {str(error.orig).strip()}{hint}") from None
    if not database.embedded:
        with database.writer.connect() as connection:
            if escapes(connection):
                log.warning("row level security does not bind the hub's database role; see docs/how-to/postgresql.md")


def _as_owner(owner: str, database: Database) -> None:
    owning = Database(owner, database.folder)
    try:
        migrate(owning)
        with owning.writer.begin() as connection:
            grant(connection, database.role)
    finally:
        owning.dispose()


def migrate(database: Database, scripts: Path = _SCRIPTS) -> None:
    """Upgrade to the newest schema. Raises StoreError where the store was written by a newer Hilum."""
    if _current(database) == newest(scripts):
        return  # nearly always: alembic is not even loaded
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))  # the parser's own escape
    script = ScriptDirectory.from_config(config)
    with database.writer.connect() as connection:
        if not database.embedded:
            connection.exec_driver_sql("SET statement_timeout = 0")  # a long one, or waiting for another migrator
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
        try:
            current = MigrationContext.configure(connection).get_current_revision()
            connection.rollback()
            if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
                raise StoreError(f"the store has schema {current}, which a newer Hilum made; start that one")
            if current == script.get_current_head():
                return
            if database.embedded and current is not None:
                _backup(database.path, current)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        finally:
            if not database.embedded:
                connection.rollback()
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))


def newest(scripts: Path = _SCRIPTS) -> str:
    """The head's revision: scripts are called v<revision>_<name>.py."""
    return max(path.name[1:].partition("_")[0] for path in (scripts / "versions").glob("v*.py"))


def _current(database: Database) -> str | None:
    with database.writer.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return found


def _backup(path: Path, revision: str) -> None:
    copy = path.with_name(f"{path.stem}-before-{revision}-{clock.micros()}.db")
    copy.touch(mode=0o600)
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
