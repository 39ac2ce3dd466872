"""Reads and keeps messages: list, show, search by key, retention of bodies."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from hilum import telemetry
from hilum.errors import Conflict, StoreError
from hilum.model.identifier import row_of
from hilum.model.message import Disposition, Message
from hilum.security.seal import Sealer
from hilum.store.hot import body_place, note_place
from hilum.store.schema import body, delivery, message

log = telemetry.logger("store")
ATTENTION = (Disposition.RECEIVED, Disposition.ERROR, Disposition.REVIEW)  # these have an index


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """What a list of messages is narrowed to; None narrows nothing. Times are microseconds."""

    endpoint: int | None = None
    disposition: Disposition | None = None
    type: str | None = None
    since: int | None = None
    until: int | None = None
    ids: Sequence[int] | None = None
    state: Literal["pending", "delivered", "failed", "skipped", "discarded"] | None = None  # of its deliveries


def newest(
    connection: sa.Connection, organization: int, where: Filter, *, before: int | None = None, limit: int = 20
) -> list[sa.Row[Any]]:
    """Rows below id `before`, newest first."""
    query = _narrow(sa.select(message), organization, where)
    if before is not None:
        query = query.where(message.c.id < before)
    return list(connection.execute(query.order_by(message.c.id.desc()).limit(limit)))


def matching(connection: sa.Connection, organization: int, where: Filter, limit: int) -> list[int]:
    """Ids of rows, oldest first."""
    query = _narrow(sa.select(message.c.id), organization, where)
    return list(connection.execute(query.order_by(message.c.id).limit(limit)).scalars())


def _narrow(query: sa.Select[Any], organization: int, where: Filter) -> sa.Select[Any]:
    query = query.where(message.c.organization == organization)
    if where.ids is not None:
        query = query.where(message.c.id.in_(where.ids))
    if where.endpoint is not None:
        query = query.where(message.c.endpoint == where.endpoint)
    if where.disposition is not None:
        # a constant in the text, so that the partial index can be used
        query = query.where(sa.literal_column("disposition") == sa.literal_column(str(int(where.disposition))))
    if where.type is not None:
        query = query.where(
            sa.or_(message.c.type == where.type, message.c.type.startswith(f"{where.type}^", autoescape=True))
        )
    if where.since is not None:
        query = query.where(message.c.received_at >= where.since)
    if where.until is not None:
        query = query.where(message.c.received_at < where.until)
    return query if where.state is None else query.where(*_in_state(where.state))


# constants in the text, and the index's own condition word by word, so that the partial index can be used
_ENDED = {
    "failed": "delivery.state > 1 AND delivery.state IN (2, 3)",
    "skipped": "delivery.state > 1 AND delivery.state = 4",
    "discarded": "delivery.state > 1 AND delivery.state = 5",
}


def _in_state(state: str) -> list[sa.ColumnElement[bool]]:
    """Conditions on a message's deliveries. What failed is rare and has an index; the rest is looked up by range."""
    if state in _ENDED:
        return [message.c.id.in_(sa.select(delivery.c.message).where(sa.text(_ENDED[state])))]
    mine = sa.and_(
        delivery.c.id >= message.c.first_delivery, delivery.c.id < message.c.first_delivery + message.c.deliveries
    )
    delivering = message.c.disposition == int(Disposition.DELIVERING)

    def some(condition: sa.ColumnElement[bool]) -> sa.Exists:
        return sa.select(delivery.c.id).where(mine, condition).correlate(message).exists()

    if state == "pending":
        return [delivering, some(delivery.c.state == 0), ~some(delivery.c.state.in_((2, 3)))]
    return [delivering, ~some(delivery.c.state != 1)]


