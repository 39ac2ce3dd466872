"""Keeps data keys, wrapped. The newest of an organization seals; the others stay for what they sealed."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.security.keys import Wrapped
from hilum.store.schema_datasets import dataset_import, dataset_version, export
from hilum.store.schema_people import certificate, credential, data_key
from hilum.store.schema_retention import archive, subject_export
from hilum.store.schema_webhooks import webhook_receiver, webhook_subscription

ENTRIES = (credential, certificate)
SEALED = (
    *ENTRIES, archive, subject_export, webhook_subscription, webhook_receiver, dataset_version, dataset_import, export,
)  # fmt: skip
"""The tables of which a column is sealed under a data key: entries, the keys of files, the secrets of webhooks."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredKey:
    """A data key's row. `retired_at`: nothing is sealed under it any more."""

    organization: int
    number: int
    wrapped: Wrapped
    seals: int
    created_at: int
    retired_at: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class SealedRow:
    """A row of which `sealed` is under data key `key`."""

    table: str
    id: int
    uuid: uuid.UUID
    sealed: bytes
    key: int


def keys(connection: sa.Connection, organization: int | None = None) -> list[StoredKey]:
    """All of an organization (None: of everybody), the newest first."""
    query = sa.select(data_key).order_by(data_key.c.organization, data_key.c.number.desc())
    if organization is not None:
        query = query.where(data_key.c.organization == organization)
    return [_view(row) for row in connection.execute(query)]


def key(connection: sa.Connection, organization: int, number: int | None = None) -> StoredKey | None:
    """One of them, or (None) the newest."""
    query = sa.select(data_key).where(data_key.c.organization == organization)
    query = query.where(data_key.c.number == number) if number is not None else query
    row = connection.execute(query.order_by(data_key.c.number.desc()).limit(1)).first()
    return None if row is None else _view(row)


def add(connection: sa.Connection, organization: int, number: int, wrapped: Wrapped) -> StoredKey:
    """A new newest one. Raises Conflict where somebody else was faster."""
    newest = key(connection, organization)
    if (newest.number if newest else 0) != number - 1:
        raise Conflict("another data key was made meanwhile")
    made = StoredKey(organization, number, wrapped, 0, clock.micros(), None)
    connection.execute(
        data_key.insert().values(
            organization=organization, number=number, provider=wrapped.provider, wrapped_by=wrapped.wrapped_by,
            wrapped=wrapped.wrapped, seals=0, created_at=made.created_at,
        )
    )  # fmt: skip
    return made


def take(connection: sa.Connection, organization: int, number: int, count: int) -> int:
    """Give out the right to `count` seals under a key; how many were given out with these."""
    own = (data_key.c.organization == organization, data_key.c.number == number)
    connection.execute(data_key.update().where(*own).values(seals=data_key.c.seals + count))
    return int(connection.execute(sa.select(data_key.c.seals).where(*own)).scalar_one())


def rewrapped(connection: sa.Connection, one: StoredKey, wrapped: Wrapped) -> bool:
    """Store the same key under another wrapping. False: somebody else did so meanwhile."""
    own = (data_key.c.organization == one.organization, data_key.c.number == one.number)
    values = {"provider": wrapped.provider, "wrapped_by": wrapped.wrapped_by, "wrapped": wrapped.wrapped}
    query = data_key.update().where(*own, data_key.c.wrapped == one.wrapped.wrapped)
    return connection.execute(query.values(values)).rowcount == 1


def counts(connection: sa.Connection, organization: int) -> dict[int, int]:
    """How many rows are sealed under each key."""
    found: dict[int, int] = {}
    for table in SEALED:
        query = (
            sa.select(table.c.key, sa.func.count())
            .where(table.c.organization == organization, table.c.key.is_not(None), *_there(table))
            .group_by(table.c.key)
        )
        for number, count in connection.execute(query):
            found[number] = found.get(number, 0) + count
    return found


def retire(connection: sa.Connection, organization: int) -> int:
    """Mark the keys that are not the newest and under which nothing is sealed; how many were marked now."""
    newest = key(connection, organization)
    if newest is None:
        return 0
    used = {*counts(connection, organization), newest.number}
    own = (data_key.c.organization == organization, data_key.c.number < newest.number)
    query = data_key.update().where(*own, data_key.c.number.not_in(used), data_key.c.retired_at.is_(None))
    return connection.execute(query.values(retired_at=clock.micros())).rowcount


def behind(
    connection: sa.Connection, organization: int, number: int, limit: int, skipped: Collection[uuid.UUID] = ()
) -> list[SealedRow]:
    """Rows that are sealed under an older key than `number`, some of them."""
    found: list[SealedRow] = []
    for table in SEALED:
        query = sa.select(table.c.id, table.c.uuid, table.c.sealed, table.c.key).where(
            table.c.organization == organization, table.c.key < number, *_there(table), table.c.uuid.not_in(skipped)
        )  # fmt: skip
        rows = connection.execute(query.order_by(table.c.id).limit(limit - len(found)))
        found += [SealedRow(table.name, row.id, row.uuid, row.sealed, row.key) for row in rows]
        if len(found) >= limit:
            break
    return found


def resealed(connection: sa.Connection, organization: int, one: SealedRow, sealed: bytes, number: int) -> bool:
    """Store the same secret under another key. False: it was changed meanwhile, and so sealed anew anyway."""
    table = next(table for table in SEALED if table.name == one.table)
    query = table.update().where(
        table.c.organization == organization, table.c.id == one.id, table.c.sealed == one.sealed
    )
    return connection.execute(query.values(sealed=sealed, key=number)).rowcount == 1


def standing(connection: sa.Connection) -> tuple[int, ...]:
    """Differs once a credential or certificate of anybody was made, changed or removed: versions only grow."""
    found: list[int] = []
    for table in ENTRIES:
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.version), 0))
        found += map(int, connection.execute(query).one())
    return tuple(found)


def _there(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    """What was archived is not; the key of a removed file went with it."""
    return [table.c.archived_at.is_(None)] if table in ENTRIES else []


def _view(row: sa.Row[Any]) -> StoredKey:
    wrapped = Wrapped(row.provider, row.wrapped_by, row.wrapped)
    return StoredKey(row.organization, row.number, wrapped, row.seals, row.created_at, row.retired_at)
