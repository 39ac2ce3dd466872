"""Keeps the chains: what is not sealed yet, seals, copies of checkpoints, how far messages are covered.

An organization's chain is called by its UUID. Nothing here decides anything: the engine's Evidence does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from hilum import clock
from hilum.model.access import SYSTEM
from hilum.model.audit import AuditEvent
from hilum.model.identifier import new
from hilum.security import chain
from hilum.security.chain import Checkpoint, EvidenceKey
from hilum.store import audit, legal_holds
from hilum.store.database import Database
from hilum.store.hot import put
from hilum.store.legal_holds import Holds
from hilum.store.prepared import Prepared
from hilum.store.schema import message, organization, setting
from hilum.store.schema_evidence import audit_event, audit_seal, checkpoint

BLOCK = 1_000  # message ids that a process takes at once on PostgreSQL, see hot.py
_SEALER = 7263_1002  # advisory lock: the one process that seals
_FRONTIER = "evidence_frontier"
_SOME = 5_000  # events that are removed in one statement


@dataclasses.dataclass(frozen=True, slots=True)
class Unsealed:
    """An event that has no position yet. `genuine`: the hub wrote it."""

    id: int
    organization: int
    text: str
    genuine: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """An event and its place, to be inserted."""

    organization: int
    position: int
    event: int
    hash: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Stands:
    """A seal and what it seals, as they stand. `text` None: its event is gone."""

    position: int
    hash: bytes
    text: str | None
    witness: bytes | None


def names(connection: sa.Connection) -> dict[int, str]:
    """What the chains are called, by organization. Those without a UUID (see `identify`) have none."""
    query = sa.select(organization.c.id, organization.c.uuid)
    found = {row.id: str(row.uuid) for row in connection.execute(query) if row.uuid is not None}
    return {SYSTEM: chain.SYSTEM, **found}


def identify(connection: sa.Connection) -> None:
    """Give a UUID to organizations that an older Hilum made."""
    missing = list(connection.execute(sa.select(organization.c.id).where(organization.c.uuid.is_(None))).scalars())
    for one in missing:
        connection.execute(organization.update().where(organization.c.id == one).values(uuid=new(clock.micros())))


# Events and their seals


def newest_sealed(connection: sa.Connection) -> int:
    """The newest event that has a position, 0 where there is none."""
    return connection.execute(sa.select(sa.func.max(audit_seal.c.event))).scalar() or 0


def unsealed(connection: sa.Connection, key: EvidenceKey, after: int, limit: int) -> list[Unsealed]:
    """Events above id `after` that have no position, the oldest first."""
    return [
        Unsealed(number, owner, document, key.witnessed(document, witness))
        for number, owner, document, witness in _UNSEALED.all(connection, {"after": after, "limit": limit})
    ]


_UNSEALED = Prepared(
    sa.select(audit_event.c.id, audit_event.c.organization, audit_event.c.document, audit_event.c.witness)
    .outerjoin(audit_seal, audit_seal.c.event == audit_event.c.id)
    .where(audit_event.c.id > sa.bindparam("after"), audit_seal.c.event.is_(None))
    .order_by(audit_event.c.id)
    .limit(sa.bindparam("limit"))
)


def seal(connection: sa.Connection, links: Sequence[Link]) -> None:
    """Give events their positions. Two that want one position exclude each other: no chain ever forks."""
    rows = [(one.organization, one.position, one.event, one.hash) for one in links]
    put(connection, "audit_seal", ("organization", "position", "event", "hash"), rows)


def tip(connection: sa.Connection, number: int) -> tuple[int, bytes] | None:
    """Position and hash of an organization's newest sealed event."""
    query = sa.select(audit_seal.c.position, audit_seal.c.hash).where(audit_seal.c.organization == number)
    row = connection.execute(query.order_by(audit_seal.c.position.desc()).limit(1)).first()
    return None if row is None else (row.position, bytes(row.hash))


def stands(connection: sa.Connection, number: int, first: int, last: int) -> list[Stands]:
    """Seals of an organization between two positions, both included."""
    columns = (audit_seal.c.position, audit_seal.c.hash, audit_event.c.document, audit_event.c.witness)
    query = (
        sa.select(*columns)
        .outerjoin(audit_event, audit_event.c.id == audit_seal.c.event)
        .where(audit_seal.c.organization == number, audit_seal.c.position.between(first, last))
        .order_by(audit_seal.c.position)
    )
    return [Stands(row.position, bytes(row.hash), row.document, row.witness) for row in connection.execute(query)]


