"""Connections: one that writes, a few that read, on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool, QueuePool

from hilum.model.pool import Pool, PoolUse
from hilum.store import own_views

SQLITE_FILE = "hub.db"
USUAL = Pool()


class Database:
    """The address of a store, and how to connect to it."""

    def __init__(self, url: str | None, folder: Path, pool: Pool = USUAL) -> None:
        """`url` None is the embedded store: SQLite in `folder`. Otherwise postgresql://… `pool`: of the readers."""
        self.pool = pool
        self.timeouts = 0  # how often all connections were in use for too long
        self.folder = folder
        self.embedded = url is None
        self.path = folder / SQLITE_FILE
        address = f"sqlite:///{self.path}" if url is None else url.replace("postgresql://", "postgresql+psycopg://", 1)
        options: dict[str, Any] = {"hide_parameters": True}  # errors are logged: they must not show what was stored
        if self.embedded:  # the hot statements, for each number of rows; the loop and the writer's thread take turns
            options |= {"connect_args": {"cached_statements": 512, "check_same_thread": False}}
        else:
            options |= {"pool_pre_ping": True, "connect_args": _POSTGRES}
        self.writer = sa.create_engine(address, poolclass=NullPool, **options)
        options |= {"pool_size": pool.size, "max_overflow": pool.overflow, "pool_timeout": pool.timeout}
        self.reader = sa.create_engine(address, poolclass=QueuePool, **options)
        self.own = self.reader  # what a reader of one organization's rows connects to
        if self.embedded:
            self.own = sa.create_engine(address, poolclass=QueuePool, **options)
            event.listen(self.own, "connect", own_views.put)
            event.listen(self.own, "connect", _sqlite_reader)
            event.listen(self.own, "begin", _begin)
            event.listen(self.writer, "connect", _sqlite_writer)
            event.listen(self.writer, "begin", _begin_immediate)
            event.listen(self.reader, "connect", _sqlite_reader)
            event.listen(self.reader, "begin", _begin)

    @property
    def role(self) -> str:
        """The role that the hub connects as (PostgreSQL)."""
        return self.writer.url.username or ""

    def use(self) -> PoolUse:
        """How the readers' connections are used at this moment."""
        pool = self.reader.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 - made so above
        return PoolUse(self.pool, pool.checkedout(), pool.checkedin(), self.timeouts)

    def as_owner(self, url: str) -> sa.Engine:
        """The same database on PostgreSQL as a role that may purge."""
        address = url.replace("postgresql://", "postgresql+psycopg://", 1)
        return sa.create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=_POSTGRES)

    def dispose(self) -> None:
        self.writer.dispose()
        self.reader.dispose()
        self.own.dispose()


# psycopg: index plans at once (generic plans halved one sender), and no request may hang longer than 10 s. The hub's
# own work sees every organization's rows; what is done for somebody narrows that for its transaction (within.py).
_SETTINGS = {"plan_cache_mode": "force_custom_plan", "statement_timeout": "10000", "hilum.organization": "*"}
_POSTGRES = {"options": " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()), "connect_timeout": 5}


def _sqlite_writer(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "auto_vacuum=INCREMENTAL",  # before the first table, so that retention can give space back
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=0",  # checkpoints run beside the writer, see checkpoint.py
        "busy_timeout=10000",
        "foreign_keys=ON",
        "cache_size=-8000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_reader(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    for pragma in ("query_only=ON", "busy_timeout=10000", "cache_size=-4000"):
        connection.execute(f"PRAGMA {pragma}")
    _probe(connection)


def at_rest(connection: sa.Connection) -> bool:
    """Whether nothing is half-read: such rows would keep their old snapshot for the next reader (SQLite alone)."""
    if connection.dialect.name == "postgresql":
        return True  # there a ROLLBACK ends everything
    try:
        _probe(connection.connection.dbapi_connection)  # type: ignore[arg-type]  # the driver's own, by the dialect
    except sqlite3.Error:
        return False
    return True


def _probe(connection: sqlite3.Connection) -> None:
    """SQLite defines no function anew while a statement runs (sqlite3_create_function: SQLITE_BUSY)."""
    connection.create_function("hilum_at_rest", 0, _nothing)


def _nothing() -> None:
    """Nobody calls it."""


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: sa.Connection) -> None:
    connection.connection.dbapi_connection.execute("BEGIN")  # type: ignore[union-attr]  # it is connected; a reader waits for nobody
