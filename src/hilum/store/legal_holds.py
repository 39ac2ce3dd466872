"""Keeps legal holds, and tells what they hold. What is held is not removed, whatever its retention says."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.security.seal import Sealer
from hilum.store import keys, messages, organizations, versions
from hilum.store.schema_retention import legal_hold

if TYPE_CHECKING:
    from hilum.store.store import Store

_ROWS = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """A row. None narrows nothing. `patient` is a search key, `subject` what it was made of, sealed."""

    id: int
    uuid: uuid.UUID
    organization: int
    name: str
    reason: str
    patient: int | None
    subject: bytes | None
    endpoint: int | None
    since: int | None
    until: int | None
    version: int
    placed_by: str
    placed_at: int
    lifted_by: str | None
    lifted_at: int | None
    lifted_why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a new hold holds; times are microseconds."""

    name: str
    reason: str
    patient: int | None = None
    subject: str = ""
    endpoint: int | None = None
    since: int | None = None
    until: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Holds:
    """An organization's holds at a moment, with the messages of the patients that they name. `stamp` tells another."""

    organization: int
    stamp: tuple[int, int]
    holds: tuple[tuple[Hold, frozenset[int] | None], ...]

    def keep(self, message: int, endpoint: int, received_at: int) -> bool:
        """Whether one of them holds this message."""
        return any(_holds(one, ids, message, endpoint, received_at) for one, ids in self.holds)


def _holds(one: Hold, ids: frozenset[int] | None, message: int, endpoint: int, received_at: int) -> bool:
    return (
        (ids is None or message in ids)
        and one.endpoint in (None, endpoint)
        and (one.since is None or received_at >= one.since)
        and (one.until is None or received_at < one.until)
    )


async def standing(store: Store, organization: int) -> Holds:
    """What is held now."""
    stamp, there = await store.within(organization).read(_active, organization)
    found = []
    for one in there:
        ids = None if one.patient is None else frozenset(await keys.every(store.keys, one.patient))
        found.append((one, ids))
    return Holds(organization, stamp, tuple(found))


def active(connection: sa.Connection, organization: int) -> list[Hold]:
    """Those that hold. In a transaction that locked the organization they stay the same until it ends."""
    query = sa.select(legal_hold).where(legal_hold.c.organization == organization, legal_hold.c.lifted_at.is_(None))
    return [_view(row) for row in connection.execute(query.order_by(legal_hold.c.id))]


def holding(
    holds: Iterable[Hold], at: sa.ColumnElement[int], endpoint: sa.ColumnElement[int] | None
) -> sa.ColumnElement[bool]:
    """Whether one of them holds a row that has no patient's key: nobody can tell whom it is about, so it may be anyone.

    It goes by the row's moment and its endpoint; a row of no endpoint may belong to any.
    """
    found = []
    for one in holds:
        fits: list[sa.ColumnElement[bool]] = [sa.true()]
        if one.since is not None:
            fits.append(at >= one.since)
        if one.until is not None:
            fits.append(at < one.until)
        if one.endpoint is not None and endpoint is not None:
            fits.append(sa.or_(endpoint.is_(None), endpoint == one.endpoint))
        found.append(sa.and_(*fits))
    return sa.or_(sa.false(), *found)


def check(connection: sa.Connection, holds: Holds) -> None:
    """Raises Conflict where a hold was placed or lifted since; none is until the transaction ends."""
    organizations.lock(connection, holds.organization)
    if _stamp(connection, holds.organization) != holds.stamp:
        raise Conflict("a legal hold was placed or lifted meanwhile")


async def oldest(store: Store, holds: Holds) -> int | None:
    """From when on events may be about what is held (microseconds); None: nothing is held.

    A hold's own event belongs to it. Without a beginning or a patient it may hold the very first message.
    """
    begins = []
    for one, ids in holds.holds:
        first = one.since or 0 if ids is None else await _first(store, one, ids)
        begins.append(min(one.placed_at, first))
    return min(begins, default=None)


