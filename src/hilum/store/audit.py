"""Audit events: made from acts, inserted, read. Nothing here changes or removes one."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.model.audit import Act, AuditEvent, Change, Outcome
from hilum.model.identifier import new
from hilum.security.canonical import canonical
from hilum.security.chain import EvidenceKey
from hilum.store.hot import EventRow, put, storable
from hilum.store.looking_back import look_back
from hilum.store.schema_evidence import audit_event, audit_seal

HIDDEN = "***"


def event(
    act: Act, *, outcome: Outcome = Outcome.SUCCESS, code: str = "", error: str = "", change: Change | None = None
) -> AuditEvent:
    """The event of an act. `code` and `error` say why it was denied or failed."""
    stamp = clock.micros()
    entity = change.entity if change is not None else act.entity
    principal = act.principal
    document: dict[str, Any] = {
        "id": str(new(stamp)),
        "time": clock.iso(stamp),
        "organization": act.organization,
        "actor": {"kind": principal.kind.value, "id": principal.id, "name": principal.name},
        "action": act.action,
        "entity": entity,
        "outcome": outcome.value,
        "request_id": act.request_id,
        "source": act.source,
    }
    if act.scope.studies is not None:
        document["studies"] = sorted(act.scope.studies)
    optional = {"reason": act.reason, "code": code, "error": error, "details": act.details}
    document |= {name: value for name, value in optional.items() if value}
    if change is not None and (change.before is not None or change.after is not None):
        document["before"], document["after"] = change.before, change.after
    return AuditEvent(
        act.organization, stamp, act.action, principal.id, entity, outcome, canonical(document).decode()
    )  # fmt: skip


def insert(connection: sa.Connection, key: EvidenceKey, events: Sequence[AuditEvent]) -> None:
    """Store events in the transaction that is open, witnessed: nobody else can insert one that will be sealed."""
    put(connection, "audit_event", EventRow._fields, [row(key, one) for one in events])


def row(key: EvidenceKey, one: AuditEvent) -> EventRow:
    """An event as it is stored: nothing in it can fail the batch that it is written with."""
    return EventRow(
        one.organization, one.stamp, one.action, storable(one.actor), storable(one.entity), one.outcome.value,
        one.document, key.witness(one.document),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class EventFilter:
    """What a list of events is narrowed to; None narrows nothing. Times are microseconds."""

    action: str | None = None  # whole, or its noun
    actor: str | None = None
    entity: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SealedEvent:
    """An event as it stands in its organization's chain. `position` None: not sealed yet (that takes a second)."""

    id: int
    document: dict[str, Any]
    position: int | None
    hash: bytes | None


def newest(
    connection: sa.Connection, organization: int, where: EventFilter, *, before: int | None = None, limit: int = 20
) -> list[SealedEvent]:
    """Events below id `before`, the newest first; where few are like that, maybe not all (looking_back.py)."""
    return page(connection, organization, where, before=before, limit=limit)[0]


def page(
    connection: sa.Connection, organization: int, where: EventFilter, *, before: int | None = None, limit: int = 20
) -> tuple[list[SealedEvent], int | None]:
    """Events below id `before`, the newest first, and below which id to look on; None: no need, or nothing is left."""
    query = _narrowed(organization, where).order_by(audit_event.c.id.desc())

    def look(top: int, floor: int, most: int) -> list[SealedEvent]:
        within = query.where(audit_event.c.id < top, audit_event.c.id >= floor).limit(most)
        rows = connection.execute(within)
        return [SealedEvent(row.id, json.loads(row.document), row.position, row.hash) for row in rows]

    if before is None:
        last = sa.select(sa.func.max(audit_event.c.id)).where(audit_event.c.organization == organization)
        before = (connection.execute(last).scalar() or 0) + 1
    return (look(before, 0, limit), None) if where.entity else look_back(look, before, limit)


def above(
    connection: sa.Connection, organization: int, where: EventFilter, after: int, limit: int
) -> list[SealedEvent]:
    """Events above id `after`, the oldest first."""
    query = _narrowed(organization, where).where(audit_event.c.id > after).order_by(audit_event.c.id).limit(limit)
    rows = connection.execute(query)
    return [SealedEvent(row.id, json.loads(row.document), row.position, row.hash) for row in rows]


def _narrowed(organization: int, where: EventFilter) -> sa.Select[Any]:
    query = (
        sa.select(audit_event.c.id, audit_event.c.document, audit_seal.c.position, audit_seal.c.hash)
        .outerjoin(audit_seal, audit_seal.c.event == audit_event.c.id)
        .where(audit_event.c.organization == organization)
    )
    for column, value in (
        (audit_event.c.actor, where.actor), (audit_event.c.entity, where.entity), (audit_event.c.outcome, where.outcome)
    ):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    if where.entity:
        query = query.where(sa.text("entity <> ''"))  # the index's own condition word by word, so that it can be used
    if where.action is not None:
        noun = audit_event.c.action.startswith(f"{where.action}.", autoescape=True)
        query = query.where(sa.or_(audit_event.c.action == where.action, noun))
    if where.since is not None:
        query = query.where(audit_event.c.stamp >= where.since)
    if where.until is not None:
        query = query.where(audit_event.c.stamp < where.until)
    return query


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> SealedEvent | None:
    """The event with a UUID, which tells the millisecond that it is to be looked for in."""
    begin = (identifier.int >> 80) * 1_000
    query = (
        sa.select(audit_event.c.id, audit_event.c.document, audit_seal.c.position, audit_seal.c.hash)
        .outerjoin(audit_seal, audit_seal.c.event == audit_event.c.id)
        .where(audit_event.c.organization == organization, audit_event.c.stamp.between(begin, begin + 999))
    )
    for row in connection.execute(query) if begin < 1 << 62 else ():
        document = json.loads(row.document)
        if document.get("id") == str(identifier):
            return SealedEvent(row.id, document, row.position, row.hash)
    return None


def after(connection: sa.Connection, organization: int, position: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """Sealed events above a position, with theirs, in order."""
    query = (
        sa.select(audit_seal.c.position, audit_event.c.document)
        .join(audit_event, audit_event.c.id == audit_seal.c.event)
        .where(audit_seal.c.organization == organization, audit_seal.c.position > position)
    )
    rows = connection.execute(query.order_by(audit_seal.c.position).limit(limit))
    return [(row.position, json.loads(row.document)) for row in rows]
