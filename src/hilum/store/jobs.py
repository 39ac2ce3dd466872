"""Keeps jobs: work that outlives a request."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.store.schema import job

JOB_TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"running"}),
    "running": frozenset({"running", "done", "failed"}),  # a restart takes up what was interrupted
    "done": frozenset(),
    "failed": frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One job row."""

    id: int
    uuid: str
    organization: int | None
    kind: str
    state: str
    arguments: dict[str, Any]
    result: dict[str, Any] | None
    actor: str
    created_at: int
    finished_at: int | None


def insert(
    connection: sa.Connection, kind: str, arguments: dict[str, Any], *, actor: str, organization: int | None = None
) -> int:
    values = {
        "uuid": uuid.uuid4(), "organization": organization, "kind": kind, "state": "waiting", "arguments": arguments,
        "actor": actor, "created_at": clock.micros(),
    }  # fmt: skip
    inserted: int = connection.execute(job.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    return inserted


def get(connection: sa.Connection, one: int) -> Job:
    return _view(connection.execute(sa.select(job).where(job.c.id == one)).one())


def find(connection: sa.Connection, identifier: uuid.UUID) -> Job | None:
    row = connection.execute(sa.select(job).where(job.c.uuid == identifier)).first()
    return None if row is None else _view(row)


def open_ones(connection: sa.Connection) -> list[Job]:
    """What waits or was interrupted, oldest first."""
    query = sa.select(job).where(sa.literal_column("state IN ('waiting', 'running')")).order_by(job.c.id)
    return [_view(row) for row in connection.execute(query)]


def begin(connection: sa.Connection, one: int) -> None:
    """Raises Conflict where the job has ended."""
    _move(connection, one, "running", {})


def finish(connection: sa.Connection, one: int, state: str, result: dict[str, Any]) -> None:
    """`state` is done or failed. Raises Conflict where the job does not run."""
    _move(connection, one, state, {"result": result, "finished_at": clock.micros()})


def _move(connection: sa.Connection, one: int, state: str, values: dict[str, Any]) -> None:
    before = [known for known, after in JOB_TRANSITIONS.items() if state in after]
    query = job.update().where(job.c.id == one, job.c.state.in_(before))
    if not connection.execute(query.values(state=state, **values)).rowcount:
        raise Conflict(f"job {one} cannot become {state}")


def _view(row: sa.Row[Any]) -> Job:
    return Job(
        row.id, str(row.uuid), row.organization, row.kind, row.state, row.arguments, row.result, row.actor,
        row.created_at, row.finished_at,
    )  # fmt: skip
