"""Keeps imports of data sets: the file that came, until it was read, and what became of it."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.security.envelope import Place
from hilum.store import jobs
from hilum.store.schema_datasets import dataset_import

JOB = "dataset_import"
IMPORT_TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "failed"}),
    "running": frozenset({"running", "succeeded", "failed"}),  # a restart begins anew
    "succeeded": frozenset(),
    "failed": frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Import:
    """A row. `sealed` is the key of the file that came, while it is there."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int
    definition: dict[str, Any]
    status: str
    size: int
    sha256: bytes
    rows: int
    made: list[str]
    problem: dict[str, Any] | None
    sealed: bytes | None
    key: int | None
    asked_by: str
    created_at: int
    ended_at: int | None

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"dataset-import/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Came:
    """A file that was taken, sealed; the row comes with its job."""

    uuid: uuid.UUID
    study: int
    definition: dict[str, Any]
    size: int
    sha256: bytes
    sealed: bytes
    key: int


def key_place(organization: int, identifier: uuid.UUID) -> Place:
    """Where the key of the file is sealed."""
    return Place(organization, "dataset_import", identifier)


def bound(organization: int, identifier: uuid.UUID) -> bytes:
    """What the file is bound to."""
    return Place(organization, "dataset_import", identifier, "file").bound(0)


def ask(connection: sa.Connection, organization: int, actor: str, came: Came) -> Change:
    """A new one, and the job that reads it."""
    values = {field.name: getattr(came, field.name) for field in dataclasses.fields(came)}
    connection.execute(
        dataset_import.insert().values(
            organization=organization, status="queued", rows=0, made=[], problem=None, asked_by=actor,
            created_at=clock.micros(), **values,
        )
    )  # fmt: skip
    jobs.insert(connection, JOB, {"import": str(came.uuid)}, actor=actor, organization=organization)
    made = find(connection, organization, came.uuid)
    return Change(made, made.entity, None, {**came.definition, "bytes": came.size, "sha256": came.sha256.hex()})


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Import:
    """Raises NotFound."""
    where = (dataset_import.c.organization == organization, dataset_import.c.uuid == identifier)
    row = connection.execute(sa.select(dataset_import).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no import {identifier}")
    return _view(row)


def listed(
    connection: sa.Connection, organization: int, studies: frozenset[int] | None, offset: int, limit: int
) -> tuple[list[Import], int]:
    """The newest first, and how many there are; `studies` not None: of these alone."""
    where = [dataset_import.c.organization == organization]
    if studies is not None:
        where.append(dataset_import.c.study.in_(studies))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(dataset_import).where(*where)).scalar_one()
    query = sa.select(dataset_import).where(*where).order_by(dataset_import.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def begin(connection: sa.Connection, one: Import) -> None:
    """Raises Conflict where it has ended."""
    _move(connection, one, "running", {"rows": 0})


def progress(connection: sa.Connection, one: Import, rows: int) -> None:
    connection.execute(dataset_import.update().where(dataset_import.c.id == one.id).values(rows=rows))


def end(connection: sa.Connection, one: Import, made: list[str], rows: int, problem: dict[str, Any] | None) -> None:
    """All of it is there, or (a problem) nothing; the key of the file is forgotten. Raises Conflict."""
    state = "succeeded" if problem is None else "failed"
    values = {"made": made, "rows": rows, "problem": problem, "sealed": None, "key": None, "ended_at": clock.micros()}
    _move(connection, one, state, values)


def open_ones(connection: sa.Connection, organization: int) -> list[uuid.UUID]:
    """Those whose file is still needed."""
    where = (dataset_import.c.organization == organization, dataset_import.c.sealed.is_not(None))
    return list(connection.execute(sa.select(dataset_import.c.uuid).where(*where)).scalars())


def _move(connection: sa.Connection, one: Import, status: str, values: dict[str, Any]) -> None:
    before = [known for known, after in IMPORT_TRANSITIONS.items() if status in after]
    where = (dataset_import.c.id == one.id, dataset_import.c.status.in_(before))
    if not connection.execute(dataset_import.update().where(*where).values(status=status, **values)).rowcount:
        raise Conflict(f"the import {one.uuid} cannot become {status}")


def _view(row: sa.Row[Any]) -> Import:
    return Import(**row._mapping)
