"""What changed, for whoever wants to know: rows that are written with the change itself and read in order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.store.hot import put
from hilum.store.schema_evidence import outbox


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """`topic` is the act that changed `entity`, such as api-key.revoke and api-key/019a…"""

    id: int
    organization: int
    topic: str
    entity: str
    stamp: int


def insert(
    connection: sa.Connection, organization: int, topic: str, entity: str, document: dict[str, Any] | None = None
) -> None:
    row = (organization, topic, entity, clock.micros(), json.dumps(document or {}))
    put(connection, "outbox", ("organization", "topic", "entity", "stamp", "document"), [row])


def after(connection: sa.Connection, last: int, limit: int = 1_000) -> list[Note]:
    """What was written after row `last`, the oldest first. (Several writers: look back a little, forget repeats.)"""
    query = sa.select(outbox).where(outbox.c.id > last).order_by(outbox.c.id).limit(limit)
    return [Note(row.id, row.organization, row.topic, row.entity, row.stamp) for row in connection.execute(query)]


def of(
    connection: sa.Connection, organization: int, last: int, topics: Sequence[str] = (), limit: int = 200
) -> list[Note]:
    """An organization's of after row `last`, the oldest first; `topics`: of these alone, `study.*` all of a noun's."""
    where = [outbox.c.organization == organization, outbox.c.id > last]
    if topics:
        whole = [one for one in topics if not one.endswith(".*")]
        nouns = [outbox.c.topic.startswith(one[:-1], autoescape=True) for one in topics if one.endswith(".*")]
        where.append(sa.or_(outbox.c.topic.in_(whole), *nouns))
    query = sa.select(outbox).where(*where).order_by(outbox.c.id).limit(limit)
    return [Note(row.id, row.organization, row.topic, row.entity, row.stamp) for row in connection.execute(query)]


def newest(connection: sa.Connection) -> int:
    """The number of the last row, 0 where there is none."""
    return connection.execute(sa.select(sa.func.max(outbox.c.id))).scalar() or 0


def forget(connection: sa.Connection, before: int) -> int:
    """Remove the rows of before a moment (microseconds); how many."""
    return connection.execute(outbox.delete().where(outbox.c.stamp < before)).rowcount
