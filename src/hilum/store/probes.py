"""Keeps what connectivity tests found, the last one of each endpoint above all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.security.seal import Sealer
from hilum.store.schema_activity import probe_result

TLS = "tlsVersion"
"""Where `told` says what was negotiated; it is null, or not there, where nothing was."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probed:
    """One result. `stamp` and `duration` are microseconds; `told` is all of it, as document 003 shapes it."""

    endpoint: int
    success: bool
    duration: int | None
    status_code: int | None
    fault: str | None
    told: dict[str, Any]
    stamp: int = 0


def insert(
    connection: sa.Connection, sealer: Sealer, organization: int, number: int, kind: str, found: Iterable[Probed]
) -> None:
    """Those of an integration. `kind`: test or check."""
    now = clock.micros()
    rows = [
        {"organization": organization, "integration": number, "endpoint": one.endpoint, "stamp": now, "kind": kind,
         "success": int(one.success), "duration": one.duration, "status_code": one.status_code, "fault": one.fault,
         "told": sealer.seal(json.dumps(one.told).encode(), _place(organization, one.endpoint))}
        for one in found
    ]  # fmt: skip
    if rows:
        connection.execute(probe_result.insert(), rows)


def latest(connection: sa.Connection, sealer: Sealer, organization: int, number: int) -> dict[int, Probed]:
    """The last one of each endpoint, by its number."""
    where = (probe_result.c.organization == organization, probe_result.c.integration == number)
    newest = sa.select(sa.func.max(probe_result.c.id)).where(*where).group_by(probe_result.c.endpoint)
    rows = connection.execute(sa.select(probe_result).where(probe_result.c.id.in_(newest)))
    return {
        row.endpoint: Probed(
            row.endpoint, bool(row.success), row.duration, row.status_code, row.fault,
            told(sealer, organization, row), row.stamp,
        )
        for row in rows
    }  # fmt: skip


def told(sealer: Sealer, organization: int, row: sa.Row[Any]) -> dict[str, Any]:
    """What is sealed in a row."""
    found: dict[str, Any] = json.loads(sealer.open(bytes(row.told), _place(organization, row.endpoint)))
    return found


def _place(organization: int, endpoint: int) -> bytes:
    return b"probe_result|%d|%d" % (organization, endpoint)
