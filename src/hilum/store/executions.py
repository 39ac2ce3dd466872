"""Keeps executions: requests to endpoints that were asked for through the API. Request and answer are sealed."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.access import Scope
from hilum.model.execution import EXECUTION_TRANSITIONS, ExecutionState
from hilum.model.identifier import new
from hilum.model.lifecycle import Lifecycle
from hilum.security.seal import Sealer
from hilum.store import execution_blobs
from hilum.store.execution_blobs import Blob
from hilum.store.prepared import Prepared, as_stored
from hilum.store.schema import endpoint, integration
from hilum.store.schema_activity import execution


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A row, and the UUIDs of what it names. Times are microseconds; None in a list: it was not looked at."""

    id: int
    uuid: uuid.UUID
    organization: int
    integration: int
    endpoint: int
    integration_uuid: UUID
    endpoint_uuid: UUID
    reference: str  # integration/endpoint
    version: int  # of the integration as it stands now
    managed_by: str
    status: ExecutionState
    started_at: int
    ended_at: int | None
    duration: int | None
    status_code: int | None
    fault: str | None
    attempts: int
    correlation: str
    actor: str
    request: dict[str, Any] | None
    response: dict[str, Any] | None
    told: dict[str, Any] | None  # error, tries
    synthetic: bool  # a test's
    trace: dict[str, Any] | None  # of the last try, where it failed
    forgotten: bool  # retention removed what was sent and answered


@dataclasses.dataclass(frozen=True, slots=True)
class New:
    """What is about to be asked. `request`: data, headers, parameters, timeout, idempotency_key."""

    organization: int
    integration: int
    endpoint: int
    correlation: str
    actor: str
    request: dict[str, Any]
    uuid: uuid.UUID
    synthetic: bool = False
    blobs: tuple[Blob, ...] = ()  # that the request points to


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `duration` is microseconds; None: it was not measured."""

    status: ExecutionState
    duration: int | None
    attempts: int
    status_code: int | None = None
    fault: str | None = None
    response: dict[str, Any] | None = None
    told: dict[str, Any] = dataclasses.field(default_factory=dict)
    trace: dict[str, Any] | None = None
    blobs: tuple[Blob, ...] = ()  # that the response points to


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by; None: not. Times are microseconds, `until` is excluded."""

    integration: uuid.UUID | None = None
    endpoint: uuid.UUID | None = None
    status: str | None = None
    correlation: str | None = None
    since: int | None = None
    until: int | None = None
    synthetic: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Aim:
    """An endpoint that somebody wants to ask, and where its integration stands."""

    integration: int
    endpoint: int
    name: str
    direction: str
    lifecycle: Lifecycle


def _aiming() -> sa.Select[Any]:
    served = sa.or_(endpoint.c.removed_at.is_(None), integration.c.archived_at.is_not(None))
    mine = sa.and_(
        endpoint.c.organization == integration.c.organization, endpoint.c.uuid == sa.bindparam("of"), served
    )  # fmt: skip
    columns = (integration.c.id, integration.c.name, integration.c.study, integration.c.lifecycle,
               endpoint.c.id.label("endpoint"), endpoint.c.reference, endpoint.c.direction)  # fmt: skip
    wanted = (integration.c.organization == sa.bindparam("organization"), integration.c.uuid == sa.bindparam("wanted"))
    return sa.select(*columns).select_from(integration.outerjoin(endpoint, mine)).where(*wanted)


_AIM = Prepared(_aiming())


def aim(connection: sa.Connection, scope: Scope, wanted: uuid.UUID, of: uuid.UUID) -> Aim:
    """Endpoint `of` of integration `wanted`, also of an archived one. Raises NotFound."""
    values = {"wanted": as_stored(connection, wanted), "of": as_stored(connection, of)}
    row = next(iter(_AIM.all(connection, {**values, "organization": scope.organization})), None)
    if row is None or not scope.admits(row[2]):
        raise NotFound(f"Integration not found: {wanted}")
    number, known, _, lifecycle, found, reference, direction = row
    owner, _, name = (reference or "").partition("/")
    if owner != known:
        raise NotFound(f"Endpoint not found: {of}")
    return Aim(number, found, name, direction, Lifecycle(lifecycle))


def name() -> uuid.UUID:
    """The UUID of one that is about to be stored."""
    return new(clock.micros())


def entity(identifier: uuid.UUID) -> str:
    """As the audit trail names it."""
    return f"execution/{identifier}"