def hashes(connection: sa.Connection, number: int, first: int, last: int) -> list[bytes]:
    """The hashes of an organization's events between two positions, both included."""
    query = sa.select(audit_seal.c.hash).where(
        audit_seal.c.organization == number, audit_seal.c.position.between(first, last)
    )
    return [bytes(one) for one in connection.execute(query.order_by(audit_seal.c.position)).scalars()]


# Checkpoints: these are copies, their originals lie outside


def newest(connection: sa.Connection, number: int) -> Checkpoint | None:
    """The newest copy of an organization's checkpoints."""
    found = copies(connection, number, limit=1, descending=True)
    return found[0] if found else None


def copies(
    connection: sa.Connection, number: int, *, after: int = 0, limit: int, descending: bool = False
) -> list[Checkpoint]:
    """Copies with numbers above `after`."""
    query = sa.select(checkpoint.c.document).where(checkpoint.c.organization == number, checkpoint.c.number > after)
    order = checkpoint.c.number.desc() if descending else checkpoint.c.number
    found = connection.execute(query.order_by(order).limit(limit)).scalars()
    return [chain.read_checkpoint(document) for document in found]


def covering(connection: sa.Connection, number: int, position: int) -> Checkpoint | None:
    """The checkpoint that covers an event, None where none does yet."""
    query = sa.select(checkpoint.c.document).where(
        checkpoint.c.organization == number, checkpoint.c.position >= position
    )
    for document in connection.execute(query.order_by(checkpoint.c.position, checkpoint.c.number).limit(3)).scalars():
        found = chain.read_checkpoint(document)
        if not found.start and found.first <= position <= found.last:
            return found
    return None


def keep(connection: sa.Connection, made: Sequence[tuple[int, Checkpoint]]) -> None:
    """Insert copies of checkpoints, by organization; those that are there stay as they are."""
    numbers = sa.select(checkpoint.c.organization, checkpoint.c.number)
    wanted = sa.tuple_(checkpoint.c.organization, checkpoint.c.number).in_(
        [(number, one.number) for number, one in made]
    )
    there = {tuple(row) for row in connection.execute(numbers.where(wanted))}
    rows = [
        {
            "organization": number, "number": one.number, "position": one.last, "stamp": clock.micros(),
            "message": max((last for _, last in one.ranges), default=0), "document": one.line(),
        }
        for number, one in made
        if (number, one.number) not in there
    ]  # fmt: skip
    if rows:
        connection.execute(checkpoint.insert(), rows)


# Messages


@dataclasses.dataclass(slots=True)
class Frontier:
    """How far messages were looked at: `ends` are the newest rows of blocks that may still grow, by their first row.

    Rows of a block come in the order of their numbers, for one process takes them all. On SQLite all rows are one
    block. `after`: every row above it belongs to a block that is not known yet.
    """

    span: int  # rows in a block, 0: all
    ends: dict[int, int]
    after: int

    def block(self, row: int) -> int:
        """The first row of the block that a row belongs to."""
        return (row - 1) // self.span * self.span + 1 if self.span else 1

    def last(self, block: int) -> int | None:
        """The last row that a block can have."""
        return block + self.span - 1 if self.span else None

    def advance(self, block: int, row: int) -> None:
        """Everything of a block up to `row` was looked at."""
        end = self.last(block)
        self.after = max(self.after, end or 0)
        if row == end:
            self.ends.pop(block, None)
        else:
            self.ends[block] = row

    def copy(self) -> Frontier:
        return Frontier(self.span, dict(self.ends), self.after)


def frontier(connection: sa.Connection) -> Frontier:
    """As it was saved with the newest checkpoints."""
    text = connection.execute(sa.select(setting.c.value).where(setting.c.name == _FRONTIER)).scalar()
    if text is None:
        embedded = connection.dialect.name == "sqlite"
        return Frontier(0, {1: 0}, 0) if embedded else Frontier(BLOCK, {}, 0)
    found = json.loads(text)
    return Frontier(found["span"], {int(block): row for block, row in found["ends"]}, found["after"])


def save_frontier(connection: sa.Connection, reached: Frontier) -> None:
    value = json.dumps({"span": reached.span, "ends": list(reached.ends.items()), "after": reached.after})
    if not connection.execute(setting.update().where(setting.c.name == _FRONTIER).values(value=value)).rowcount:
        connection.execute(setting.insert().values(name=_FRONTIER, value=value))


def message_rows(
    connection: sa.Connection, after: int, last: int | None, limit: int
) -> list[tuple[int, int, bytes, bytes]]:
    """(row, organization, UUID, body's SHA-256) of messages above row `after` and up to `last`, by their rows."""
    columns = (message.c.id, message.c.organization, message.c.uuid, message.c.body_hash)
    query = sa.select(*columns).where(message.c.id > after).order_by(message.c.id).limit(limit)
    if last is not None:
        query = query.where(message.c.id <= last)
    return [(one, owner, bytes(name), bytes(digest)) for one, owner, name, digest in connection.execute(query)]


