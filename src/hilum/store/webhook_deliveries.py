"""Keeps each event's way to each subscription: queued with the outbox's watermark, tried, replayed, forgotten."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.model.webhook import TEST, DeliveryState, told
from hilum.security.seal import Sealer
from hilum.store import webhook_subscriptions
from hilum.store.outbox import Note
from hilum.store.schema import integration, setting
from hilum.store.schema_people import certificate, credential, study
from hilum.store.schema_webhooks import webhook_attempt, webhook_delivery, webhook_subscription
from hilum.store.webhook_subscriptions import Subscription

_WATERMARK = "webhook_outbox"
_STUDIES = {"integration": integration, "credential": credential, "certificate": certificate}


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """A row. Times are microseconds; `sealed` is the body."""

    id: int
    uuid: uuid.UUID
    organization: int
    subscription: int
    type: str
    stamp: int
    state: DeliveryState
    attempts: int
    earlier: int
    next_at: int
    status: int | None
    sealed: bytes = dataclasses.field(repr=False)
    ended_at: int | None

    @property
    def place(self) -> bytes:
        """What its body is sealed for."""
        return b"webhook_delivery|" + self.uuid.bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """A try. `duration`: microseconds; `detail` is sealed: the receiver's words."""

    number: int
    started_at: int
    duration: int
    status: int | None
    detail: bytes


def watermark(connection: sa.Connection) -> int | None:
    """The outbox row up to which everything was queued; None: nobody ever looked."""
    found: str | None = connection.execute(
        sa.select(setting.c.value).where(setting.c.name == _WATERMARK)
    ).scalar()  # fmt: skip
    return None if found is None else int(found)


def queue(connection: sa.Connection, sealer: Sealer, notes: Sequence[Note], through: int) -> int:
    """A delivery for each event and each subscription that wants it, and the watermark: all, or none; how many.

    An event that was queued before is left alone, so that looking back a little repeats nothing.
    """
    made = 0
    everybody = webhook_subscriptions.active(connection)
    for owner in {one.organization for one in everybody}:
        wanting = [one for one in everybody if one.organization == owner]
        theirs = [note for note in notes if note.organization == owner]
        studies = _studies(connection, owner, theirs) if any(one.study is not None for one in wanting) else {}
        for note in theirs:
            for one in wanting:
                if note.stamp <= one.since or not told(note.topic, one.events):
                    continue
                if one.study is None or studies.get(note.entity) == one.study:
                    made += _queue(connection, sealer, one, note.id, note.topic, note.entity, note.stamp)
    values = {"value": str(through)}
    if not connection.execute(setting.update().where(setting.c.name == _WATERMARK).values(values)).rowcount:
        connection.execute(setting.insert().values(name=_WATERMARK, **values))
    return made


def test(connection: sa.Connection, sealer: Sealer, one: Subscription) -> Change:
    """Queue an event that means nothing."""
    now = clock.micros()
    _queue(connection, sealer, one, None, TEST, webhook_subscriptions.entity(one), now)
    table = webhook_delivery
    query = sa.select(table).where(table.c.subscription == one.id).order_by(table.c.id.desc()).limit(1)
    return Change(_view(connection.execute(query).one()), webhook_subscriptions.entity(one))


def due(connection: sa.Connection, now: int, busy: Collection[int], limit: int) -> list[Delivery]:
    """What is to be tried by now, of active subscriptions that are not `busy`: the oldest first."""
    table, owner = webhook_delivery, webhook_subscription
    query = (
        sa.select(table)
        .join(owner, owner.c.id == table.c.subscription)
        .where(table.c.state == sa.literal_column("'waiting'"), table.c.next_at <= now)
        .where(owner.c.state == "active", owner.c.archived_at.is_(None), table.c.subscription.not_in(busy))
        .order_by(table.c.next_at, table.c.id)
        .limit(limit)
    )
    return [_view(row) for row in connection.execute(query)]


def settle(
    connection: sa.Connection, one: Delivery, attempt: Attempt, state: DeliveryState, next_at: int | None
) -> bool:
    """Write a try down, and where the delivery stands after it. False: it was replayed or settled meanwhile."""
    table, ended = webhook_delivery, state is not DeliveryState.WAITING
    values = {
        "state": state, "attempts": attempt.number, "status": attempt.status,
        "next_at": one.next_at if next_at is None else next_at,
        "ended_at": attempt.started_at + attempt.duration if ended else None,
    }  # fmt: skip
    mine = (table.c.id == one.id, table.c.state == DeliveryState.WAITING, table.c.attempts == one.attempts)
    if not connection.execute(table.update().where(*mine).values(values)).rowcount:
        return False
    row = {"organization": one.organization, "delivery": one.id, **dataclasses.asdict(attempt)}
    connection.execute(webhook_attempt.insert().values(row))
    return True


