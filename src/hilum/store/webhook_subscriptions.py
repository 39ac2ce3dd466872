"""Keeps webhook subscriptions: who is told of what. Their secrets are sealed by the caller."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.model.webhook import DISABLED, SubscriptionState
from hilum.security.envelope import Place
from hilum.store import versions
from hilum.store.schema_webhooks import webhook_subscription

TABLE = webhook_subscription.name


@dataclasses.dataclass(frozen=True, slots=True)
class Subscription:
    """A row. Times are microseconds; `sealed` holds the secrets, the current one first."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    url: str
    description: str
    events: list[str]
    scheme: str
    public: list[str]
    state: SubscriptionState
    reason: str
    sealed: bytes = dataclasses.field(repr=False)
    key: int
    previous_until: int | None
    since: int
    failing_since: int | None
    version: int
    created_at: int
    created_by: str

    @property
    def place(self) -> Place:
        """What its secrets are sealed for."""
        return Place(self.organization, TABLE, self.uuid)


def listed(connection: sa.Connection, scope: Scope, offset: int, limit: int) -> tuple[list[Subscription], int]:
    """Those within, the oldest first, and how many there are."""
    table, where = webhook_subscription, _within(scope)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
    query = sa.select(table).where(*where).order_by(table.c.id).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Subscription:
    """Raises NotFound."""
    table = webhook_subscription
    row = connection.execute(sa.select(table).where(*_within(scope), table.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"there is no webhook subscription {identifier}")
    return _view(row)


def active(connection: sa.Connection, organization: int | None = None) -> list[Subscription]:
    """Of an organization (None: of everybody)."""
    table = webhook_subscription
    where = [table.c.state == SubscriptionState.ACTIVE, table.c.archived_at.is_(None)]
    if organization is not None:
        where.append(table.c.organization == organization)
    return [_view(row) for row in connection.execute(sa.select(table).where(*where).order_by(table.c.id))]


def get(connection: sa.Connection, number: int) -> Subscription | None:
    """By its number, where it is active."""
    table = webhook_subscription
    where = (table.c.id == number, table.c.state == SubscriptionState.ACTIVE, table.c.archived_at.is_(None))
    row = connection.execute(sa.select(table).where(*where)).first()
    return None if row is None else _view(row)


def create(connection: sa.Connection, scope: Scope, identifier: uuid.UUID, values: dict[str, Any]) -> Change:
    """`identifier` is made by the caller: it is bound into `values["sealed"]`."""
    now = clock.micros()
    fresh = {"state": SubscriptionState.ACTIVE, "reason": "", "version": 1, "created_at": now, "since": now}
    row = {"uuid": identifier, "organization": scope.organization, **fresh, **values}
    connection.execute(webhook_subscription.insert().values(row))
    made = find(connection, Scope(scope.organization), identifier)
    return Change(made, entity(made), None, shown(made))


def change(
    connection: sa.Connection, scope: Scope, identifier: uuid.UUID, version: int, values: dict[str, Any]
) -> Change:
    """Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    versions.advance(connection, webhook_subscription, before.id, version, **values)
    after = find(connection, Scope(scope.organization), identifier)
    return Change(after, entity(after), shown(before), shown(after))


def remove(connection: sa.Connection, scope: Scope, identifier: uuid.UUID, version: int) -> Change:
    """Its secrets are gone for good; the log of its deliveries ends with its time. Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    gone: dict[str, Any] = {"sealed": None, "key": None, "public": [], "archived_at": clock.micros()}
    versions.advance(connection, webhook_subscription, before.id, version, **gone)
    return Change(None, entity(before), shown(before), None)


def disable(connection: sa.Connection, one: Subscription, reason: str) -> Change:
    """What the hub itself gives up. Raises Conflict where it is not active any more."""
    found = get(connection, one.id)
    if found is None:
        raise Conflict("it is not active any more")
    state = SubscriptionState.DISABLED
    versions.advance(connection, webhook_subscription, found.id, found.version, state=state, reason=reason)
    after = dataclasses.replace(found, state=state, reason=reason)
    return Change(None, entity(found), shown(found), shown(after), topic=DISABLED)


def felt(connection: sa.Connection, number: int, failing_since: int | None) -> None:
    """How its last try went. No version changes: nobody's edit is in its way."""
    table = webhook_subscription
    connection.execute(table.update().where(table.c.id == number).values(failing_since=failing_since))


def entity(one: Subscription) -> str:
    """As the audit trail and events name it."""
    return f"webhook-subscription/{one.uuid}"


def shown(one: Subscription) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {
        "url": one.url, "description": one.description, "events": one.events, "scheme": one.scheme,
        "state": one.state.value, "reason": one.reason, "previous_until": one.previous_until, "study": one.study,
    }  # fmt: skip


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    table = webhook_subscription
    where = [table.c.organization == scope.organization, table.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(table.c.study.in_(scope.studies))
    return where


def _view(row: sa.Row[Any]) -> Subscription:
    return Subscription(
        row.id, row.uuid, row.organization, row.study, row.url, row.description, row.events, row.scheme, row.public,
        SubscriptionState(row.state), row.reason, row.sealed, row.key, row.previous_until, row.since, row.failing_since,
        row.version, row.created_at, row.created_by,
    )  # fmt: skip