# Purge


def purgeable(connection: sa.Connection, number: int, cutoff: int) -> int:
    """The last event that may go: it and all before it are older than `cutoff` and covered by a checkpoint. Or 0."""
    old = sa.select(sa.func.max(checkpoint.c.position)).where(
        checkpoint.c.organization == number, checkpoint.c.stamp < cutoff
    )
    last: int = connection.execute(old).scalar() or 0
    here = (audit_seal.c.organization == number, audit_seal.c.position <= last)
    joined = sa.select(sa.func.count(), sa.func.max(audit_event.c.stamp)).select_from(
        audit_seal.join(audit_event, audit_event.c.id == audit_seal.c.event)
    )
    count, newest_stamp = connection.execute(joined.where(*here)).one()
    return last if count and newest_stamp < cutoff else 0


def may_purge(connection: sa.Connection) -> bool:
    """Whether the role that this connection has may remove events."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(sa.text("SELECT has_table_privilege('audit_event', 'DELETE')")).scalar())


def purge(
    connection: sa.Connection, number: int, start: Checkpoint, key: EvidenceKey, event: AuditEvent,
    holds: Holds | None, sign: Callable[[], None],
) -> int:  # fmt: skip
    """Remove the events before a signed start, keep its copy and the event of this act; how many went.

    `sign` puts the start into its file, once it is sure that no hold was placed: where one was, this raises Conflict.
    Only here do the triggers that keep evidence give way, and only until this transaction ends.
    """
    embedded = connection.dialect.name == "sqlite"
    if embedded:
        connection.execute(setting.insert().values(name="purge", value="on"))
    else:
        connection.execute(sa.text("SELECT set_config('hilum.purge', 'on', true)"))
        connection.execute(sa.text("SELECT set_config('hilum.organization', '*', true)"))
    if holds is not None:
        legal_holds.check(connection, holds)
    sign()
    removed = 0
    for last in _steps(connection, number, start.first - 1):
        mine = (audit_seal.c.organization == number, audit_seal.c.position <= last)
        sealed = sa.select(audit_seal.c.event).where(*mine)
        removed += connection.execute(audit_event.delete().where(audit_event.c.id.in_(sealed))).rowcount
        connection.execute(audit_seal.delete().where(*mine))
    if embedded:
        connection.execute(setting.delete().where(setting.c.name == "purge"))
    else:
        connection.execute(sa.text("SELECT set_config('hilum.purge', '', true)"))
    keep(connection, [(number, start)])
    audit.insert(connection, key, [event])
    return removed


def _steps(connection: sa.Connection, number: int, last: int) -> Iterable[int]:
    query = sa.select(sa.func.min(audit_seal.c.position)).where(audit_seal.c.organization == number)
    first: int | None = connection.execute(query).scalar()
    return [] if first is None else [min(one + _SOME - 1, last) for one in range(first, last + 1, _SOME)]


class OwnDatabase:
    """The database as its owner, for the one thing that the hub's own role may not do."""

    def __init__(self, database: Database, url: str | None) -> None:
        """`url` None: the hub's own role is allowed to."""
        self._engine = database.as_owner(url) if url is not None and not database.embedded else None

    @property
    def there(self) -> bool:
        return self._engine is not None

    def purge(
        self, number: int, start: Checkpoint, key: EvidenceKey, event: AuditEvent, holds: Holds | None,
        sign: Callable[[], None],
    ) -> int:  # fmt: skip
        """`purge` in a transaction of the owner's. Blocks."""
        assert self._engine is not None  # noqa: S101 - asked for by `there`
        with self._engine.begin() as connection:
            return purge(connection, number, start, key, event, holds, sign)


class Sealership:
    """Only one process seals. On SQLite there is only one; on PostgreSQL it holds an advisory lock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sa.Connection | None = None
        self._held = False

    def take(self) -> bool:
        """Whether this process seals. Blocks; call it again and again, as a lost connection loses the lock."""
        if self._database.embedded:
            return True
        try:
            if self._connection is None:
                self._held = False
                self._connection = self._database.writer.connect().execution_options(isolation_level="AUTOCOMMIT")
            asked = sa.select(1) if self._held else sa.select(sa.func.pg_try_advisory_lock(_SEALER))
            self._held = bool(self._connection.execute(asked).scalar())
        except sa.exc.SQLAlchemyError:
            self.release()
            return False
        return self._held

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # so that nobody waits until the server sees it gone
                connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
            connection.invalidate()  # the session ends, and its lock with it in any case
            connection.close()
