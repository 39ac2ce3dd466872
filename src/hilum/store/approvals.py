"""Keeps what one person asked for and another one decides: waiting, then approved or denied, then used once."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.store.schema_evidence import approval
from hilum.store.schema_people import user


@dataclasses.dataclass(frozen=True, slots=True)
class Approval:
    """`document` says what is asked for, without secrets; `fingerprint` is of the request that may be done."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    operation: str
    entity: str
    fingerprint: bytes
    document: dict[str, Any]
    state: str
    reason: str
    asked_by: str
    asked_at: int
    expires_at: int
    decided_by: str | None
    decided_at: int | None
    decision: str
    version: int


def add(connection: sa.Connection, **values: Any) -> None:
    connection.execute(approval.insert().values({"state": "waiting", "decision": "", "version": 1, **values}))


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Approval | None:
    """None: also where it is another organization's, or of a study outside of `scope`."""
    row = connection.execute(_narrow(sa.select(approval), scope).where(approval.c.uuid == identifier)).first()
    return None if row is None else _approval(row)


def newest(
    connection: sa.Connection, scope: Scope, state: str | None, now: int, offset: int, limit: int
) -> tuple[list[Approval], int]:
    """All, or those in a state; the newest first, and how many there are. What was left too long is `expired`."""
    query = _narrow(sa.select(approval), scope)
    late = sa.and_(approval.c.state.in_(("waiting", "approved")), approval.c.expires_at <= now)
    if state == "expired":
        query = query.where(late)
    elif state is not None:
        query = query.where(approval.c.state == state, ~late)
    total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar() or 0
    rows = connection.execute(query.order_by(approval.c.id.desc()).offset(offset).limit(limit))
    return [_approval(row) for row in rows], total


def decide(connection: sa.Connection, one: Approval, state: str, decided_by: str, decision: str, now: int) -> bool:
    """False: somebody was faster, or it ended meanwhile."""
    values = {"state": state, "decided_by": decided_by, "decided_at": now, "decision": decision,
              "version": one.version + 1}  # fmt: skip
    mine = (*_mine(one), approval.c.state == "waiting", approval.c.expires_at > now)
    return connection.execute(approval.update().where(*mine).values(values)).rowcount == 1


def use(connection: sa.Connection, one: Approval, now: int) -> bool:
    """What was approved is being done. False: it was done already, or its time is over."""
    mine = (*_mine(one), approval.c.state == "approved", approval.c.expires_at > now)
    values = {"state": "used", "version": one.version + 1}
    return connection.execute(approval.update().where(*mine).values(values)).rowcount == 1


def names(connection: sa.Connection, owner: int, ids: Collection[str]) -> dict[str, str]:
    """The printed names of an organization's users by their ids."""
    wanted = [uuid.UUID(one) for one in ids]
    query = sa.select(user.c.uuid, user.c.name).where(user.c.organization == owner, user.c.uuid.in_(wanted))
    return {str(row.uuid): row.name for row in connection.execute(query)}


def _mine(one: Approval) -> tuple[sa.ColumnElement[bool], ...]:
    return (approval.c.organization == one.organization, approval.c.id == one.id, approval.c.version == one.version)


def _narrow(query: sa.Select[Any], scope: Scope) -> sa.Select[Any]:
    query = query.where(approval.c.organization == scope.organization)
    return query if scope.studies is None else query.where(approval.c.study.in_(scope.studies))


def _approval(row: sa.Row[Any]) -> Approval:
    return Approval(
        row.id, row.uuid, row.organization, row.study, row.operation, row.entity, row.fingerprint,
        json.loads(row.document), row.state, row.reason, row.asked_by, row.asked_at, row.expires_at, row.decided_by,
        row.decided_at, row.decision, row.version,
    )  # fmt: skip
