"""Keeps exports: what was asked for, how far it is, the file that was made and until when it can be fetched."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.model.export import EXPORT_TRANSITIONS, READY, ExportStatus
from hilum.model.identifier import new
from hilum.model.retention import DAY
from hilum.security.envelope import Place
from hilum.store import jobs
from hilum.store.schema_datasets import export

JOB = "export"
LASTS = 7 * DAY  # microseconds that a file may be fetched (ledger S1-29)


@dataclasses.dataclass(frozen=True, slots=True)
class Export:
    """A row. `sealed` is the key of its file."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    kind: str
    definition: dict[str, Any]
    status: str
    rows: int | None
    done: int
    aside: int
    file: str
    media_type: str
    size: int | None
    sha256: bytes | None
    sealed: bytes | None
    key: int | None
    warnings: list[str]
    problem: dict[str, Any] | None
    downloads: int
    asked_by: str
    asked_name: str
    created_at: int
    started_at: int | None
    ended_at: int | None
    expires_at: int | None
    version: int

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"export/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for."""

    study: int | None
    kind: str
    definition: dict[str, Any]
    file: str
    media_type: str
    asked_by: str
    asked_name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """The file that was made. `size` and `sha256` are of what is downloaded, not of how it lies there."""

    size: int
    sha256: bytes
    sealed: bytes
    key: int
    rows: int
    aside: int
    file: str
    media_type: str
    warnings: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Which exports a list shows; None: any. Times are microseconds."""

    status: str | None = None
    kind: str | None = None
    format: str | None = None
    asked_by: str | None = None
    since: int | None = None
    until: int | None = None


def file_name(text: str) -> str:
    """What a file may be called in a header, a ZIP and a folder, whatever a data set is called."""
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).lstrip(".")[-120:] or "export"


def key_place(organization: int, identifier: uuid.UUID) -> Place:
    """Where the key of an export's file is sealed."""
    return Place(organization, "export", identifier)


def bound(organization: int, identifier: uuid.UUID) -> bytes:
    """What the file is bound to."""
    return Place(organization, "export", identifier, "file").bound(0)


def ask(connection: sa.Connection, organization: int, wanted: Wanted, most: int) -> Change:
    """A new one, and the job that makes it. Raises Conflict where `most` of the organization's have not ended yet."""
    open_ones = sa.select(sa.func.count()).where(
        export.c.organization == organization, export.c.status.in_((ExportStatus.QUEUED, ExportStatus.RUNNING))
    )
    if connection.execute(open_ones).scalar_one() >= most:
        raise Conflict(f"{most} exports of this organization are at work already; wait until one ends, or cancel it")
    now = clock.micros()
    identifier = new(now)
    values = {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}
    connection.execute(
        export.insert().values(
            uuid=identifier, organization=organization, status=ExportStatus.QUEUED, done=0, aside=0, warnings=[],
            downloads=0, created_at=now, version=1, **values,
        )
    )  # fmt: skip
    return Change(_queue(connection, organization, identifier), f"export/{identifier}", None, wanted.definition)


def again(connection: sa.Connection, one: Export) -> Change:
    """What failed or was cancelled is made once more, under its own name and time. Raises Conflict."""
    empty: dict[str, Any] = {"problem": None, "warnings": [], "started_at": None, "ended_at": None}
    _move(connection, one, ExportStatus.QUEUED, {"done": 0, "aside": 0, **empty})
    made = _queue(connection, one.organization, one.uuid)
    return Change(made, one.entity, {"status": one.status}, {"status": made.status})


