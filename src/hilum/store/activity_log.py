"""Keeps the activity log: an entry for every execution, its failed attempts, and every connectivity test."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum import clock
from hilum.model.identifier import new
from hilum.security.seal import Sealer
from hilum.store.schema import endpoint
from hilum.store.schema_activity import activity_log, execution

LONGEST = 1_024  # characters of an error that are kept
SEARCHED = 10_000
"""Entries that are opened to look for a text, the newest first: their errors are sealed."""
_PART = 500
_REAL = sa.and_(activity_log.c.kind == "execute", sa.func.coalesce(execution.c.synthetic, 0) == 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What happened. `duration` is microseconds; `attempt` 0: of no single one."""

    organization: int
    integration: int
    kind: str  # execute, test, check
    level: str  # debug, info, warn, error
    outcome: str  # success, failure
    status: str
    endpoint: int | None = None
    execution: int | None = None
    status_code: int | None = None
    duration: int | None = None
    attempt: int = 0
    fault: str | None = None
    correlation: str = ""
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Logged:
    """An entry as it is stored. `stamp` is microseconds."""

    id: int
    uuid: uuid.UUID
    stamp: int
    entry: Entry
    endpoint: UUID | None
    execution: UUID | None
    synthetic: bool  # of a connectivity test, a check, or an execution of a test
    payload: bool  # its execution's request and answer are still there


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Failures of one class at one endpoint. Times are microseconds; correlation and what follows: of the newest."""

    endpoint: UUID | None
    reference: str | None  # integration/endpoint
    fault: str | None
    count: int
    first_at: int
    last_at: int
    correlation: str
    execution: UUID | None
    payload: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by; None: not. Times are microseconds, `until` is excluded."""

    level: str | None = None
    outcome: str | None = None
    endpoint: uuid.UUID | None = None
    execution: uuid.UUID | None = None
    correlation: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    synthetic: bool | None = None


def insert(connection: sa.Connection, sealer: Sealer, entries: Iterable[Entry]) -> None:
    """Store entries in the order in which they are given."""
    rows = []
    for one in entries:
        now = clock.micros()
        identifier = new(now)
        error = one.error and sealer.seal(one.error[:LONGEST].encode("utf-8", "replace"), place(identifier))
        rows.append({**dataclasses.asdict(one), "uuid": identifier, "stamp": now, "error": error or None})
    if rows:
        connection.execute(activity_log.insert(), rows)


def listed(
    connection: sa.Connection, sealer: Sealer, organization: int, number: int, wanted: Wanted, offset: int, limit: int,
    before: uuid.UUID | None = None,
) -> tuple[list[Logged], int]:  # fmt: skip
    """Those of an integration, the newest first, and how many there are; `before`: below this one alone.

    With a text, the newest SEARCHED entries are looked through.
    """
    where = _narrowed(organization, number, wanted)
    if before is not None:
        where += _below(connection, number, before)
    if wanted.text is not None:
        found = list(_searched(connection, sealer, where, wanted.text.casefold()))
        return found[offset : offset + limit], len(found)
    counted = sa.select(sa.func.count()).select_from(_tables()).where(*where)
    total: int = connection.execute(counted).scalar_one()
    rows = connection.execute(query(where).offset(offset).limit(limit))
    return [_view(row, sealer) for row in rows], total


def failures(
    connection: sa.Connection, organization: int, number: int, wanted: Wanted, limit: int
) -> list[Group]:  # fmt: skip
    """Those of an integration by class and endpoint, in one statement; the group of the newest first."""
    table = activity_log.c
    grouped = (
        sa.select(
            table.endpoint, table.fault, sa.func.count().label("many"), sa.func.min(table.stamp).label("first_at"),
            sa.func.max(table.stamp).label("last_at"), sa.func.max(table.id).label("newest"),
        )
        .select_from(_tables())
        .where(*_narrowed(organization, number, wanted))
        .group_by(table.endpoint, table.fault)
        .order_by(sa.func.max(table.stamp).desc(), sa.func.max(table.id).desc())
        .limit(limit)
        .subquery()
    )  # fmt: skip
    newest = activity_log.alias("newest")
    whole = grouped.join(newest, newest.c.id == grouped.c.newest)
    whole = whole.outerjoin(endpoint, endpoint.c.id == grouped.c.endpoint)
    whole = whole.outerjoin(execution, execution.c.id == newest.c.execution)
    found = sa.select(
        endpoint.c.uuid.label("endpoint"), endpoint.c.reference, grouped.c.fault, grouped.c.many, grouped.c.first_at,
        grouped.c.last_at, newest.c.correlation, execution.c.uuid.label("execution"), execution.c.forgotten,
    ).select_from(whole)  # fmt: skip
    rows = connection.execute(found.order_by(grouped.c.last_at.desc(), grouped.c.newest.desc()))
    return [Group(*row[:-1], payload=row.forgotten == 0) for row in rows]


