"""Reads and keeps deliveries: what waits, what was parked, what became of them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.model.delivery import Attempt, Delivery, DeliveryState, Pending
from hilum.security.seal import Sealer
from hilum.store.hot import delivery_place
from hilum.store.schema import attempt, delivery, message, parked, progress


def attempt_place(owner: int, number: int) -> bytes:
    return b"attempt|%d|%d" % (owner, number)


def pending(connection: sa.Connection, destination: int, after: int, limit: int) -> list[Pending]:
    """What waits for a destination, parked ones left out, in order of id, above `after`."""
    query = _waiting().where(
        delivery.c.id > after, delivery.c.destination == destination, delivery.c.state == 0, ~_parked(destination)
    )
    return [_pending(row) for row in connection.execute(query.order_by(delivery.c.id).limit(limit))]


def waiting(connection: sa.Connection, destination: int, after: int) -> tuple[int, int]:
    """How many deliveries above `after` wait for a destination (parked ones left out), and the newest of them."""
    query = (
        sa.select(sa.func.count(), sa.func.max(delivery.c.id))
        .select_from(delivery)
        .where(
            delivery.c.id > after, delivery.c.destination == destination, delivery.c.state == 0, ~_parked(destination)
        )
    )
    count, newest = connection.execute(query).one()
    return count, newest or 0


def unparked(connection: sa.Connection, destination: int, lane: int, after: int, limit: int) -> list[Pending]:
    """The oldest parked deliveries of a lane with ids above `after`."""
    query = (
        _waiting()
        .join(parked, parked.c.delivery == delivery.c.id)
        .where(parked.c.destination == destination, parked.c.lane == lane, parked.c.delivery > after)
    )
    return [_pending(row) for row in connection.execute(query.order_by(delivery.c.id).limit(limit))]


def parked_lanes(connection: sa.Connection, destination: int) -> dict[int, int]:
    """How many deliveries each lane has parked."""
    query = sa.select(parked.c.lane, sa.func.count()).where(parked.c.destination == destination).group_by(parked.c.lane)
    return {row[0]: row[1] for row in connection.execute(query)}


def park(connection: sa.Connection, waiting: Iterable[Pending]) -> None:
    rows = [{"destination": one.destination, "lane": one.lane, "delivery": one.id} for one in waiting]
    if rows:
        connection.execute(parked.insert(), rows)


def unpark(connection: sa.Connection, settled: Iterable[int], destination: int, lane: int) -> None:
    connection.execute(
        parked.delete().where(
            parked.c.destination == destination, parked.c.lane == lane, parked.c.delivery.in_(list(settled))
        )
    )


def kept_body(connection: sa.Connection, sealer: Sealer, one: int) -> bytes | None:
    """The body that is stored with a delivery because its route cannot make it again."""
    sealed = connection.execute(sa.select(delivery.c.sealed).where(delivery.c.id == one)).scalar()
    return None if sealed is None else sealer.open(sealed, delivery_place(one))


def kept_bodies(connection: sa.Connection, sealer: Sealer, first: int | None, count: int) -> dict[int, bytes]:
    """The bodies that are stored with a message's deliveries, by their ids."""
    if first is None:
        return {}
    mine = (delivery.c.id >= first, delivery.c.id < first + count, delivery.c.sealed.is_not(None))
    rows = connection.execute(sa.select(delivery.c.id, delivery.c.sealed).where(*mine).order_by(delivery.c.id))
    return {row.id: sealer.open(row.sealed, delivery_place(row.id)) for row in rows}


def of_message(connection: sa.Connection, first: int | None, count: int) -> list[Delivery]:
    """The deliveries of a message, which are neighbours."""
    if first is None:
        return []
    query = sa.select(delivery).where(delivery.c.id >= first, delivery.c.id < first + count).order_by(delivery.c.id)
    return [view(row) for row in connection.execute(query)]


