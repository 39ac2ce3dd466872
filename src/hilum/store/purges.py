"""What is due to go of each class of rows, what a legal hold keeps of it, and its removal, some at a time.

Bodies of messages, archives, audit events and exports have ways of their own: retention.py, archives.py, chain.py,
subject_exports.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.audit import Change
from hilum.model.execution import ExecutionState
from hilum.model.retention import Class
from hilum.model.webhook import DeliveryState
from hilum.store import execution_blobs, legal_holds, organizations, principals
from hilum.store.legal_holds import Hold
from hilum.store.schema import initialization, integration, job
from hilum.store.schema_activity import activity_log, execution, probe_result
from hilum.store.schema_people import session
from hilum.store.schema_webhooks import webhook_attempt, webhook_delivery


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Rows of a class. `at`: the moment that counts; `where`: what else makes them due.

    `empties`: what these columns become, while the row stays; without any the row goes. `before` removes what hangs on
    rows that go or are emptied. `endpoint`: what a hold goes by. `through`: found by their integrations, as their index
    is. `named`: a row stays as long as a line of the log names it.
    """

    table: sa.Table
    at: sa.ColumnElement[int]
    where: tuple[sa.ColumnElement[bool], ...] = ()
    empties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    before: Callable[[sa.Connection, int, Sequence[int]], object] | None = None
    endpoint: sa.ColumnElement[int] | None = None
    through: bool = False
    named: bool = False


def _tries(connection: sa.Connection, organization: int, ids: Sequence[int]) -> None:
    connection.execute(webhook_attempt.delete().where(webhook_attempt.c.delivery.in_(ids)))


def _ways_in(connection: sa.Connection, organization: int, ids: Sequence[int]) -> None:
    principals.remove(connection, "session", organization, *ids)


_LOG, _RUN, _FOUND, _SENT = activity_log.c, execution.c, probe_result.c, webhook_delivery.c
_ENDED = _RUN.status != ExecutionState.EXECUTING.value

PARTS: Mapping[Class, tuple[Part, ...]] = {
    "execution_bodies": (
        Part(execution, _RUN.started_at, (_RUN.forgotten == sa.literal_column("0"), _ENDED),
             {"request": b"", "response": None, "trace": None, "forgotten": 1}, before=execution_blobs.remove,
             endpoint=_RUN.endpoint),
    ),
    "diagnostics": (
        Part(activity_log, _LOG.stamp, (_LOG.error.is_not(None),), {"error": None}, endpoint=_LOG.endpoint),
        Part(execution, _RUN.started_at, (_RUN.told.is_not(None),), {"told": None}, endpoint=_RUN.endpoint),
    ),
    "integration_logs": (
        Part(activity_log, _LOG.stamp, endpoint=_LOG.endpoint, through=True),
        Part(initialization, initialization.c.stamp),
    ),
    "executions": (
        Part(execution, _RUN.started_at, (_ENDED,), before=execution_blobs.remove, endpoint=_RUN.endpoint, named=True),
    ),
    "test_results": (Part(probe_result, _FOUND.stamp, (_FOUND.kind == "test",), endpoint=_FOUND.endpoint),),
    "health_results": (Part(probe_result, _FOUND.stamp, (_FOUND.kind == "check",), endpoint=_FOUND.endpoint),),
    "webhook_deliveries": (
        Part(webhook_delivery, _SENT.ended_at, (_SENT.state != DeliveryState.WAITING,), before=_tries),
    ),
    "sessions": (Part(session, sa.func.coalesce(session.c.ended_at, session.c.expires_at), before=_ways_in),),
    "jobs": (Part(job, job.c.finished_at, (job.c.finished_at.is_not(None),)),),
}  # fmt: skip
"""In the order in which they are purged: the lines of the log go before the executions that they name."""


def count(connection: sa.Connection, organization: int, kind: Class, cutoff: int, lines: int) -> tuple[int, int]:
    """How many rows of a class a purge would change or remove, and how many stay only because of a hold.

    `lines`: the cutoff of the log, whose lines go with the same purge.
    """
    holds, due, held = legal_holds.active(connection, organization), 0, 0
    for part in PARTS[kind]:
        query = sa.select(sa.func.count()).select_from(part.table)
        query = query.where(*_old(part, organization, cutoff, _LOG.stamp > lines))
        old = free = connection.execute(query).scalar_one()
        if holds:
            query = query.where(sa.not_(_held(part, holds)))
            if part.named:
                query = query.where(~_names(legal_holds.holding(holds, _LOG.stamp, _LOG.endpoint)))
            free = connection.execute(query).scalar_one()
        due, held = due + free, held + old - free
    return due, held


def due(
    connection: sa.Connection, organization: int, part: Part, cutoff: int, after: int, limit: int
) -> tuple[list[int], int]:
    """The oldest rows that are due and not held, none of before `after`; and the moment of the last of them."""
    free = sa.not_(_held(part, legal_holds.active(connection, organization)))
    query = sa.select(part.table.c.id, part.at.label("at")).where(*_old(part, organization, cutoff), part.at >= after)
    rows = connection.execute(query.where(free).order_by(part.at, part.table.c.id).limit(limit)).all()
    return [row.id for row in rows], rows[-1].at if rows else after


def remove(
    connection: sa.Connection, organization: int, kind: Class, part: Part, cutoff: int, ids: Sequence[int]
) -> Change:
    """Remove or empty those of `ids` that are due, and held by nothing: no hold comes until the transaction ends.

    The result is how many. Raises NotFound where none is.
    """
    organizations.lock(connection, organization)
    table, free = part.table, sa.not_(_held(part, legal_holds.active(connection, organization)))
    query = sa.select(table.c.id, part.at.label("at")).where(table.c.id.in_(ids), *_old(part, organization, cutoff))
    rows = connection.execute(query.where(free)).all()
    if not rows:
        raise NotFound("nothing of it is due any more")
    gone = [row.id for row in rows]
    if part.before is not None:
        part.before(connection, organization, gone)
    mine = table.c.id.in_(gone)
    if part.empties:
        connection.execute(table.update().where(mine).values(**part.empties))
    else:
        connection.execute(table.delete().where(mine))
    after = {"class": kind, "rows": len(gone), "until": clock.iso(max(row.at for row in rows))}
    return Change(len(gone), organizations.entity(organizations.get(connection, organization)), after=after)


def _old(
    part: Part, organization: int, cutoff: int, lines: sa.ColumnElement[bool] | None = None
) -> list[sa.ColumnElement[bool]]:
    """`lines`: those of the log that keep what they name; None: all of them."""
    where = [part.table.c.organization == organization, part.at <= cutoff, *part.where]
    if part.through:
        own = sa.select(integration.c.id).where(integration.c.organization == organization)
        where.append(part.table.c.integration.in_(own))
    if part.named:
        where.append(~_names(sa.true() if lines is None else lines))
    return where


def _names(lines: sa.ColumnElement[bool]) -> sa.Exists:
    """Whether one of these lines of the log names an execution."""
    return sa.select(_LOG.id).where(_LOG.execution == _RUN.id, lines).exists()


def _held(part: Part, holds: Sequence[Hold]) -> sa.ColumnElement[bool]:
    return legal_holds.holding(holds, part.at, part.endpoint)