def warnings(connection: sa.Connection, number: int, since: int) -> int:
    """Executions of an integration that were answered, and whose answer could not be mapped, since a moment."""
    table = activity_log.c
    where = (table.integration == number, table.stamp >= since, table.level == "warn", table.status == "completed")
    return connection.execute(sa.select(sa.func.count()).select_from(activity_log).where(*where)).scalar_one()


def query(where: Iterable[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    """Entries, the newest first."""
    named = (endpoint.c.uuid.label("endpoint_uuid"), execution.c.uuid.label("execution_uuid"),
             sa.not_(_REAL).label("synthetic"), execution.c.forgotten)  # fmt: skip
    found = sa.select(activity_log, *named).select_from(_tables()).where(*where)
    return found.order_by(activity_log.c.stamp.desc(), activity_log.c.id.desc())


def place(identifier: uuid.UUID) -> bytes:
    """What `error` is bound to."""
    return b"activity_log|%s" % identifier.bytes


def _tables() -> sa.Join:
    whole = activity_log.outerjoin(endpoint, endpoint.c.id == activity_log.c.endpoint)
    return whole.outerjoin(execution, execution.c.id == activity_log.c.execution)


def _narrowed(organization: int, number: int, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    where = [activity_log.c.organization == organization, activity_log.c.integration == number]
    columns = (
        (activity_log.c.level, wanted.level), (activity_log.c.outcome, wanted.outcome),
        (activity_log.c.correlation, wanted.correlation), (endpoint.c.uuid, wanted.endpoint),
        (execution.c.uuid, wanted.execution),
    )  # fmt: skip
    where += [column == value for column, value in columns if value is not None]
    if wanted.synthetic is not None:
        where.append(sa.not_(_REAL) if wanted.synthetic else _REAL)
    if wanted.since is not None:
        where.append(activity_log.c.stamp >= wanted.since)
    if wanted.until is not None:
        where.append(activity_log.c.stamp < wanted.until)
    return where


def _below(connection: sa.Connection, number: int, before: uuid.UUID) -> list[sa.ColumnElement[bool]]:
    """Nothing is below an entry that is not this integration's."""
    table = activity_log
    found = connection.execute(
        sa.select(table.c.stamp, table.c.id).where(table.c.uuid == before, table.c.integration == number)
    ).first()
    if found is None:
        return [sa.false()]
    older = sa.and_(table.c.stamp == found.stamp, table.c.id < found.id)
    return [table.c.stamp <= found.stamp, sa.or_(table.c.stamp < found.stamp, older)]


def _searched(
    connection: sa.Connection, sealer: Sealer, where: list[sa.ColumnElement[bool]], text: str
) -> Iterator[Logged]:
    for row in connection.execute(query(where).limit(SEARCHED), execution_options={"yield_per": _PART}):
        one = _view(row, sealer)
        said = (one.entry.error, one.entry.fault, one.entry.correlation, one.entry.status)
        if any(text in each.casefold() for each in said if each):
            yield one


def _view(row: sa.Row[Any], sealer: Sealer) -> Logged:
    error = None if row.error is None else sealer.open(bytes(row.error), place(row.uuid)).decode()
    entry = Entry(
        row.organization, row.integration, row.kind, row.level, row.outcome, row.status, row.endpoint, row.execution,
        row.status_code, row.duration, row.attempt, row.fault, row.correlation, error,
    )  # fmt: skip
    return Logged(
        row.id, row.uuid, row.stamp, entry, row.endpoint_uuid, row.execution_uuid, bool(row.synthetic),
        row.forgotten == 0,
    )  # fmt: skip