def uuids(connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
    """The UUIDs of rows."""
    rows = connection.execute(sa.select(message.c.id, message.c.uuid).where(message.c.id.in_(ids)))
    return {row.id: str(uuid.UUID(bytes=row.uuid)) for row in rows}


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> sa.Row[Any] | None:
    """The row of a UUID, or None: also where another organization has it."""
    row = connection.execute(sa.select(message).where(message.c.id == row_of(identifier))).first()
    if row is None or row.uuid != identifier.bytes or row.organization != organization:
        return None
    return row


def by_ids(connection: sa.Connection, ids: Sequence[int]) -> list[sa.Row[Any]]:
    return list(connection.execute(sa.select(message).where(message.c.id.in_(ids)).order_by(message.c.id.desc())))


def bodies(connection: sa.Connection, sealer: Sealer, ids: Sequence[int]) -> dict[int, bytes]:
    """The bodies that are still kept, by message id."""
    rows = connection.execute(sa.select(body).where(body.c.message.in_(ids))).all()
    return {row.message: sealer.open(row.sealed, body_place(row.message)) for row in rows}


def view(row: sa.Row[Any], sealer: Sealer, kept: bytes | None = None) -> Message:
    """A row as people and the API see it."""
    note, attributes = ("", {}) if row.note is None else json.loads(sealer.open(row.note, note_place(row.id)))
    return Message(
        id=row.id, uuid=str(uuid.UUID(bytes=row.uuid)), organization=row.organization, endpoint=row.endpoint,
        routes=tuple(map(int, row.routes.split())), received_at=row.received_at,
        disposition=Disposition(row.disposition), ack=row.ack, type=row.type, control_id=row.control_id,
        body_hash=row.body_hash, first_delivery=row.first_delivery, deliveries=row.deliveries, origin=row.origin,
        note=note, attributes=attributes, body=kept,
    )  # fmt: skip


def unrouted(connection: sa.Connection, endpoint: int) -> list[sa.Row[Any]]:
    """Messages of an endpoint that were stored before they were routed, oldest first."""
    query = sa.select(message).where(sa.literal_column("disposition = 0"), message.c.endpoint == endpoint)
    return list(connection.execute(query.order_by(message.c.id)))


def all_delivered(connection: sa.Connection, one: int) -> bool | None:
    """True: every delivery of a message was taken; False: one failed for good; None: some are open."""
    row = connection.execute(sa.select(message).where(message.c.id == one)).first()
    if row is None or row.first_delivery is None:
        return row is not None
    mine = sa.and_(delivery.c.id >= row.first_delivery, delivery.c.id < row.first_delivery + row.deliveries)
    states = set(connection.execute(sa.select(delivery.c.state).where(mine)).scalars())
    return False if states - {0, 1} else None if 0 in states else True


def reroute(
    connection: sa.Connection,
    row: int,
    disposition: Disposition,
    routes: str,
    first: int | None,
    count: int,
    note: bytes | None,
) -> None:
    """Write what became of a message that was stored before it was routed. Raises Conflict where it was routed."""
    values: dict[str, Any] = {
        "disposition": int(disposition), "routes": routes, "first_delivery": first, "deliveries": count,
    }  # fmt: skip
    if note is not None:
        values["note"] = note
    query = message.update().where(message.c.id == row, sa.literal_column("disposition = 0"))
    if not connection.execute(query.values(values)).rowcount:
        raise Conflict(f"message {row} was routed already")


def tally(connection: sa.Connection, after: int) -> list[tuple[int, int, int]]:
    """(endpoint, disposition, count) of the messages with ids above `after`."""
    query = (
        sa.select(message.c.endpoint, message.c.disposition, sa.func.count())
        .where(message.c.id > after)
        .group_by(message.c.endpoint, message.c.disposition)
    )
    return [(one, two, three) for one, two, three in connection.execute(query)]


def rebuild(
    connection: sa.Connection, after: int, limit: int, sealer: Sealer, keys: Callable[[Message], Sequence[int]]
) -> list[tuple[int, int, Sequence[int]]]:
    """(id, received_at, keys) of the messages above `after`, made again from their rows and bodies.

    A message that no longer opens has no keys: it must not keep the hub from starting.
    """
    rows = list(connection.execute(sa.select(message).where(message.c.id > after).order_by(message.c.id).limit(limit)))
    query = sa.select(body).where(body.c.message.in_([row.id for row in rows]))
    sealed = {row.message: row.sealed for row in connection.execute(query)}

    def again(row: sa.Row[Any]) -> Sequence[int]:
        try:
            kept = sealer.open(sealed[row.id], body_place(row.id)) if row.id in sealed else None
            return keys(view(row, sealer, kept))
        except StoreError as error:
            log.error("a message cannot be found by its keys", message=row.id, reason=str(error))
            return ()

    return [(row.id, row.received_at, again(row)) for row in rows]


def purge_bodies(
    connection: sa.Connection,
    organization: int,
    cutoff: int,
    after: int,
    limit: int,
    routes: Mapping[int, int] | None = None,
) -> tuple[int, int | None]:
    """Look at `limit` bodies above message `after`, remove the organization's that are older than `cutoff`.

    `routes` are the cutoffs of route versions that have their own; of several the longest keeping holds.
    The bodies that are kept with their deliveries go too. What waits for its delivery or its route stays.
    Returns how many went, and where to go on (None: done).
    """
    window = sa.select(body.c.message).where(body.c.message > after).order_by(body.c.message).limit(limit).subquery()
    waiting = sa.and_(
        delivery.c.id >= message.c.first_delivery,
        delivery.c.id < message.c.first_delivery + message.c.deliveries,
        delivery.c.state == 0,
    )
    query = sa.select(
        message.c.id, message.c.organization, message.c.received_at, message.c.disposition,
        message.c.first_delivery, message.c.deliveries, message.c.routes,
        sa.select(delivery.c.id).where(waiting).exists().label("waiting"),
    ).join(window, window.c.message == message.c.id)  # fmt: skip
    rows = list(connection.execute(query.order_by(message.c.id)))
    own = routes or {}

    def is_old(row: sa.Row[Any]) -> bool:
        taken = [own.get(int(one), cutoff) for one in row.routes.split()] if own else []
        return bool(row.received_at < min(taken, default=cutoff))

    old = [
        row for row in rows if row.organization == organization and row.disposition and not row.waiting and is_old(row)
    ]
    if old:
        ids = [row.id for row in old]
        connection.execute(body.delete().where(body.c.message.in_(ids)))
        ranges = [(row.first_delivery, row.first_delivery + row.deliveries) for row in old if row.deliveries]
        kept = (delivery.c.sealed.is_not(None), delivery.c.message.in_(ids))
        if ranges:
            near = delivery.c.id.between(min(first for first, _ in ranges), max(end for _, end in ranges))
            connection.execute(delivery.update().where(near, *kept).values(sealed=None))
    latest = max([cutoff, *own.values()])
    young = bool(rows) and all(row.received_at >= latest for row in rows)
    return len(old), None if len(rows) < limit or young else rows[-1].id
