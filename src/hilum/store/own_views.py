"""What row level security is on PostgreSQL, for those who read from SQLite: views that hide the tables behind them.

A temporary view has the name of the table, and is found first: `SELECT … FROM message` reads the rows of one
organization, whatever it asks for. SQLite flattens them into the statement, so that its plan is the table's own.
"""

from __future__ import annotations

import functools
import sqlite3
from typing import Any

import sqlalchemy as sa

from hilum.store.schema import metadata

_WHOSE = "hilum_organization"


def put(connection: sqlite3.Connection, record: Any) -> None:
    """Let a new connection read through views; none shows a row until it is said whose (SQLAlchemy's `connect`)."""
    whose: list[int | None] = [None]
    record.info[_WHOSE] = whose
    connection.create_function(_WHOSE, 0, lambda: whose[0], deterministic=True)
    for statement in _statements():
        connection.execute(statement)


def choose(connection: sa.Connection, organization: int | None) -> None:
    """Whose rows the views show from now on; None: nobody's. Of a connection without views, nothing changes."""
    whose: list[int | None] | None = connection.info.get(_WHOSE)
    if whose is not None:
        whose[0] = organization


@functools.cache
def _statements() -> list[str]:
    whose = f"organization = {_WHOSE}()"
    own = {table.name: whose for table in metadata.sorted_tables if "organization" in table.columns} | {
        "organization": f"id = {_WHOSE}()",
        "body": f"EXISTS (SELECT 1 FROM main.message m WHERE m.id = body.message AND m.{whose})",
        "attempt": f"EXISTS (SELECT 1 FROM main.delivery d WHERE d.id = attempt.delivery AND d.{whose})",
    }
    # likely: the planner must not think that a scan leaves few rows, for the store's functions narrow already
    return [
        f'CREATE TEMP VIEW "{name}" AS SELECT * FROM main."{name}" WHERE likely({one})' for name, one in own.items()
    ]