def insert(connection: sa.Connection, sealer: Sealer, one: New) -> int:
    """Store it as `executing`; its number."""
    values = {
        "uuid": as_stored(connection, one.uuid), "organization": one.organization, "integration": one.integration,
        "endpoint": one.endpoint, "status": ExecutionState.EXECUTING.value, "started_at": clock.micros(),
        "attempts": 0, "correlation": one.correlation, "actor": one.actor,
        "request": _sealed(sealer, one.uuid, "request", one.request), "synthetic": int(one.synthetic),
    }  # fmt: skip
    ((made,),) = _INSERT.all(connection, values)
    execution_blobs.insert(connection, int(made), one.blobs)
    return int(made)


def finish(connection: sa.Connection, sealer: Sealer, number: int, identifier: uuid.UUID, ended: Ended) -> bool:
    """False where it had ended already: it was cancelled meanwhile, and stays so."""
    if ended.status not in EXECUTION_TRANSITIONS[ExecutionState.EXECUTING]:
        raise ValueError(f"nothing ends as {ended.status}")
    response = None if ended.response is None else _sealed(sealer, identifier, "response", ended.response)
    trace = None if ended.trace is None else _sealed(sealer, identifier, "trace", ended.trace)
    values = {
        "number": number, "status_": ended.status.value, "ended_at_": clock.micros(), "duration_": ended.duration,
        "status_code_": ended.status_code, "fault_": None if ended.fault is None else str(ended.fault),
        "attempts_": ended.attempts, "told_": _sealed(sealer, identifier, "told", ended.told), "response_": response,
        "trace_": trace,
    }  # fmt: skip
    if _FINISH.change(connection, values) != 1:
        return False
    execution_blobs.insert(connection, number, ended.blobs)
    return True


def state(connection: sa.Connection, number: int) -> ExecutionState:
    """How it stands."""
    query = sa.select(execution.c.status).where(execution.c.id == number)
    return ExecutionState(connection.execute(query).scalar_one())


def get(connection: sa.Connection, sealer: Sealer, number: int) -> Stored:
    """By its number, with what is sealed."""
    ((*values,),) = _BY_NUMBER.all(connection, {"number": number})
    row = dict(zip(_COLUMNS, values, strict=True))
    for name in ("uuid", "integration_uuid", "endpoint_uuid"):
        row[name] = row[name] if isinstance(row[name], uuid.UUID) else uuid.UUID(row[name])
    return _view(row, sealer)


