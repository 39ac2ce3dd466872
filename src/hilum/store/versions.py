"""Optimistic locking: a change says which version it is based on, and holds only while that one stands."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hilum.errors import Stale


def advance(connection: sa.Connection, table: sa.Table, number: int, version: int, /, **values: Any) -> None:
    """Change row `number` and count its version on. Raises Stale where it is not at `version` any more."""
    where = (table.c.id == number, table.c.version == version)
    changed = connection.execute(table.update().where(*where).values(version=version + 1, **values))
    if not changed.rowcount:
        raise Stale("it was changed since it was read: read it again")
