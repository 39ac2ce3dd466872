"""Attempts as a table: a row for each try of a delivery that did not succeed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.model.identifier import text_of
from hilum.security.seal import Sealer
from hilum.store.deliveries import attempt_place
from hilum.store.listings import ends
from hilum.store.listings.deliveries import joined
from hilum.store.listings.listing import Listing, Rows, Window, milliseconds, moment, number, text
from hilum.store.schema import attempt, delivery, message


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    known = ends.seen(connection, window)
    columns = (
        attempt.c.id, message.c.uuid, delivery.c.destination, attempt.c.delivery, attempt.c.number,
        attempt.c.started_at, attempt.c.duration, attempt.c.outcome, attempt.c.detail,
    )  # fmt: skip
    where = (*joined(window, known), attempt.c.delivery == delivery.c.id, attempt.c.id > after)
    found = list(connection.execute(sa.select(*columns).where(*where).order_by(attempt.c.id).limit(limit)))
    rows = [
        (
            text_of(row.uuid), known.get(row.destination), row.number, clock.iso(row.started_at), row.duration / 1000,
            row.outcome, *_detail(row, sealer, window),
        )
        for row in found
    ]  # fmt: skip
    return rows, found[-1].id if len(found) == limit else None


def _detail(row: Any, sealer: Sealer, window: Window) -> tuple[str, ...]:
    """A partner's answer may name a patient."""
    if not window.payload:
        return ()
    return (sealer.open(row.detail, attempt_place(row.delivery, row.number)).decode(errors="replace"),)


LISTING = Listing(
    "attempts", "Attempts that did not succeed", "messages:read",
    (
        text("message", "Message"), text("destination", "Destination"), number("number", "Which attempt"),
        moment("started_at", "Begun (UTC)"), milliseconds("duration_ms", "Milliseconds"), text("outcome", "Outcome"),
    ),
    _read,
    (text("detail", "What the partner answered"),),
    "messages:payload",
)  # fmt: skip
