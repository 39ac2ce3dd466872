"""What is kept how long, what is due to go, and its removal. Archiving is here, the archives' own rows are not."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.audit import Change
from hilum.model.configuration import Retention
from hilum.model.identifier import text_of
from hilum.model.organization import Settings
from hilum.model.retention import DAY
from hilum.store import chain, configuration, legal_holds
from hilum.store.legal_holds import Holds
from hilum.store.schema import body, delivery, message, organization
from hilum.store.schema_evidence import audit_seal
from hilum.store.schema_retention import archived

if TYPE_CHECKING:
    from hilum.store.store import Store

_LOOK = 1_000  # bodies that are looked at in one go


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """How long an organization keeps things. Bodies in days: `routes` by route version, where that says so itself."""

    id: int
    uuid: uuid.UUID
    name: str
    bodies: int
    routes: Mapping[int, int]
    archive: bool  # bodies go into an archive first
    archive_years: int
    audit_years: int

    def cutoffs(self, now: int) -> Cutoffs:
        """What was received before these moments is due."""
        return Cutoffs(now, now - self.bodies * DAY, {one: now - days * DAY for one, days in self.routes.items()})


@dataclasses.dataclass(frozen=True, slots=True)
class Cutoffs:
    """Moments in microseconds: bodies received before them are due. A route's own go by its version."""

    now: int
    usual: int
    routes: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def of(self, routes: str) -> int:
        """For a message that took these route versions: of several the longest keeping holds."""
        taken = [self.routes.get(int(one), self.usual) for one in routes.split()] if self.routes else []
        return min(taken, default=self.usual)

    @property
    def latest(self) -> int:
        """What was received from then on is not due, whatever its routes."""
        return max([self.usual, *self.routes.values()])


class Due(NamedTuple):
    """A message whose body is due. `archive` is the row of the archive that has it, None: none has."""

    id: int
    uuid: bytes
    received_at: int
    endpoint: int
    first_delivery: int | None
    deliveries: int
    archive: int | None


def policies(connection: sa.Connection) -> list[Policy]:
    """Of all organizations."""
    rows = connection.execute(sa.select(organization).order_by(organization.c.id)).all()
    return [_policy(connection, row) for row in rows if row.uuid is not None]


def policy(connection: sa.Connection, number: int) -> Policy:
    """Of one. Raises NotFound."""
    row = connection.execute(sa.select(organization).where(organization.c.id == number)).first()
    if row is None or row.uuid is None:
        raise NotFound("there is no organization yet: create one")
    return _policy(connection, row)


async def scan(store: Store, kept: Policy, cutoffs: Cutoffs) -> AsyncIterator[list[Due]]:
    """All that is due, held or not, the oldest first and some at a time."""
    after: int | None = 0
    while after is not None:
        found, after = await store.within(kept.id).load(due, kept.id, cutoffs, after)
        if found:
            yield found


def due(
    connection: sa.Connection, number: int, cutoffs: Cutoffs, after: int, limit: int = _LOOK
) -> tuple[list[Due], int | None]:
    """Look at `limit` bodies above message `after`: those of the organization that are due, and where to go on.

    What waits for its delivery or its route is not, nor what was put back for a while.
    """
    window = sa.select(body.c.message).where(body.c.message > after).order_by(body.c.message).limit(limit).subquery()
    query = _candidates().join(window, window.c.message == message.c.id)
    rows = list(connection.execute(query.order_by(message.c.id)))
    young = bool(rows) and all(row.received_at >= cutoffs.latest for row in rows)
    found = [_due(row) for row in rows if _is_due(row, number, cutoffs)]
    return found, None if len(rows) < limit or young else rows[-1].id


def remove(
    connection: sa.Connection, kept: Policy, cutoffs: Cutoffs, holds: Holds, ids: Collection[int]
) -> Change:  # fmt: skip
    """Remove those bodies of `ids` that are due, and those kept with their deliveries; the result is how many went.

    With a policy that archives, only what an archive has. Raises Conflict where a hold was placed or lifted since,
    NotFound where nothing of it is due any more.
    """
    legal_holds.check(connection, holds)
    query = _candidates().join(body, body.c.message == message.c.id).where(message.c.id.in_(ids))
    rows = [row for row in connection.execute(query.order_by(message.c.id)) if _is_due(row, kept.id, cutoffs)]
    gone = [
        _due(row)
        for row in rows
        if not holds.keep(row.id, row.endpoint, row.received_at) and not (kept.archive and row.archive is None)
    ]
    if not gone:
        raise NotFound("nothing of it is due any more")
    _delete(connection, gone)
    after = {
        "class": "bodies", "rows": len(gone), "until": clock.iso(max(one.received_at for one in gone)),
        "first": text_of(gone[0].uuid), "last": text_of(gone[-1].uuid),
    }  # fmt: skip
    return Change(len(gone), f"organization/{kept.uuid}", after=after)


def due_events(connection: sa.Connection, number: int, cutoff: int) -> int:
    """How many audit events of before `cutoff` a purge would remove."""
    last = chain.purgeable(connection, number, cutoff)
    if not last or chain.covering(connection, number, last) is None:
        return 0
    query = sa.select(sa.func.count()).where(audit_seal.c.organization == number, audit_seal.c.position <= last)
    return int(connection.execute(query).scalar_one())


def _delete(connection: sa.Connection, gone: Sequence[Due]) -> None:
    ids = [one.id for one in gone]
    connection.execute(body.delete().where(body.c.message.in_(ids)))
    ranges = [
        (one.first_delivery, one.first_delivery + one.deliveries) for one in gone if one.first_delivery is not None
    ]
    if ranges:
        near = delivery.c.id.between(min(first for first, _ in ranges), max(end for _, end in ranges))
        kept = (delivery.c.sealed.is_not(None), delivery.c.message.in_(ids))
        connection.execute(delivery.update().where(near, *kept).values(sealed=None))


def _candidates() -> sa.Select[Any]:
    waiting = sa.and_(
        delivery.c.id >= message.c.first_delivery,
        delivery.c.id < message.c.first_delivery + message.c.deliveries,
        delivery.c.state == 0,
    )
    return sa.select(
        message.c.id, message.c.uuid, message.c.organization, message.c.received_at, message.c.disposition,
        message.c.endpoint, message.c.first_delivery, message.c.deliveries, message.c.routes,
        archived.c.archive, archived.c.restored_until,
        sa.select(delivery.c.id).where(waiting).exists().label("waiting"),
    ).outerjoin(archived, archived.c.message == message.c.id)  # fmt: skip


def _is_due(row: sa.Row[Any], number: int, cutoffs: Cutoffs) -> bool:
    return bool(
        row.organization == number
        and row.disposition
        and not row.waiting
        and row.received_at < cutoffs.of(row.routes)
        and (row.restored_until is None or row.restored_until <= cutoffs.now)
    )


def _due(row: sa.Row[Any]) -> Due:
    return Due._make(getattr(row, name) for name in Due._fields)


def _policy(connection: sa.Connection, row: sa.Row[Any]) -> Policy:
    settings = Settings.model_validate(row.settings or {})
    return Policy(
        row.id, row.uuid, row.name, Retention.model_validate(row.document.get("retention", {})).bodies,
        configuration.retentions(connection, row.id), settings.archive_bodies, settings.archive_years,
        settings.audit_years,
    )  # fmt: skip
