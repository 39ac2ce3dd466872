"""Messages as a table: a row for what was received, with its body where that is asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import StoreError
from hilum.model.identifier import text_of
from hilum.model.message import Disposition
from hilum.security.seal import Sealer
from hilum.store import messages
from hilum.store.listings import ends
from hilum.store.listings.listing import Listing, Rows, Window, moment, number, text, yes
from hilum.store.schema import message


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    known = ends.seen(connection, window)
    where = [message.c.organization == window.organization, message.c.id > after]
    if window.studies is not None:
        where.append(message.c.endpoint.in_(known))
    where += [message.c.received_at >= window.since, message.c.received_at < window.until]
    found = list(connection.execute(sa.select(message).where(*where).order_by(message.c.id).limit(limit)))
    origins = messages.uuids(connection, [row.origin for row in found if row.origin is not None])
    bodies = messages.bodies(connection, sealer, [row.id for row in found]) if window.payload else {}
    rows = []
    for row in found:
        told: tuple[Any, ...] = (
            text_of(row.uuid), clock.iso(row.received_at), known.get(row.endpoint),
            Disposition(row.disposition).name.lower(),
            row.ack or None, row.type or None, row.control_id or None, row.body_hash.hex(), row.deliveries,
            None if row.origin is None else origins.get(row.origin), bool(row.synthetic),
        )  # fmt: skip
        rows.append(told + _payload(row, sealer, bodies.get(row.id)) if window.payload else told)
    return rows, found[-1].id if len(found) == limit else None


def _payload(row: sa.Row[Any], sealer: Sealer, body: bytes | None) -> tuple[Any, ...]:
    """Note, attributes, and the body: as text where it is UTF-8, else its bytes as Base64."""
    try:
        note, attributes = messages.noted(row, sealer)
    except StoreError:
        note, attributes = "this note does not open", {}
    told = (note or None, json.dumps(attributes, ensure_ascii=False, sort_keys=True) if attributes else None)
    if body is None:
        return (*told, None, None)
    try:
        return (*told, body.decode("utf-8"), None)
    except UnicodeDecodeError:
        return (*told, None, base64.b64encode(body).decode())


LISTING = Listing(
    "messages", "Messages received", "messages:read",
    (
        text("id", "Message"), moment("received_at", "Received (UTC)"), text("endpoint", "Endpoint"),
        text("disposition", "What the pipeline decided"), text("ack", "Acknowledgement code"),
        text("type", "Type (MSH-9)"), text("control_id", "Control id (MSH-10)"), text("sha256", "SHA-256 of the body"),
        number("deliveries", "Deliveries"), text("origin", "Message that it replays"),
        yes("synthetic", "Is it a test's?"),
    ),
    _read,
    (text("note", "Why it stands so"), text("attributes", "Attributes"), text("body", "Body (UTF-8)"),
     text("body_base64", "Body that is no UTF-8 (Base64)")),
    "messages:payload",
)  # fmt: skip
