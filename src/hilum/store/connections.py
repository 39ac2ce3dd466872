"""Reads when each endpoint was last tested and used, for the report of connections: out of rows, never of counters.

The newest message and delivery of each endpoint take one pass through an organization's rows, for no index is worth
its price in every message (docs/decisions/0006): some 0.1 s a million on a thread of the readers.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.model.delivery import DeliveryState
from hilum.model.lifecycle import Lifecycle
from hilum.security.seal import Sealer
from hilum.store import executions, probes
from hilum.store.schema import delivery, endpoint, integration, message
from hilum.store.schema_activity import execution, probe_result

_SENT = (DeliveryState.DELIVERED, DeliveryState.DEAD)
Moments = dict[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """The integration of a connection, as it is configured."""

    id: int
    uuid: uuid.UUID
    environment: str | None
    lifecycle: Lifecycle
    document: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What TLS version was negotiated, and when (microseconds)."""

    version: str
    at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Connected:
    """An endpoint and its last times (microseconds); None: never. `accessed_at`: data passed, or was to."""

    owner: Owner
    uuid: UUID
    name: str
    direction: str
    url: str
    tested_at: int | None
    succeeded: bool | None  # that test
    accessed_at: int | None
    seen: Seen | None


def listed(connection: sa.Connection, sealer: Sealer, scope: Scope) -> list[Connected]:
    """Those that are configured now, by reference; of archived integrations none."""
    owners = _owners(connection, scope)
    query = sa.select(endpoint).where(endpoint.c.organization == scope.organization, endpoint.c.removed_at.is_(None))
    received, sent = _received(connection, scope.organization), _sent(connection, scope.organization)
    found = []
    for row in connection.execute(query.order_by(endpoint.c.reference)).all():
        handle, _, name = row.reference.partition("/")
        owner = owners.get(handle)
        if owner is None:
            continue
        test = _test(connection, owner.id, row.id)
        times = (received.get(row.id), sent.get(row.id), _asked(connection, owner.id, row.id))
        found.append(Connected(
            owner, row.uuid, name, row.direction, str(row.document.get("url", "")),
            None if test is None else test.stamp, None if test is None else bool(test.success),
            max((one for one in times if one is not None), default=None),
            _seen(connection, sealer, scope.organization, owner.id, row.id),
        ))  # fmt: skip
    return found


def _owners(connection: sa.Connection, scope: Scope) -> dict[str, Owner]:
    where = [integration.c.organization == scope.organization, integration.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(integration.c.study.in_(scope.studies))
    return {
        row.name: Owner(row.id, row.uuid, row.environment, Lifecycle(row.lifecycle), row.document)
        for row in connection.execute(sa.select(integration).where(*where))
    }


def _received(connection: sa.Connection, organization: int) -> Moments:
    columns = (message.c.endpoint, sa.func.max(message.c.received_at))
    where = message.c.organization == organization
    return _moments(connection, sa.select(*columns).where(where).group_by(message.c.endpoint))


def _sent(connection: sa.Connection, organization: int) -> Moments:
    """What a partner was asked to take; what expired, was skipped or discarded never reached it."""
    columns = (delivery.c.destination, sa.func.max(delivery.c.done_at))
    where = (delivery.c.organization == organization, delivery.c.state.in_([int(one) for one in _SENT]),
             delivery.c.attempts > 0)  # fmt: skip
    return _moments(connection, sa.select(*columns).where(*where).group_by(delivery.c.destination))


def _moments(connection: sa.Connection, query: sa.Select[Any]) -> Moments:
    return {number: stamp for number, stamp in connection.execute(query) if stamp is not None}


def _asked(connection: sa.Connection, owner: int, number: int) -> int | None:
    where = (execution.c.integration == owner, execution.c.endpoint == number)
    query = sa.select(execution.c.started_at).where(*where).order_by(execution.c.started_at.desc()).limit(1)
    return connection.execute(query).scalar()


def _test(connection: sa.Connection, owner: int, number: int, *, succeeded: bool = False) -> Any:
    """The newest, of all or of those that succeeded."""
    where = [probe_result.c.integration == owner, probe_result.c.endpoint == number]
    if succeeded:
        where.append(probe_result.c.success == 1)
    return connection.execute(sa.select(probe_result).where(*where).order_by(probe_result.c.id.desc()).limit(1)).first()


def _seen(connection: sa.Connection, sealer: Sealer, organization: int, owner: int, number: int) -> Seen | None:
    """By the last test that succeeded or the last execution that was answered, whichever saw one later."""
    found = []
    test = _test(connection, owner, number, succeeded=True)
    if test is not None and (version := probes.told(sealer, organization, test).get(probes.TLS)):
        found.append(Seen(version, test.stamp))
    where = (execution.c.integration == owner, execution.c.endpoint == number, execution.c.status_code.is_not(None),
             execution.c.told.is_not(None))  # fmt: skip
    query = sa.select(execution.c.uuid, execution.c.told).where(*where)
    row = connection.execute(query.order_by(execution.c.started_at.desc()).limit(1)).first()
    if row is not None:
        told = json.loads(sealer.open(bytes(row.told), executions.place(row.uuid, "told")))
        found += [Seen(one["tls"], one["at"]) for one in told["tries"] if one.get("tls")]
    return max(found, key=lambda one: one.at, default=None)