async def _first(store: Store, one: Hold, ids: frozenset[int]) -> int:
    wanted = sorted(ids)
    for place in range(0, len(wanted), _ROWS):
        rows = await store.within(one.organization).load(messages.by_ids, wanted[place : place + _ROWS])
        for row in reversed(rows):
            if _holds(one, ids, row.id, row.endpoint, row.received_at):
                return int(row.received_at)
    return one.placed_at


def listed(
    connection: sa.Connection, organization: int, active: bool | None, offset: int, limit: int
) -> tuple[list[Hold], int]:
    """All of them, or those that hold (or do not any more); the newest first, and how many there are."""
    where = [legal_hold.c.organization == organization]
    if active is not None:
        where.append(legal_hold.c.lifted_at.is_(None) if active else legal_hold.c.lifted_at.is_not(None))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(legal_hold).where(*where)).scalar_one()
    query = sa.select(legal_hold).where(*where).order_by(legal_hold.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Hold:
    """Raises NotFound."""
    where = (legal_hold.c.organization == organization, legal_hold.c.uuid == identifier)
    row = connection.execute(sa.select(legal_hold).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no legal hold {identifier}")
    return _view(row)


def place(connection: sa.Connection, sealer: Sealer, organization: int, actor: str, wanted: Wanted) -> Change:
    """What is being removed at this moment is either gone or held; nothing in between."""
    organizations.lock(connection, organization)
    now = clock.micros()
    identifier = new(now)
    sealed = None if wanted.patient is None else sealer.seal(wanted.subject.encode(), subject_place(identifier))
    connection.execute(
        legal_hold.insert().values(
            uuid=identifier, organization=organization, name=wanted.name, reason=wanted.reason,
            patient=wanted.patient, subject=sealed, endpoint=wanted.endpoint, since=wanted.since, until=wanted.until,
            version=1, placed_by=actor, placed_at=now, lifted_why="",
        )
    )  # fmt: skip
    made = find(connection, organization, identifier)
    return Change(made, entity(made), None, shown(made))


def lift(
    connection: sa.Connection, organization: int, identifier: uuid.UUID, version: int, actor: str, why: str
) -> Change:
    """Raises NotFound, Stale, Conflict where it was lifted already."""
    organizations.lock(connection, organization)
    before = find(connection, organization, identifier)
    if before.lifted_at is not None:
        raise Conflict(f"the legal hold {before.name} was lifted already")
    values = {"lifted_by": actor, "lifted_at": clock.micros(), "lifted_why": why}
    versions.advance(connection, legal_hold, before.id, version, **values)
    after = find(connection, organization, identifier)
    return Change(after, entity(after), shown(before), shown(after))


def subject_place(identifier: uuid.UUID) -> bytes:
    """Where whom a hold is about is sealed."""
    return b"legal_hold|%b" % identifier.bytes


def entity(one: Hold) -> str:
    """As the audit trail names it."""
    return f"legal-hold/{one.uuid}"


def shown(one: Hold) -> dict[str, Any]:
    """As the audit trail shows it: of a patient the keyed hash alone."""
    return {
        "name": one.name, "reason": one.reason, "endpoint": one.endpoint, "since": one.since, "until": one.until,
        "patient_hash": None if one.patient is None else hashed(one.patient), "lifted_at": one.lifted_at,
    }  # fmt: skip


def hashed(key: int) -> str:
    """A search key as 16 hexadecimal digits."""
    return f"{key & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def _active(connection: sa.Connection, organization: int) -> tuple[tuple[int, int], list[Hold]]:
    return _stamp(connection, organization), active(connection, organization)


def _stamp(connection: sa.Connection, organization: int) -> tuple[int, int]:
    """Differs once a hold was placed or lifted: there are only ever more, and versions only grow."""
    columns = (sa.func.count(), sa.func.coalesce(sa.func.sum(legal_hold.c.version), 0))
    count, total = connection.execute(sa.select(*columns).where(legal_hold.c.organization == organization)).one()
    return count, int(total)


def _view(row: sa.Row[Any]) -> Hold:
    return Hold(**row._mapping)
