"""The activity log as a table: a row for each execution, failed attempt and connectivity test."""

from __future__ import annotations

import sqlalchemy as sa

from hilum import clock
from hilum.security.seal import Sealer
from hilum.store import activity_log
from hilum.store.listings import ends
from hilum.store.listings.listing import Listing, Rows, Window, milliseconds, moment, number, text
from hilum.store.schema import integration
from hilum.store.schema_activity import activity_log as log
from hilum.store.schema_activity import execution


def _read(connection: sa.Connection, sealer: Sealer, window: Window, after: int, limit: int) -> Rows:
    known = ends.seen(connection, window)
    where = [
        log.c.organization == window.organization, log.c.id > after, log.c.stamp >= window.since,
        log.c.stamp < window.until, integration.c.id == log.c.integration,
    ]  # fmt: skip
    if window.studies is not None:
        where.append(integration.c.study.in_(window.studies))
    ran = sa.select(execution.c.uuid).where(execution.c.id == log.c.execution).scalar_subquery().label("ran")
    query = sa.select(log, integration.c.name.label("owner"), ran).where(*where).order_by(log.c.id).limit(limit)
    found = list(connection.execute(query))
    rows = [
        (
            str(row.uuid), clock.iso(row.stamp), row.owner, known.get(row.endpoint), row.kind, row.level, row.outcome,
            row.status, row.status_code, None if row.duration is None else row.duration / 1000, row.attempt, row.fault,
            row.correlation or None, None if row.ran is None else str(row.ran),
            None if row.error is None else sealer.open(bytes(row.error), activity_log.place(row.uuid)).decode(),
        )
        for row in found
    ]  # fmt: skip
    return rows, found[-1].id if len(found) == limit else None


LISTING = Listing(
    "logs", "Activity of integrations", "logs:read",
    (
        text("id", "Entry"), moment("at", "When (UTC)"), text("integration", "Integration"),
        text("endpoint", "Endpoint"),
        text("kind", "Execution, test or check"), text("level", "Level"), text("outcome", "Outcome"),
        text("status", "Status"), number("status_code", "Status code"), milliseconds("duration_ms", "Milliseconds"),
        number("attempt", "Which attempt; 0: of no single one"), text("fault", "Class of the failure"),
        text("correlation_id", "Correlation id"), text("execution", "Execution"),
        text("error", "What the partner said"),
    ),
    _read,
)  # fmt: skip
