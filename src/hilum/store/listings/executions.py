"""Executions as a table: a row for each request to an endpoint that was asked for through the API."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.model.access import Scope
from hilum.security.seal import Sealer
from hilum.store import executions
from hilum.store.executions import Stored
from hilum.store.listings.listing import Listing, Rows, Window, milliseconds, moment, number, text, yes


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    scope = Scope(window.organization, window.studies)
    times = executions.Wanted(since=window.since, until=window.until)
    found = executions.above(connection, sealer, scope, times, after, limit, payload=window.payload)
    rows = [_row(one, window) for one in found]
    return rows, found[-1].id if len(found) == limit else None


def _row(one: Stored, window: Window) -> tuple[Any, ...]:
    integration, _, endpoint = one.reference.partition("/")
    told = (
        str(one.uuid), integration, endpoint, str(one.status), clock.iso(one.started_at),
        None if one.ended_at is None else clock.iso(one.ended_at),
        None if one.duration is None else one.duration / 1000, one.status_code, one.fault, one.attempts,
        one.correlation or None, one.actor, one.synthetic,
    )  # fmt: skip
    if not window.payload:
        return told
    return (*told, *(_json(each) for each in (one.request, one.response, one.told)))


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


LISTING = Listing(
    "executions", "Requests to endpoints", "executions:read",
    (
        text("id", "Execution"), text("integration", "Integration"), text("endpoint", "Endpoint"),
        text("status", "Status"), moment("started_at", "Begun (UTC)"), moment("ended_at", "Ended (UTC)"),
        milliseconds("duration_ms", "Milliseconds, pauses included"), number("status_code", "Status code"),
        text("fault", "Class of the failure"), number("attempts", "Attempts"), text("correlation_id", "Correlation id"),
        text("actor", "Who asked"), yes("synthetic", "Is it a test's?"),
    ),
    _read,
    (text("request", "What was sent (JSON)"), text("response", "What was answered (JSON)"),
     text("told", "Why it failed, and its attempts (JSON)")),
    "executions:payload",
)  # fmt: skip
