"""Connections: one that writes, a few that read, on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool, QueuePool

SQLITE_FILE = "hub.db"


class Database:
    """The address of a store, and how to connect to it."""

    def __init__(self, url: str | None, folder: Path) -> None:
        """`url` None is the embedded store: SQLite in `folder`. Otherwise postgresql://…"""
        self.folder = folder
        self.embedded = url is None
        self.path = folder / SQLITE_FILE
        address = f"sqlite:///{self.path}" if url is None else url.replace("postgresql://", "postgresql+psycopg://", 1)
        options: dict[str, Any] = {"hide_parameters": True}  # errors are logged: they must not show what was stored
        if self.embedded:
            options |= {"connect_args": {"cached_statements": 512}}  # the hot ones, for each number of rows
        else:
            options |= {"pool_pre_ping": True, "connect_args": _POSTGRES}
        self.writer = sa.create_engine(address, poolclass=NullPool, **options)
        self.reader = sa.create_engine(
            address, poolclass=QueuePool, pool_size=4, max_overflow=0, pool_timeout=10, **options
        )
        if self.embedded:
            event.listen(self.writer, "connect", _sqlite_writer)
            event.listen(self.writer, "begin", _begin_immediate)
            event.listen(self.reader, "connect", _sqlite_reader)
            event.listen(self.reader, "begin", _begin)

    def dispose(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


# psycopg: index plans at once (generic plans halved one sender), and no request may hang longer than 10 s
_POSTGRES = {"options": "-c plan_cache_mode=force_custom_plan -c statement_timeout=10000", "connect_timeout": 5}


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


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
