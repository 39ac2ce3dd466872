"""Keeps archives: which there are, which message is in which, and what was put back of one."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound, StoreError
from hilum.model.audit import Change
from hilum.security.seal import Sealer
from hilum.store import files, keys, legal_holds
from hilum.store.archive_files import Kept
from hilum.store.hot import body_place, delivery_place
from hilum.store.legal_holds import Holds
from hilum.store.schema import body, delivery, message
from hilum.store.schema_retention import archive, archived


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """A row. `sealed` is the key of its file, None once it was removed. Times are microseconds, `size` is bytes."""

    id: int
    uuid: uuid.UUID
    organization: int
    since: int
    until: int
    first: int
    last: int
    messages: int
    size: int
    sha256: bytes
    sealed: bytes | None
    key: int | None
    created_at: int
    removed_at: int | None

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"archive/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """The file of a new archive, and what is in it: messages with their search keys, by their rows."""

    uuid: uuid.UUID
    since: int
    until: int
    size: int
    sha256: bytes
    sealed: bytes
    key: int
    keys: Mapping[int, Sequence[int]]


def add(connection: sa.Connection, organization: int, made: Written) -> Change:
    """Its row and those of its messages."""
    rows = sorted(made.keys)
    values = {
        "uuid": made.uuid, "organization": organization, "since": made.since, "until": made.until, "first": rows[0],
        "last": rows[-1], "messages": len(rows), "size": made.size, "sha256": made.sha256, "sealed": made.sealed,
        "key": made.key, "created_at": clock.micros(),
    }  # fmt: skip
    number = connection.execute(archive.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    connection.execute(
        archived.insert(),
        [{"message": row, "organization": organization, "archive": number, "search_keys": keys.pack(made.keys[row])}
         for row in rows],
    )  # fmt: skip
    found = find(connection, organization, made.uuid)
    return Change(found, found.entity, None, shown(found))


def listed(connection: sa.Connection, organization: int, offset: int, limit: int) -> tuple[list[Archive], int]:
    """Those that are there, the newest first, and how many."""
    where = (archive.c.organization == organization, archive.c.removed_at.is_(None))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(archive).where(*where)).scalar_one()
    query = sa.select(archive).where(*where).order_by(archive.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Archive:
    """Raises NotFound, of a removed one too."""
    where = (archive.c.organization == organization, archive.c.uuid == identifier, archive.c.removed_at.is_(None))
    row = connection.execute(sa.select(archive).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no archive {identifier}")
    return _view(row)


def get(connection: sa.Connection, number: int) -> Archive:
    """By its row, removed or not."""
    return _view(connection.execute(sa.select(archive).where(archive.c.id == number)).one())


def there(connection: sa.Connection, organization: int) -> list[Archive]:
    """All that were not removed, the oldest first."""
    where = (archive.c.organization == organization, archive.c.removed_at.is_(None))
    return [_view(row) for row in connection.execute(sa.select(archive).where(*where).order_by(archive.c.id))]


def expired(connection: sa.Connection, organization: int, cutoff: int) -> list[Archive]:
    """Those that were made before a moment, the oldest first; not while a body of theirs is back."""
    back = sa.select(archived.c.message).join(body, body.c.message == archived.c.message)
    where = (
        archive.c.organization == organization,
        archive.c.removed_at.is_(None),
        archive.c.created_at < cutoff,
        ~back.where(archived.c.archive == archive.c.id).exists(),
    )
    return [_view(row) for row in connection.execute(sa.select(archive).where(*where).order_by(archive.c.id))]


def of(connection: sa.Connection, organization: int, messages: Collection[int]) -> dict[int, uuid.UUID]:
    """Which archive has which of these messages, by their rows."""
    query = (
        sa.select(archived.c.message, archive.c.uuid)
        .join(archive, archive.c.id == archived.c.archive)
        .where(archived.c.organization == organization, archived.c.message.in_(messages))
    )
    return {row.message: row.uuid for row in connection.execute(query)}


def holds(connection: sa.Connection, one: Archive, standing: Holds) -> bool:
    """Whether something in it is held."""
    query = (
        sa.select(message.c.id, message.c.endpoint, message.c.received_at)
        .join(archived, archived.c.message == message.c.id)
        .where(archived.c.archive == one.id)
    )
    return any(standing.keep(*row) for row in connection.execute(query))


def remove(connection: sa.Connection, one: Archive, standing: Holds) -> Change:
    """Forget its key and its messages: from now on nobody opens the file. Raises Conflict where holds changed."""
    legal_holds.check(connection, standing)
    values = {"sealed": None, "key": None, "removed_at": clock.micros()}
    connection.execute(archive.update().where(archive.c.id == one.id).values(values))
    connection.execute(archived.delete().where(archived.c.archive == one.id))
    return Change(None, one.entity, shown(one), None)


def compare(connection: sa.Connection, one: Archive, kept: Sequence[Kept]) -> None:
    """Raises StoreError where one of these is not what was received, or no message of this archive."""
    received = (
        sa.select(message.c.id, message.c.body_hash)
        .join(archived, archived.c.message == message.c.id)
        .where(archived.c.archive == one.id, message.c.id.in_([each.row for each in kept]))
    )
    digests = {row.id: bytes(row.body_hash) for row in connection.execute(received)}
    for each in kept:
        if hashlib.sha256(each.body).digest() != digests.get(each.row):
            raise StoreError(f"archive {one.uuid}: the body of message {each.id} is not what was received")


def restore(connection: sa.Connection, sealer: Sealer, one: Archive, kept: Sequence[Kept], until: int) -> int:
    """Put bodies back until a moment; how many were missing. Raises StoreError where one is not what was received."""
    compare(connection, one, kept)
    ids = [each.row for each in kept]
    have = set(connection.execute(sa.select(body.c.message).where(body.c.message.in_(ids))).scalars())
    missing = [each for each in kept if each.row not in have]
    _put_back(connection, sealer, missing)
    later = sa.or_(archived.c.restored_until.is_(None), archived.c.restored_until < until)
    connection.execute(archived.update().where(archived.c.message.in_(ids), later).values(restored_until=until))
    return len(missing)


def _put_back(connection: sa.Connection, sealer: Sealer, missing: Sequence[Kept]) -> None:
    rows = [{"message": one.row, "sealed": sealer.seal(one.body, body_place(one.row))} for one in missing]
    if rows:
        connection.execute(body.insert(), rows)
    for one in missing:
        for number, content in one.deliveries.items():
            mine = (delivery.c.id == number, delivery.c.message == one.row)
            sealed = sealer.seal(content, delivery_place(number))
            connection.execute(delivery.update().where(*mine).values(sealed=sealed))


def problem(one: Archive, path: Path) -> str:
    """What is wrong with its file; empty where it is as it was written. Reads all of it."""
    try:
        size, sha256 = files.digest(path)
    except OSError as error:
        return f"archive {one.uuid} cannot be read: {error.strerror}"
    if (size, sha256) != (one.size, one.sha256):
        return f"archive {one.uuid} is not what was written: its SHA-256 is another one"
    return ""


def shown(one: Archive) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {"messages": one.messages, "bytes": one.size, "sha256": one.sha256.hex()}


def _view(row: sa.Row[Any]) -> Archive:
    return Archive(**row._mapping)