def attempts(connection: sa.Connection, sealer: Sealer, deliveries: Sequence[int]) -> list[Attempt]:
    """The attempts that did not succeed."""
    query = sa.select(attempt).where(attempt.c.delivery.in_(deliveries)).order_by(attempt.c.id)
    return [
        Attempt(
            row.delivery, row.number, row.started_at, row.duration, row.outcome,
            sealer.open(row.detail, attempt_place(row.delivery, row.number)).decode(errors="replace"),
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def add_attempts(connection: sa.Connection, sealer: Sealer, tried: Iterable[Attempt]) -> None:
    rows = [
        {
            "delivery": one.delivery, "number": one.number, "started_at": one.started_at, "duration": one.duration,
            "outcome": one.outcome,
            "detail": sealer.seal(one.detail.encode(errors="replace"), attempt_place(one.delivery, one.number)),
        }
        for one in tried
    ]  # fmt: skip
    if rows:
        connection.execute(attempt.insert(), rows)


def advance(connection: sa.Connection, marks: dict[int, tuple[int, int, int]]) -> None:
    """Write (watermark, delivered, failed) of destinations; the counts are added to those that stand."""
    for destination, (watermark, delivered, failed) in sorted(marks.items()):
        values = {
            "watermark": watermark,
            "delivered": progress.c.delivered + delivered,
            "failed": progress.c.failed + failed,
        }
        done = connection.execute(progress.update().where(progress.c.destination == destination).values(values))
        if not done.rowcount:
            connection.execute(
                progress.insert().values(
                    destination=destination, watermark=watermark, delivered=delivered, failed=failed
                )
            )


def standing(connection: sa.Connection) -> dict[int, tuple[int, int, int]]:
    """(watermark, delivered, failed) by destination."""
    return {
        row.destination: (row.watermark, row.delivered, row.failed) for row in connection.execute(sa.select(progress))
    }


def refuse(connection: sa.Connection, one: int) -> bool:
    """Turn a delivered delivery into a dead one."""
    where = (delivery.c.id == one, delivery.c.state == int(DeliveryState.DELIVERED))
    values = {"state": int(DeliveryState.DEAD), "detail": "refused after the commit"}
    return connection.execute(delivery.update().where(*where).values(values)).rowcount > 0


def discard(connection: sa.Connection, destination: int, reason: str) -> int:
    """Everything that waits for a destination ends as discarded. Returns how many."""
    where = (delivery.c.destination == destination, delivery.c.state == int(DeliveryState.PENDING))
    values = {"state": int(DeliveryState.DISCARDED), "detail": reason, "done_at": clock.micros()}
    done = connection.execute(delivery.update().where(*where).values(values)).rowcount
    connection.execute(parked.delete().where(parked.c.destination == destination))
    return done


def states(connection: sa.Connection, ids: Sequence[int]) -> dict[int, DeliveryState]:
    rows = connection.execute(sa.select(delivery.c.id, delivery.c.state).where(delivery.c.id.in_(ids)))
    return {one: DeliveryState(state) for one, state in rows}


def failed(connection: sa.Connection, organization: int, *, before: int | None, limit: int) -> list[Delivery]:
    """Deliveries that ended without being delivered, newest first."""
    query = sa.select(delivery).where(sa.literal_column("state > 1"), delivery.c.organization == organization)
    if before is not None:
        query = query.where(delivery.c.id < before)
    return [view(row) for row in connection.execute(query.order_by(delivery.c.id.desc()).limit(limit))]


def view(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id, message=row.message, organization=row.organization, destination=row.destination, route=row.route,
        ordinal=row.ordinal, shard=row.shard, position=row.position, lane=row.lane, state=DeliveryState(row.state),
        attempts=row.attempts, done_at=row.done_at, detail=row.detail,
    )  # fmt: skip


def counts(connection: sa.Connection, messages: Iterable[Any]) -> dict[int, Counter[DeliveryState]]:
    """How many deliveries of each of these message rows are in which state."""
    ranges: list[list[int]] = []
    for first, count in sorted((row.first_delivery, row.deliveries) for row in messages if row.deliveries):
        if ranges and ranges[-1][1] == first:  # neighbours share a range: a page of a list is one, mostly
            ranges[-1][1] = first + count
        else:
            ranges.append([first, first + count])
    found: dict[int, Counter[DeliveryState]] = {}
    if ranges:
        wanted = sa.or_(*(sa.and_(delivery.c.id >= first, delivery.c.id < end) for first, end in ranges))
        query = sa.select(delivery.c.message, delivery.c.state, sa.func.count()).where(wanted)
        for one, state, count in connection.execute(query.group_by(delivery.c.message, delivery.c.state)):
            found.setdefault(one, Counter())[DeliveryState(state)] = count
    return found


def queued(connection: sa.Connection, one: int) -> Pending | None:
    """A delivery as its lane carries it, whatever became of it."""
    row = connection.execute(_waiting().where(delivery.c.id == one)).first()
    return None if row is None else _pending(row)


def oldest(connection: sa.Connection, destination: int, after: int) -> int | None:
    """When what waits longest for a destination was received: above `after`, or parked."""
    waits = sa.or_(
        sa.and_(delivery.c.id > after, delivery.c.destination == destination, delivery.c.state == 0),
        delivery.c.id.in_(sa.select(sa.func.min(parked.c.delivery)).where(parked.c.destination == destination)),
    )
    query = sa.select(message.c.received_at).join(delivery, delivery.c.message == message.c.id).where(waits)
    found: int | None = connection.execute(query.order_by(delivery.c.id).limit(1)).scalar()
    return found


def _parked(destination: int) -> sa.Exists:
    mine = sa.and_(parked.c.destination == destination, parked.c.lane == delivery.c.lane)
    return sa.select(parked.c.delivery).where(mine, parked.c.delivery == delivery.c.id).exists()


def _waiting() -> sa.Select[Any]:
    def tried(*where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count()).where(attempt.c.delivery == delivery.c.id, *where).scalar_subquery()

    return sa.select(
        delivery,
        message.c.uuid.label("uuid"),
        message.c.received_at,
        tried().label("tried"),
        tried(attempt.c.outcome == "transient").label("answers"),
    ).join(message, message.c.id == delivery.c.message)


def _pending(row: sa.Row[Any]) -> Pending:
    return Pending(
        destination=row.destination, route=row.route, ordinal=row.ordinal, lane=row.lane, shard=row.shard,
        digest=row.digest, body=None, keep=row.sealed is not None, id=row.id, message=row.message,
        uuid=str(uuid.UUID(bytes=row.uuid)), organization=row.organization, queued_at=row.received_at,
        attempts=row.tried, answers=row.answers,
    )  # fmt: skip
