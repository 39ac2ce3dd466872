"""Deliveries as a table: a row for each way of a message to a destination."""

from __future__ import annotations

import sqlalchemy as sa

from hilum import clock
from hilum.model.delivery import DeliveryState
from hilum.model.identifier import text_of
from hilum.security.seal import Sealer
from hilum.store.listings import ends
from hilum.store.listings.listing import Listing, Rows, Window, moment, number, text
from hilum.store.schema import delivery, message


def joined(window: Window, seen: dict[int, str]) -> list[sa.ColumnElement[bool]]:
    """Conditions on deliveries and their messages: both ends within."""
    where = [
        delivery.c.organization == window.organization, message.c.id == delivery.c.message,
        message.c.received_at >= window.since, message.c.received_at < window.until,
    ]  # fmt: skip
    if window.studies is not None:
        where += [delivery.c.destination.in_(seen), message.c.endpoint.in_(seen)]
    return where


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    known, versions = ends.seen(connection, window), ends.routes(connection, window)
    columns = (
        delivery.c.id, message.c.uuid, message.c.received_at, delivery.c.destination, delivery.c.route,
        delivery.c.ordinal, delivery.c.state, delivery.c.attempts, delivery.c.done_at, delivery.c.detail,
    )  # fmt: skip
    query = sa.select(*columns).where(*joined(window, known), delivery.c.id > after).order_by(delivery.c.id)
    found = list(connection.execute(query.limit(limit)))
    rows = [
        (
            text_of(row.uuid), clock.iso(row.received_at), known.get(row.destination), versions.get(row.route),
            row.ordinal, DeliveryState(row.state).name.lower(), row.attempts,
            None if row.done_at is None else clock.iso(row.done_at), *([row.detail or None] if window.payload else []),
        )
        for row in found
    ]  # fmt: skip
    return rows, found[-1].id if len(found) == limit else None


LISTING = Listing(
    "deliveries", "Deliveries of messages", "messages:read",
    (
        text("message", "Message"), moment("received_at", "Received (UTC)"), text("destination", "Destination"),
        text("route", "Route and version"), number("ordinal", "Which output of the route"), text("state", "State"),
        number("attempts", "Attempts"), moment("done_at", "Ended (UTC)"),
    ),
    _read,
    (text("detail", "Last answer, or why it failed"),),
    "messages:payload",
)  # fmt: skip