def listed(
    connection: sa.Connection, subscription: int, state: DeliveryState | None, since: int | None, until: int | None,
    offset: int, limit: int,
) -> tuple[list[Delivery], int]:  # fmt: skip
    """The newest first, and how many there are; `since` and `until` are of the events."""
    table, where = webhook_delivery, _between(subscription, state, since, until)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
    query = sa.select(table).where(*where).order_by(table.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, subscription: int, identifier: uuid.UUID) -> tuple[Delivery, list[Attempt]]:
    """With its tries. Raises NotFound."""
    table, tries = webhook_delivery, webhook_attempt
    where = (table.c.subscription == subscription, table.c.uuid == identifier)
    row = connection.execute(sa.select(table).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no delivery {identifier}")
    query = sa.select(tries).where(tries.c.delivery == row.id).order_by(tries.c.id)
    attempts = [
        Attempt(one.number, one.started_at, one.duration, one.status, one.detail)
        for one in connection.execute(query)
    ]  # fmt: skip
    return _view(row), attempts


def replay(
    connection: sa.Connection, one: Subscription, state: DeliveryState | None, since: int | None, until: int | None,
    identifier: uuid.UUID | None = None,
) -> Change:  # fmt: skip
    """Try them again from now, with the ids and bodies that they have: one, or all of a range; how many."""
    table, where = webhook_delivery, _between(one.id, state, since, until)
    if identifier is not None:
        where.append(table.c.uuid == identifier)
    values = {"state": DeliveryState.WAITING, "earlier": table.c.attempts, "next_at": clock.micros(), "ended_at": None}
    count = connection.execute(table.update().where(*where).values(values)).rowcount
    times = {"since": since, "until": until}
    told_by = {"deliveries": count, "state": state,
               **{name: None if at is None else clock.iso(at) for name, at in times.items()}}  # fmt: skip
    chosen = {"delivery": str(identifier)} if identifier is not None else {
        name: value for name, value in told_by.items() if value is not None
    }  # fmt: skip
    return Change(count, webhook_subscriptions.entity(one), None, chosen)


def hurry(connection: sa.Connection, subscription: int) -> None:
    """What waits is tried now: its subscription is active again."""
    table = webhook_delivery
    mine = (table.c.subscription == subscription, table.c.state == DeliveryState.WAITING)
    connection.execute(table.update().where(*mine).values(next_at=clock.micros()))


def _queue(
    connection: sa.Connection, sealer: Sealer, one: Subscription, event: int | None, topic: str, entity: str, stamp: int
) -> int:
    table = webhook_delivery
    if event is not None:
        same = (table.c.subscription == one.id, table.c.event == event)
        if connection.execute(sa.select(table.c.id).where(*same)).first() is not None:
            return 0
    now = clock.micros()
    identifier = new(now)
    noun, _, name = entity.partition("/")
    body = json.dumps(
        {"type": topic, "timestamp": clock.iso(stamp), "data": {"entity": entity, "noun": noun, "id": name or None}},
        separators=(",", ":"),
    ).encode()
    row = {
        "uuid": identifier, "organization": one.organization, "subscription": one.id, "event": event, "type": topic,
        "stamp": stamp, "state": DeliveryState.WAITING, "attempts": 0, "earlier": 0, "next_at": now,
        "sealed": sealer.seal(body, b"webhook_delivery|" + identifier.bytes),
    }  # fmt: skip
    connection.execute(table.insert().values(row))
    return 1


def _studies(connection: sa.Connection, organization: int, notes: Sequence[Note]) -> Mapping[str, int | None]:
    """Which study each entity belongs to; those of which nobody knows are left out, so that no study is told."""
    found: dict[str, int | None] = {}
    wanted: dict[str, dict[uuid.UUID, str]] = {}
    for note in notes:
        noun, _, name = note.entity.partition("/")
        if noun in _STUDIES or noun == "study":
            wanted.setdefault(noun, {})[uuid.UUID(name)] = note.entity
    for noun, entities in wanted.items():
        table = _STUDIES.get(noun, study)
        column = study.c.id if table is study else table.c.study
        where = (table.c.organization == organization, table.c.uuid.in_(list(entities)))
        for row in connection.execute(sa.select(table.c.uuid, column.label("study")).where(*where)):
            found[entities[row.uuid]] = row.study
    return found


def _between(
    subscription: int, state: DeliveryState | None, since: int | None, until: int | None
) -> list[sa.ColumnElement[bool]]:
    table = webhook_delivery
    where: list[sa.ColumnElement[bool]] = [table.c.subscription == subscription]
    if state is not None:
        where.append(table.c.state == state)
    if since is not None:
        where.append(table.c.stamp >= since)
    if until is not None:
        where.append(table.c.stamp < until)
    return where


def _view(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        row.id, row.uuid, row.organization, row.subscription, row.type, row.stamp, DeliveryState(row.state),
        row.attempts, row.earlier, row.next_at, row.status, row.sealed, row.ended_at,
    )  # fmt: skip
