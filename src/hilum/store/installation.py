"""What the database is that a hub runs on, and which schema it has."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from hilum.store import migrate
from hilum.store.grants import escapes


@dataclasses.dataclass(frozen=True, slots=True)
class Installed:
    """`settings`: name, what is expected, and what is found."""

    database: str
    revision: str | None
    settings: tuple[tuple[str, str, str], ...]


def newest() -> str:
    """The revision that this release works with."""
    return migrate.newest()


def read(connection: sa.Connection) -> Installed:
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if connection.dialect.name == "postgresql":
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        bound = "no" if escapes(connection) else "yes"
        commits = str(connection.exec_driver_sql("SHOW fsync").scalar_one())
        told = (("Row level security binds the hub's role", "yes", bound), ("fsync of the server", "on", commits))
        return Installed(f"PostgreSQL {version}", revision, told)
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    journal = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    return Installed(f"SQLite {version}", revision, (("Journal", "wal", journal),))
