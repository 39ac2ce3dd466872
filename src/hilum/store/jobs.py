"""Keeps jobs: work that outlives a request."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.store.prepared import Prepared, as_stored
from hilum.store.schema import job

JOB_TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"running"}),
    "running": frozenset({"running", "done", "failed"}),  # a restart takes up what was interrupted
    "done": frozenset(),
    "failed": frozenset(),
}

_MOST = 1_000  # jobs that are looked at in one go


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
        "uuid": as_stored(connection, uuid.uuid4()), "organization": organization, "kind": kind, "state": "waiting",
        "arguments": json.dumps(arguments), "actor": actor, "created_at": clock.micros(),
    }  # fmt: skip
    ((inserted,),) = _INSERT.all(connection, values)
    return int(inserted)


def get(connection: sa.Connection, one: int) -> Job:
    return _view(connection.execute(sa.select(job).where(job.c.id == one)).one())


def find(connection: sa.Connection, identifier: uuid.UUID) -> Job | None:
    row = connection.execute(sa.select(job).where(job.c.uuid == identifier)).first()
    return None if row is None else _view(row)


def open_ones(connection: sa.Connection) -> list[Job]:
    """What waits or was interrupted, oldest first."""
    query = sa.select(job).where(sa.literal_column("state IN ('waiting', 'running')")).order_by(job.c.id)
    return [_view(row) for row in connection.execute(query)]


def awaited(connection: sa.Connection, kinds: Collection[str], *, interrupted: bool) -> list[Job]:
    """Those of some kinds that wait, oldest first; `interrupted`: and those that an earlier run had begun."""
    statement = _OPEN if interrupted else _WAITING
    found = [dict(zip(_COLUMNS, row, strict=True)) for row in statement.all(connection, {"most": _MOST})]
    return [
        Job(**{**row, "uuid": str(_uuid(row["uuid"])), "arguments": _json(row["arguments"]), "result": None})
        for row in found
        if row["kind"] in kinds
    ]


def begin_all(connection: sa.Connection, several: list[int]) -> int:
    """`begin` for many, in one statement; how many could."""
    before = [known for known, after in JOB_TRANSITIONS.items() if "running" in after]
    where = (job.c.id.in_(several), job.c.state.in_(before))
    return connection.execute(job.update().where(*where).values(state="running")).rowcount


def begin(connection: sa.Connection, one: int) -> None:
    """Raises Conflict where the job has ended."""
    if not _BEGIN.change(connection, {"one": one}):
        raise Conflict(f"job {one} cannot become running")


def finish(connection: sa.Connection, one: int, state: str, result: dict[str, Any]) -> None:
    """`state` is done or failed. Raises Conflict where the job does not run."""
    values = {"one": one, "state_": state, "result_": json.dumps(result), "finished_at_": clock.micros()}
    if state not in JOB_TRANSITIONS["running"] or not _FINISH.change(connection, values):
        raise Conflict(f"job {one} cannot become {state}")


def _view(row: sa.Row[Any]) -> Job:
    return Job(
        row.id, str(row.uuid), row.organization, row.kind, row.state, row.arguments, row.result, row.actor,
        row.created_at, row.finished_at,
    )  # fmt: skip


_FIRST = ("uuid", "organization", "kind", "state", "arguments", "actor", "created_at")
_INSERT = Prepared(
    job.insert().values({name: sa.bindparam(name) for name in _FIRST}).returning(job.c.id)
)  # fmt: skip
_BEGIN = Prepared(
    job.update()
    .where(job.c.id == sa.bindparam("one"), sa.or_(job.c.state == "waiting", job.c.state == "running"))
    .values(state="running")
)
_FINISH = Prepared(
    job.update()
    .where(job.c.id == sa.bindparam("one"), job.c.state == "running")
    .values({name: sa.bindparam(f"{name}_") for name in ("state", "result", "finished_at")})
)
_COLUMNS = [one.name for one in dataclasses.fields(Job)]
_THERE: sa.ColumnElement[bool] = sa.literal_column("state IN ('waiting', 'running')")  # what the index is for
_OPENED = sa.select(*(job.c[name] for name in _COLUMNS)).where(_THERE).order_by(job.c.id).limit(sa.bindparam("most"))
_OPEN, _WAITING = Prepared(_OPENED), Prepared(_OPENED.where(job.c.state == "waiting"))


def _uuid(stored: uuid.UUID | str) -> uuid.UUID:
    return stored if isinstance(stored, uuid.UUID) else uuid.UUID(stored)


def _json(stored: Any) -> Any:
    """A file gives the text."""
    return json.loads(stored) if isinstance(stored, str) else stored