def find(connection: sa.Connection, sealer: Sealer, scope: Scope, identifier: uuid.UUID) -> Stored:
    """Raises NotFound."""
    row = connection.execute(_joined().where(*_within(scope), execution.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"Execution not found: {identifier}")
    return _view(row._mapping, sealer)


def listed(
    connection: sa.Connection, sealer: Sealer, scope: Scope, wanted: Wanted, offset: int, limit: int
) -> tuple[list[Stored], int]:
    """The newest first, without requests and answers, and how many there are."""
    where = [*_within(scope), *_narrowed(wanted)]
    counted = sa.select(sa.func.count()).select_from(_tables()).where(*where)
    total: int = connection.execute(counted).scalar_one()
    query = _joined(payload=False).where(*where).order_by(execution.c.started_at.desc(), execution.c.id.desc())
    return [_view(row._mapping, sealer) for row in connection.execute(query.offset(offset).limit(limit))], total


def above(
    connection: sa.Connection, sealer: Sealer, scope: Scope, wanted: Wanted, after: int, limit: int, *, payload: bool
) -> list[Stored]:  # fmt: skip
    """Those with ids above `after`, the oldest first; `payload`: with requests and answers, whole."""
    where = [*_within(scope), *_narrowed(wanted), execution.c.id > after]
    rows = connection.execute(_joined(payload=payload).where(*where).order_by(execution.c.id).limit(limit))
    found = [_view(row._mapping, sealer) for row in rows]
    return [_whole(connection, sealer, one) for one in found] if payload else found


def naming(
    connection: sa.Connection, sealer: Sealer, organization: int, text: str, after: int, limit: int
) -> tuple[list[Stored], int | None]:
    """Look at `limit` executions above row `after`: those that say a text as a word of its own, and where to go on.

    They have no search keys, so they are opened, with what stands beside their rows; those whose request and answer
    retention removed say nothing.
    """
    where = (execution.c.organization == organization, execution.c.id > after)
    rows = connection.execute(_joined().where(*where).order_by(execution.c.id).limit(limit)).all()
    word = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    opened = (_whole(connection, sealer, _view(row._mapping, sealer)) for row in rows)
    found = [one for one in opened if _says([one.request, one.response, one.told], word)]
    return found, None if len(rows) < limit else rows[-1].id


def _whole(connection: sa.Connection, sealer: Sealer, one: Stored) -> Stored:
    request, response = (
        execution_blobs.whole(connection, sealer, one.id, each) for each in (one.request, one.response)
    )  # fmt: skip
    return dataclasses.replace(one, request=request, response=response)


def _says(value: Any, word: re.Pattern[str]) -> bool:
    """Whether some text or number of a JSON document has it; names of members count as well."""
    if isinstance(value, dict):
        return any(_says(each, word) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(_says(each, word) for each in value)
    return isinstance(value, str | int | float) and word.search(str(value)) is not None


def place(identifier: uuid.UUID, column: str) -> bytes:
    """What a sealed column is bound to."""
    return b"execution|%s|%s" % (identifier.bytes, column.encode())


def _tables() -> sa.Join:
    """Its integration and endpoint are always there: what was used is archived, never removed."""
    whole = execution.join(integration, integration.c.id == execution.c.integration)
    return whole.join(endpoint, endpoint.c.id == execution.c.endpoint)


def _joined(*, payload: bool = True) -> sa.Select[Any]:
    hidden = () if payload else ("request", "response", "trace")
    own = [column for column in execution.c if column.name not in hidden]
    named = (
        integration.c.uuid.label("integration_uuid"), endpoint.c.uuid.label("endpoint_uuid"), endpoint.c.reference,
        integration.c.version, integration.c.managed_by,
    )  # fmt: skip
    return sa.select(*own, *named).select_from(_tables())


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where = [execution.c.organization == scope.organization]
    if scope.studies is not None:
        where.append(integration.c.study.in_(scope.studies))
    return where


def _narrowed(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    columns = (
        (integration.c.uuid, wanted.integration), (endpoint.c.uuid, wanted.endpoint),
        (execution.c.status, wanted.status), (execution.c.correlation, wanted.correlation),
        (execution.c.synthetic, None if wanted.synthetic is None else int(wanted.synthetic)),
    )  # fmt: skip
    where: list[sa.ColumnElement[bool]] = [column == value for column, value in columns if value is not None]
    if wanted.since is not None:
        where.append(execution.c.started_at >= wanted.since)
    if wanted.until is not None:
        where.append(execution.c.started_at < wanted.until)
    return where


def _sealed(sealer: Sealer, identifier: uuid.UUID, column: str, value: dict[str, Any]) -> bytes:
    return sealer.seal(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), place(identifier, column))


def _view(row: Mapping[Any, Any], sealer: Sealer) -> Stored:
    def opened(column: str) -> dict[str, Any] | None:
        sealed = row.get(column)
        if not sealed:  # a request that retention removed is empty
            return None
        found: dict[str, Any] = json.loads(sealer.open(bytes(sealed), place(row["uuid"], column)))
        return found

    plain = {name: row[name] for name in _PLAIN}
    return Stored(
        **plain, status=ExecutionState(row["status"]), request=opened("request"), response=opened("response"),
        told=opened("told"), synthetic=bool(row["synthetic"]), trace=opened("trace"), forgotten=bool(row["forgotten"]),
    )  # fmt: skip


_MADE = ("status", "request", "response", "told", "synthetic", "trace", "forgotten")
_PLAIN = [one.name for one in dataclasses.fields(Stored) if one.name not in _MADE]
_WHOLE = _joined()
_COLUMNS = [column.key for column in _WHOLE.selected_columns]
_BY_NUMBER = Prepared(_WHOLE.where(execution.c.id == sa.bindparam("number")))
_FIRST = ("uuid", "organization", "integration", "endpoint", "status", "started_at", "attempts", "correlation",
          "actor", "request", "synthetic")  # fmt: skip
_LAST = ("status", "ended_at", "duration", "status_code", "fault", "attempts", "told", "response",
         "trace")  # fmt: skip
_INSERT = Prepared(
    execution.insert().values({name: sa.bindparam(name) for name in _FIRST}).returning(execution.c.id)
)  # fmt: skip
_FINISH = Prepared(
    execution.update()
    .where(execution.c.id == sa.bindparam("number"), execution.c.status == ExecutionState.EXECUTING.value)
    .values({name: sa.bindparam(f"{name}_") for name in _LAST})
)
