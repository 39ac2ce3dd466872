"""Keeps every try to make an integration work: its steps with their times, sealed, for a partner speaks in there."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection

import sqlalchemy as sa

from hilum import clock
from hilum.model.identifier import new
from hilum.store.schema import initialization


@dataclasses.dataclass(frozen=True, slots=True)
class Try:
    """One row. `sealed` holds JSON; `stamp` is microseconds."""

    uuid: uuid.UUID
    stamp: int
    actor: str
    succeeded: bool
    sealed: bytes = dataclasses.field(repr=False)


def place(identifier: uuid.UUID) -> bytes:
    """What `sealed` is bound to."""
    return b"initialization|%s" % identifier.bytes


def begin() -> uuid.UUID:
    """The identifier of a try that is about to be stored."""
    return new(clock.micros())


def insert(
    connection: sa.Connection, organization: int, number: int | None, actor: str, identifier: uuid.UUID,
    sealed: bytes, *, succeeded: bool,
) -> None:  # fmt: skip
    """`number` None: what was asked for was not valid, so there is no integration."""
    values = {
        "uuid": identifier, "organization": organization, "integration": number, "stamp": clock.micros(),
        "actor": actor, "succeeded": int(succeeded), "sealed": sealed,
    }  # fmt: skip
    connection.execute(initialization.insert().values(values))


def newest(connection: sa.Connection, numbers: Collection[int]) -> dict[int, Try]:
    """The last try of each of these integrations, by their numbers."""
    table = initialization.c
    last = sa.select(sa.func.max(table.id)).where(table.integration.in_(numbers)).group_by(table.integration)
    query = sa.select(initialization).where(table.id.in_(last)) if numbers else None
    rows = [] if query is None else connection.execute(query).all()
    return {row.integration: Try(row.uuid, row.stamp, row.actor, bool(row.succeeded), row.sealed) for row in rows}


def listed(connection: sa.Connection, number: int, offset: int, limit: int) -> tuple[list[Try], int]:
    """Those of an integration, the newest first, and how many there are."""
    where = initialization.c.integration == number
    total: int = connection.execute(sa.select(sa.func.count()).select_from(initialization).where(where)).scalar_one()
    query = sa.select(initialization).where(where).order_by(initialization.c.id.desc()).offset(offset).limit(limit)
    found = [
        Try(row.uuid, row.stamp, row.actor, bool(row.succeeded), row.sealed) for row in connection.execute(query)
    ]  # fmt: skip
    return found, total