def _queue(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Export:
    made = find(connection, organization, identifier)
    jobs.insert(connection, JOB, {"export": str(identifier)}, actor=made.asked_by, organization=organization)
    return made


def listed(
    connection: sa.Connection, organization: int, studies: frozenset[int] | None, wanted: Filter, offset: int,
    limit: int,
) -> tuple[list[Export], int]:  # fmt: skip
    """The newest first, and how many there are; `studies` not None: of these alone."""
    where = [export.c.organization == organization]
    if studies is not None:
        where.append(export.c.study.in_(studies))
    same = {"status": export.c.status, "kind": export.c.kind, "asked_by": export.c.asked_by}
    where += [same[name] == value for name in same if (value := getattr(wanted, name)) is not None]
    if wanted.format is not None:
        where.append(export.c.definition["format"].as_string() == wanted.format)
    if wanted.since is not None:
        where.append(export.c.created_at >= wanted.since)
    if wanted.until is not None:
        where.append(export.c.created_at < wanted.until)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(export).where(*where)).scalar_one()
    query = sa.select(export).where(*where).order_by(export.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Export:
    """Raises NotFound."""
    where = (export.c.organization == organization, export.c.uuid == identifier)
    row = connection.execute(sa.select(export).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no export {identifier}")
    return _view(row)


def begin(connection: sa.Connection, one: Export, rows: int | None) -> None:
    """Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.RUNNING, {"rows": rows, "done": 0, "started_at": clock.micros()})


def progress(connection: sa.Connection, one: Export, done: int) -> bool:
    """Whether it is still wanted."""
    where = (export.c.id == one.id, export.c.status == ExportStatus.RUNNING)
    return bool(connection.execute(export.update().where(*where).values(done=done)).rowcount)


def finish(connection: sa.Connection, one: Export, made: Written) -> Change:
    """Its file is there. Raises Conflict where it does not run."""
    now = clock.micros()
    status = ExportStatus.PARTIAL if made.aside else ExportStatus.SUCCEEDED
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    _move(connection, one, status, {**values, "done": made.rows, "ended_at": now, "expires_at": now + LASTS})
    after = {"status": status, "rows": made.rows, "set_aside": made.aside, "bytes": made.size}
    return Change(find(connection, one.organization, one.uuid), one.entity, None, after | {"sha256": made.sha256.hex()})


def fail(connection: sa.Connection, one: Export, problem: Mapping[str, Any]) -> Change:
    """Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.FAILED, {"problem": dict(problem), "ended_at": clock.micros()})
    return Change(None, one.entity, None, {"status": ExportStatus.FAILED, **problem})


def cancel(connection: sa.Connection, one: Export) -> Change:
    """Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.CANCELLED, {"ended_at": clock.micros()})
    now = find(connection, one.organization, one.uuid)
    return Change(now, one.entity, {"status": one.status}, {"status": now.status})


def expire(connection: sa.Connection, one: Export) -> Change:
    """Forget the key: from now on nobody opens the file. Raises Conflict where there is none."""
    _move(connection, one, ExportStatus.EXPIRED, {"sealed": None, "key": None})
    return Change(None, one.entity, {"status": one.status}, {"status": ExportStatus.EXPIRED})


def fetched(connection: sa.Connection, one: Export) -> None:
    """One more download."""
    connection.execute(export.update().where(export.c.id == one.id).values(downloads=export.c.downloads + 1))


def over(connection: sa.Connection, now: int) -> list[Export]:
    """Those of all organizations whose time is over and whose file is still there."""
    where = (export.c.status.in_(READY), export.c.expires_at <= now)
    return [_view(row) for row in connection.execute(sa.select(export).where(*where))]


def files_of(connection: sa.Connection, organization: int) -> list[uuid.UUID]:
    """Those that have a file, or may be having one made."""
    live = export.c.status.in_((ExportStatus.QUEUED, ExportStatus.RUNNING, *READY))
    return list(
        connection.execute(sa.select(export.c.uuid).where(export.c.organization == organization, live)).scalars()
    )


def _move(connection: sa.Connection, one: Export, status: ExportStatus, values: dict[str, Any]) -> None:
    before = [known for known, after in EXPORT_TRANSITIONS.items() if status in after]
    where = (export.c.id == one.id, export.c.status.in_(before))
    values = {**values, "version": export.c.version + 1}
    if not connection.execute(export.update().where(*where).values(status=status, **values)).rowcount:
        raise Conflict(f"the export {one.uuid} cannot become {status}: it is {one.status}")


def _view(row: sa.Row[Any]) -> Export:
    return Export(**row._mapping)
