"""Counts messages and deliveries of a time by endpoint, and by hour or day. Times are microseconds.

No index leads from a time to its messages (docs/decisions/0006), and where several processes write, ids are not in the
order of times. So an organization's are gone through by stretches of ids: no statement lasts, and no snapshot is held.
Deliveries are neighbours of their message's, so that only the ids between the first and the last one are looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from hilum.store.schema import delivery, message

STRETCH = 200_000
"""Ids of one statement: some 50 milliseconds of a database."""


class Received(NamedTuple):
    """`many` messages of an endpoint; `first` and `last` are ids of their deliveries, None where they have none."""

    endpoint: int
    disposition: int
    began: int  # when the hour or day began
    many: int
    first: int | None
    last: int | None


class Sent(NamedTuple):
    """`many` deliveries to a destination, of messages that came in at an endpoint."""

    endpoint: int
    destination: int
    state: int
    began: int  # when the hour or day began in which the message was received
    many: int


def last_message(connection: sa.Connection, organization: int) -> int:
    """The highest id; 0 where there is none."""
    newest = sa.select(sa.func.max(message.c.id)).where(message.c.organization == organization)
    return connection.execute(newest).scalar() or 0


def received(
    connection: sa.Connection, organization: int, since: int, until: int, size: int, after: int
) -> list[Received]:  # fmt: skip
    """Those with ids above `after` and at most STRETCH above it. `size`: of an hour or day."""
    return [Received._make(row) for row in connection.execute(receiving(organization, since, until, size, after))]


def receiving(organization: int, since: int, until: int, size: int, after: int) -> sa.Select[Any]:
    """The query behind `received`."""
    began = (message.c.received_at - message.c.received_at % size).label("began")
    columns = (
        message.c.endpoint, message.c.disposition, began, sa.func.count(), sa.func.min(message.c.first_delivery),
        sa.func.max(message.c.first_delivery + message.c.deliveries - 1),
    )  # fmt: skip
    where = (
        message.c.organization == organization, message.c.id > after, message.c.id <= after + STRETCH,
        message.c.received_at >= since, message.c.received_at < until,
    )  # fmt: skip
    return sa.select(*columns).where(*where).group_by(message.c.endpoint, message.c.disposition, sa.text("began"))


def sent(
    connection: sa.Connection, organization: int, since: int, until: int, size: int, after: int, last: int
) -> list[Sent]:  # fmt: skip
    """Of messages received in that time: ids above `after`, at most STRETCH above it and not above `last`."""
    query = sending(organization, since, until, size, after, last)
    return [Sent._make(row) for row in connection.execute(query)]


def sending(organization: int, since: int, until: int, size: int, after: int, last: int) -> sa.Select[Any]:
    """The query behind `sent`."""
    began = (message.c.received_at - message.c.received_at % size).label("began")
    columns = (message.c.endpoint, delivery.c.destination, delivery.c.state, began, sa.func.count())
    where = (
        delivery.c.organization == organization, delivery.c.id > after, delivery.c.id <= min(after + STRETCH, last),
        message.c.id == delivery.c.message, message.c.received_at >= since, message.c.received_at < until,
    )  # fmt: skip
    grouped = (message.c.endpoint, delivery.c.destination, delivery.c.state, sa.text("began"))
    return sa.select(*columns).where(*where).group_by(*grouped)
