"""Keeps data sets: names in a study, the versions of each, and where a version's Parquet file lies."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.security.envelope import Place
from hilum.store import versions
from hilum.store.schema_datasets import dataset, dataset_version


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """One version of a data set, with what says whose it is. `document` is as `documents.written` makes it."""

    dataset: uuid.UUID
    organization: int
    study: int
    name: str
    newest: int
    version: int  # of the data set's row
    id: int
    uuid: uuid.UUID
    number: int
    rows: int
    size: int
    sha256: bytes
    document: dict[str, Any]
    provenance: dict[str, Any]
    sealed: bytes
    key: int
    created_at: int

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"dataset/{self.dataset}"


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A version's file that was written, before a row names it."""

    uuid: uuid.UUID
    rows: int
    size: int
    sha256: bytes
    document: dict[str, Any]
    provenance: dict[str, Any]
    sealed: bytes
    key: int


def key_place(organization: int, version: uuid.UUID) -> Place:
    """Where the key of a version's file is sealed."""
    return Place(organization, "dataset_version", version)


def bound(organization: int, version: uuid.UUID) -> bytes:
    """What the file is bound to: in another organization's or version's place it does not open."""
    return Place(organization, "dataset_version", version, "file").bound(0)


def listed(
    connection: sa.Connection, organization: int, studies: frozenset[int] | None, offset: int, limit: int
) -> tuple[list[Version], int]:
    """The newest version of each, by study and name, and how many there are; `studies` not None: of these alone."""
    where = [dataset.c.organization == organization, dataset.c.archived_at.is_(None)]
    if studies is not None:
        where.append(dataset.c.study.in_(studies))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(dataset).where(*where)).scalar_one()
    query = _SELECT.where(*where, dataset_version.c.number == dataset.c.newest)
    rows = connection.execute(query.order_by(dataset.c.study, dataset.c.name).offset(offset).limit(limit))
    return [_view(row) for row in rows], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID, number: int | None = None) -> Version:
    """A version, the newest where none is said. Raises NotFound."""
    wanted = dataset.c.newest if number is None else number
    where = (dataset.c.organization == organization, dataset.c.uuid == identifier, dataset.c.archived_at.is_(None))
    row = connection.execute(_SELECT.where(*where, dataset_version.c.number == wanted)).first()
    if row is None:
        what = f"data set {identifier}" if number is None else f"version {number} of data set {identifier}"
        raise NotFound(f"there is no {what}")
    return _view(row)


def named(connection: sa.Connection, organization: int, study: int, name: str) -> Version | None:
    """The newest version of the data set of that name."""
    where = (dataset.c.organization == organization, dataset.c.study == study, dataset.c.name == name)
    live = (dataset.c.archived_at.is_(None), dataset_version.c.number == dataset.c.newest)
    row = connection.execute(_SELECT.where(*where, *live)).first()
    return None if row is None else _view(row)


def history(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> list[Version]:
    """Every version, the newest first. Raises NotFound."""
    find(connection, organization, identifier)
    where = (dataset.c.organization == organization, dataset.c.uuid == identifier)
    return [_view(row) for row in connection.execute(_SELECT.where(*where).order_by(dataset_version.c.number.desc()))]


def put(connection: sa.Connection, organization: int, study: int, name: str, made: Made) -> Version:
    """A new data set, or a new version of the one that has this name; an archived one comes back."""
    now = clock.micros()
    where = (dataset.c.organization == organization, dataset.c.study == study, dataset.c.name == name)
    known = connection.execute(sa.select(dataset).where(*where)).first()
    number = 1 if known is None else known.newest + 1
    if known is None:
        values = {"uuid": new(now), "organization": organization, "study": study, "name": name, "created_at": now}
        done = connection.execute(dataset.insert().values(**values, newest=number, version=1).returning(dataset.c.id))
        row = done.scalar_one()
    else:
        row = known.id
        versions.advance(connection, dataset, row, known.version, newest=number, archived_at=None)
    connection.execute(
        dataset_version.insert().values(
            organization=organization, dataset=row, number=number, created_at=now, **_values(made)
        )
    )
    found = named(connection, organization, study, name)
    assert found is not None  # noqa: S101 - it was put there just now
    return found


def archive(connection: sa.Connection, one: Version) -> Change:
    """It is not listed any more; its files stay, for an import of its name brings it back. Raises Stale."""
    row = connection.execute(sa.select(dataset.c.id).where(dataset.c.uuid == one.dataset)).scalar_one()
    versions.advance(connection, dataset, row, one.version, archived_at=clock.micros())
    return Change(None, one.entity, shown(one), None)


def files_of(connection: sa.Connection, organization: int) -> list[uuid.UUID]:
    """Every version that has a file."""
    query = sa.select(dataset_version.c.uuid).where(dataset_version.c.organization == organization)
    return list(connection.execute(query).scalars())


def shown(one: Version) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {"name": one.name, "number": one.number, "rows": one.rows, "sha256": one.sha256.hex(), **one.provenance}


def _values(made: Made) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}


_SELECT = sa.select(
    dataset.c.uuid.label("dataset"), dataset.c.study, dataset.c.name, dataset.c.newest, dataset.c.version,
    *(column for column in dataset_version.c if column.name != "dataset"),
).join_from(dataset, dataset_version, dataset_version.c.dataset == dataset.c.id)  # fmt: skip


def _view(row: sa.Row[Any]) -> Version:
    return Version(**row._mapping)
