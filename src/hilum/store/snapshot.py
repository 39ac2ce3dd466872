"""Copies of the embedded store: taken while it works, described, verified, made ready for another life.

After a restore the hub must not give out an id again that it gave out between the backup and the loss, and must
not believe the mark of the life before: so a restored store is a new generation whose ids begin far behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hilum.errors import StoreError, StoreFull
from hilum.security.keyring import Keyring
from hilum.security.seal import Sealer
from hilum.store import files, messages
from hilum.store.database import Database
from hilum.store.deliveries import attempt_place
from hilum.store.hot import SqliteHot, body_place, delivery_place, driver
from hilum.store.migrate import migrate
from hilum.store.schema import attempt, body, delivery, message, setting, shard
from hilum.store.schema_datasets import dataset_version
from hilum.store.schema_retention import archive, subject_export
from hilum.store.writer import explain

STEP = 1_000_000_000  # ids left out by a restore: more than a hub takes in between two backups
_PAGES = 1_000  # copied in one go
_ROWS = 500  # verified in one go
Told = Callable[[float], None]  # a share between 0 and 1
_BESIDE = (
    (archive.name, files.ARCHIVES, """SELECT o.uuid, f.uuid, f.sha256 FROM archive f
        JOIN organization o ON o.id = f.organization WHERE f.sealed IS NOT NULL"""),
    (dataset_version.name, files.DATASETS, """SELECT o.uuid, f.uuid, f.sha256 FROM dataset_version f
        JOIN organization o ON o.id = f.organization"""),
    (subject_export.name, files.EXPORTS, """SELECT o.uuid, f.uuid, f.sha256 FROM subject_export f
        JOIN organization o ON o.id = f.organization WHERE f.sealed IS NOT NULL"""),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """What a store holds: its schema's revision, rows by table, the newest message and its body's SHA-256."""

    schema: str
    rows: dict[str, int]
    newest: int | None
    body_hash: str | None


def copy(database: Database, target: Path, told: Told) -> None:
    """Copy the store as of now, while others write to it. Raises StoreFull, StoreError.

    One read transaction is held for all of it, so that the copy is of one moment and never begins anew.
    """
    size = database.path.stat().st_size
    if shutil.disk_usage(target.parent).free < size:
        raise StoreFull(f"a backup needs {(size >> 20) + 1} MB of room in {target.parent} for a copy")
    target.touch(mode=0o600)
    source, copied = sqlite3.connect(database.path, isolation_level=None), sqlite3.connect(target)
    try:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM setting").fetchone()
        copied.execute("PRAGMA synchronous=OFF")  # it is read once and thrown away
        source.backup(copied, pages=_PAGES, progress=lambda _, left, total: told(1 - left / max(total, 1)))
    except sqlite3.Error as error:
        raise explain(error) from None
    finally:
        copied.close()
        source.close()


def describe(path: Path) -> Description:
    """Read a copy that nobody has open. Raises StoreError where it cannot be read."""
    with _reading(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        newest = connection.execute("SELECT id, body_hash FROM message ORDER BY id DESC LIMIT 1").fetchone()
        rows = {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for (name,) in tables
            if not name.startswith(("sqlite_", "alembic_"))
        }
    return Description(revision, rows, newest and newest[0], newest and newest[1].hex())


def beside(path: Path) -> dict[str, str]:
    """The files that a copy's rows name, by their place in the data folder, with their SHA-256 in hexadecimal."""
    found = {}
    with _reading(path) as connection:
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, kind, query in _BESIDE:
            for owner, one, sha256 in connection.execute(query) if table in known else ():  # an older one has none
                place = files.path_of(Path(), kind, uuid.UUID(owner), uuid.UUID(one))
                found[place.as_posix()] = sha256.hex()
    return found


def verify(path: Path, keyring: Keyring, told: Told) -> int:
    """Open everything that is sealed and compare each body with its hash. Returns how many bodies were opened.

    Raises StoreError naming the first row that is not what it was.
    """
    with _reading(path) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise StoreError(f"the store is damaged: {found}")
    database = Database(None, path.parent)
    try:
        with database.reader.connect() as connection:
            return _open_all(connection, Sealer(keyring), told)
    finally:
        database.dispose()


def begin_life(folder: Path, keyring: Keyring) -> None:
    """Bring a restored store up to date and make it a new generation with ids of its own. Raises StoreError."""
    database = Database(None, folder)
    try:
        migrate(database)
        with database.writer.begin() as connection:
            hot = SqliteHot(Sealer(keyring))
            hot.start(driver(connection))
            newest, last, tails, _ = hot.save()
            for number, tail in enumerate(tails):
                connection.execute(shard.update().where(shard.c.id == number).values(tail=tail, through=last + STEP))
            floor = setting.update().where(setting.c.name == "message_floor")
            connection.execute(floor.values(value=str(newest + STEP)))
            connection.execute(setting.delete().where(setting.c.name == "generation"))
    finally:
        database.dispose()


def _open_all(connection: sa.Connection, sealer: Sealer, told: Told) -> int:
    last = connection.execute(sa.select(sa.func.max(message.c.id))).scalar() or 1
    opened = 0
    for rows in _pages(connection, sa.select(message), message.c.id):
        for row in rows:
            messages.view(row, sealer)
        told(rows[-1].id / last)
        sealed = {row.message: row.sealed for row in _bodies(connection, rows)}
        opened += len(sealed)
        for row in rows:
            if row.id in sealed:
                plain = sealer.open(sealed[row.id], body_place(row.id))
                if hashlib.sha256(plain).digest() != row.body_hash:
                    raise StoreError(f"the body of message {row.id} is not what was received")
    for rows in _pages(connection, sa.select(delivery).where(delivery.c.sealed.is_not(None)), delivery.c.id):
        for row in rows:
            sealer.open(row.sealed, delivery_place(row.id))
    for rows in _pages(connection, sa.select(attempt), attempt.c.id):
        for row in rows:
            sealer.open(row.detail, attempt_place(row.delivery, row.number))
    return opened


def _bodies(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[sa.Row[Any]]:
    where = body.c.message.between(rows[0].id, rows[-1].id)
    return list(connection.execute(sa.select(body).where(where)))


def _pages(connection: sa.Connection, query: sa.Select[Any], key: sa.Column[int]) -> Iterator[list[sa.Row[Any]]]:
    """The rows of a query by their key, some at a time."""
    after = -1
    while rows := list(connection.execute(query.where(key > after).order_by(key).limit(_ROWS))):
        yield rows
        after = rows[-1].id


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy that nobody changes: read without leaving a log beside it."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        yield connection
    except (sqlite3.Error, TypeError) as error:
        raise StoreError(f"the store is damaged: {error}") from None
    finally:
        connection.close()
