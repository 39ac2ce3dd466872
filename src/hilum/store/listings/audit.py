"""The audit trail as a table: a row for each event, with its place and hash in the organization's chain."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from hilum.security.seal import Sealer
from hilum.store import audit
from hilum.store.listings.listing import Listing, Rows, Window, moment, number, text


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    wanted = audit.EventFilter(since=window.since, until=window.until)
    found = audit.above(connection, window.organization, wanted, after, limit)
    rows = []
    for one in found:
        event: dict[str, Any] = one.document
        actor = event["actor"]
        rows.append((
            event["id"], one.position, None if one.hash is None else one.hash.hex(), event["time"], actor["kind"],
            actor["id"], actor["name"], event["action"], event["entity"] or None, event["outcome"],
            event.get("reason"), event.get("code"), event.get("error"), event["source"] or None,
            event["request_id"] or None, json.dumps(event, ensure_ascii=False, sort_keys=True),
        ))  # fmt: skip
    return rows, found[-1].id if len(found) == limit else None


LISTING = Listing(
    "audit", "Audit trail", "audit:read",
    (
        text("id", "Event"), number("position", "Place in the chain"), text("sha256", "Hash in the chain"),
        moment("at", "When (UTC)"), text("actor_kind", "What acted"), text("actor", "Who acted (id)"),
        text("actor_name", "Who acted (name)"), text("action", "Action"), text("entity", "Entity"),
        text("outcome", "Outcome"), text("reason", "Reason"), text("code", "Error code"), text("error", "Error"),
        text("source", "From where"), text("request_id", "Request"), text("document", "The whole event (JSON)"),
    ),
    _read,
    by_study=False,
)  # fmt: skip
