"""Keeps webhook receivers: what takes others' webhooks for an integration. Their secrets are sealed by the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.model.webhook import EventId, SubscriptionState
from hilum.security.envelope import Place
from hilum.security.seal import KeyedHash
from hilum.store import principals, versions
from hilum.store.schema import integration
from hilum.store.schema_webhooks import webhook_receiver

TABLE = webhook_receiver.name
_KIND = "webhook"


@dataclasses.dataclass(frozen=True, slots=True)
class Receiver:
    """A row. Times are microseconds; `integration_uuid` and `integration_name` are its integration's."""

    id: int
    uuid: UUID
    organization: int
    integration: int
    scheme: str
    options: dict[str, Any]
    event_id: EventId
    tolerance: int
    state: SubscriptionState
    sealed: bytes = dataclasses.field(repr=False)
    key: int
    previous_until: int | None
    version: int
    created_at: int
    created_by: str
    integration_uuid: UUID
    integration_name: str

    @property
    def place(self) -> Place:
        """What its secrets are sealed for."""
        return Place(self.organization, TABLE, self.uuid)


def listed(
    connection: sa.Connection, scope: Scope, owner: UUID | None, offset: int, limit: int
) -> tuple[list[Receiver], int]:
    """Those within, the oldest first, and how many there are; `owner`: of that integration."""
    where = _within(scope)
    if owner is not None:
        where.append(integration.c.uuid == owner)
    count = sa.select(sa.func.count()).select_from(webhook_receiver.join(integration, _JOINED)).where(*where)
    total: int = connection.execute(count).scalar_one()
    rows = connection.execute(_QUERY.where(*where).order_by(webhook_receiver.c.id).offset(offset).limit(limit))
    return [_view(row) for row in rows], total


def find(connection: sa.Connection, scope: Scope, identifier: UUID) -> Receiver:
    """Raises NotFound."""
    row = connection.execute(_QUERY.where(*_within(scope), webhook_receiver.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"there is no webhook receiver {identifier}")
    return _view(row)


def owner(connection: sa.Connection, keyed: KeyedHash, identifier: UUID) -> list[int]:
    """The organizations that may have it: nobody is known yet, so that only hashes are looked at."""
    return [one.organization for one in principals.find(connection, keyed, _KIND, identifier.bytes)]


def of(connection: sa.Connection, numbers: Collection[int]) -> dict[int, UUID]:
    """The receivers of integrations, by their numbers."""
    table = webhook_receiver
    where = (table.c.integration.in_(numbers), table.c.archived_at.is_(None))
    return {row.integration: row.uuid for row in connection.execute(sa.select(table).where(*where))}


def create(
    connection: sa.Connection, keyed: KeyedHash, scope: Scope, identifier: UUID, values: dict[str, Any]
) -> Change:
    """`identifier` is made by the caller: it is bound into `values["sealed"]`. Raises Conflict: there is one."""
    fresh = {"state": SubscriptionState.ACTIVE, "version": 1, "created_at": clock.micros()}
    row = {"uuid": identifier, "organization": scope.organization, **fresh, **values}
    try:
        number = connection.execute(webhook_receiver.insert().values(row)).inserted_primary_key[0]  # type: ignore[index]  # an insert has one
    except sa.exc.IntegrityError:
        raise Conflict("the integration has a webhook receiver already") from None
    principals.add(connection, keyed, _KIND, identifier.bytes, scope.organization, number)
    made = find(connection, Scope(scope.organization), identifier)
    return Change(made, entity(made), None, shown(made))


def change(connection: sa.Connection, scope: Scope, identifier: UUID, version: int, values: dict[str, Any]) -> Change:
    """Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    versions.advance(connection, webhook_receiver, before.id, version, **values)
    after = find(connection, Scope(scope.organization), identifier)
    return Change(after, entity(after), shown(before), shown(after))


def remove(connection: sa.Connection, scope: Scope, identifier: UUID, version: int) -> Change:
    """Its secrets are gone for good, and its URL leads nowhere. Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    gone: dict[str, Any] = {"sealed": None, "key": None, "archived_at": clock.micros()}
    versions.advance(connection, webhook_receiver, before.id, version, **gone)
    principals.remove(connection, _KIND, scope.organization, before.id)
    return Change(None, entity(before), shown(before), None)


def entity(one: Receiver) -> str:
    """As the audit trail names it."""
    return f"webhook-receiver/{one.uuid}"


def shown(one: Receiver) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {
        "integration": str(one.integration_uuid), "scheme": one.scheme, "options": one.options,
        "event_id": dataclasses.asdict(one.event_id), "tolerance": one.tolerance, "state": one.state.value,
        "previous_until": one.previous_until,
    }  # fmt: skip


_JOINED = integration.c.id == webhook_receiver.c.integration
_QUERY = sa.select(
    webhook_receiver, integration.c.uuid.label("integration_uuid"), integration.c.name.label("integration_name")
).join(integration, _JOINED)


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where = [webhook_receiver.c.organization == scope.organization, webhook_receiver.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(integration.c.study.in_(scope.studies))
    return where


def _view(row: sa.Row[Any]) -> Receiver:
    return Receiver(
        row.id, row.uuid, row.organization, row.integration, row.scheme, row.options, EventId(**row.event_id),
        row.tolerance, SubscriptionState(row.state), row.sealed, row.key, row.previous_until, row.version,
        row.created_at, row.created_by, row.integration_uuid, row.integration_name,
    )  # fmt: skip
