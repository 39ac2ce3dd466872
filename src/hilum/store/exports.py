"""Keeps exports: what was asked for, how far it is, the file that was made and until when it can be fetched."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound, TooMany
from hilum.model.audit import Change
from hilum.model.export import ENDED, EXPORT_TRANSITIONS, NEEDED, READY, ExportStatus
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
    parent: int | None
    facts: dict[str, Any]
    release: str

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
    release: str = ""
    parent: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What an organization allows its exports: at work at once, bytes that lie there, days that a file stays."""

    at_once: int
    bytes: int
    days: int


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
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


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


def ask(connection: sa.Connection, organization: int, wanted: Wanted, limits: Limits) -> Change:
    """A new one, and the job that makes it. Raises TooMany, and Conflict where too much lies there already."""
    _room(connection, organization, limits)
    made = add(connection, organization, wanted)
    jobs.insert(connection, JOB, {"export": str(made.uuid)}, actor=made.asked_by, organization=organization)
    return Change(made, made.entity, None, unnamed(wanted.definition))


def add(connection: sa.Connection, organization: int, wanted: Wanted) -> Export:
    """A new row. What has a parent is made along with that, and needs no job of its own."""
    now = clock.micros()
    identifier = new(now)
    values = {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}
    connection.execute(
        export.insert().values(
            uuid=identifier, organization=organization, status=ExportStatus.QUEUED, done=0, aside=0, warnings=[],
            downloads=0, created_at=now, version=1, facts={}, **values,
        )
    )  # fmt: skip
    return find(connection, organization, identifier)


def unnamed(definition: dict[str, Any]) -> dict[str, Any]:
    """Without what conditions compare with: that may name a patient, who is nobody's business but who reads rows."""
    told = {**definition, "where": [{**one, "value": None} for one in definition.get("where") or ()]}
    items = definition["source"].get("items")
    return told if items is None else told | {"source": {"items": [unnamed(one) for one in items]}}


def _room(connection: sa.Connection, organization: int, limits: Limits) -> None:
    mine = export.c.organization == organization
    at_work = export.c.status.in_((ExportStatus.QUEUED, ExportStatus.RUNNING))
    open_ones = sa.select(sa.func.count()).where(mine, at_work, export.c.parent.is_(None))
    if connection.execute(open_ones).scalar_one() >= limits.at_once:
        text = f"{limits.at_once} exports of this organization are at work already; wait until one ends, or cancel it"
        raise TooMany(text, after=30)
    lying = sa.select(sa.func.coalesce(sa.func.sum(export.c.size), 0)).where(mine, export.c.status.in_(READY))
    held = int(connection.execute(lying).scalar_one())
    if held >= limits.bytes:
        most = f"{limits.bytes / 1e6:,.0f} MB"
        raise Conflict(f"exports of this organization hold {held / 1e6:,.0f} MB of {most} already; remove some")


def parts(connection: sa.Connection, one: Export) -> list[Export]:
    """What an export is made of, in the order in which it was asked for."""
    where = (export.c.organization == one.organization, export.c.parent == one.id)
    return [_view(row) for row in connection.execute(sa.select(export).where(*where).order_by(export.c.id))]


def again(connection: sa.Connection, one: Export, limits: Limits) -> Change:
    """What failed or was cancelled is made once more, under its own name and time. Raises TooMany, Conflict."""
    _room(connection, one.organization, limits)
    empty: dict[str, Any] = {"problem": None, "warnings": [], "started_at": None, "ended_at": None}
    _move(connection, one, ExportStatus.QUEUED, {"done": 0, "aside": 0, **empty})
    for part in parts(connection, one):
        _move(connection, part, ExportStatus.QUEUED, {"done": 0, "aside": 0, **empty}, anyway=True)
    made = find(connection, one.organization, one.uuid)
    jobs.insert(connection, JOB, {"export": str(made.uuid)}, actor=made.asked_by, organization=one.organization)
    return Change(made, one.entity, {"status": one.status}, {"status": made.status})


def listed(
    connection: sa.Connection, organization: int, studies: frozenset[int] | None, wanted: Filter, offset: int,
    limit: int,
) -> tuple[list[Export], int]:  # fmt: skip
    """The newest first, without parts of others, and how many there are; `studies` not None: of these alone."""
    where = [export.c.organization == organization, export.c.parent.is_(None)]
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


def by_number(connection: sa.Connection, organization: int, number: int) -> Export:
    """What another row refers to. Raises NotFound."""
    row = connection.execute(
        sa.select(export).where(export.c.organization == organization, export.c.id == number)
    ).first()
    if row is None:
        raise NotFound(f"there is no export {number}")
    return _view(row)


def begin(connection: sa.Connection, one: Export, rows: int | None) -> None:
    """Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.RUNNING, {"rows": rows, "done": 0, "started_at": clock.micros()})


def progress(connection: sa.Connection, one: Export, done: int, rows: int | None) -> bool:
    """Whether it is still wanted. `rows` None: nobody knows yet how many there are."""
    where = (export.c.id == one.id, export.c.status == ExportStatus.RUNNING)
    return bool(connection.execute(export.update().where(*where).values(done=done, rows=rows)).rowcount)


def finish(connection: sa.Connection, one: Export, made: Written, lasts: int = LASTS) -> Change:
    """Its file is there, for `lasts` microseconds. Raises Conflict where it does not run."""
    now = clock.micros()
    status = ExportStatus.PARTIAL if made.aside else ExportStatus.SUCCEEDED
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    _move(connection, one, status, {**values, "done": made.rows, "ended_at": now, "expires_at": now + lasts})
    after = {"status": status, "rows": made.rows, "set_aside": made.aside, "bytes": made.size}
    return Change(find(connection, one.organization, one.uuid), one.entity, None, after | {"sha256": made.sha256.hex()})


def fail(connection: sa.Connection, one: Export, problem: Mapping[str, Any]) -> Change:
    """Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.FAILED, {"problem": dict(problem), "ended_at": clock.micros()})
    for part in parts(connection, one):
        if part.status not in ENDED:
            _move(connection, part, ExportStatus.CANCELLED, {"ended_at": clock.micros()})
    return Change(None, one.entity, None, {"status": ExportStatus.FAILED, **problem})


def end_part(
    connection: sa.Connection, one: Export, status: ExportStatus, rows: int, aside: int, warnings: list[str],
    problem: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """A part of another export is ready, or failed; its files are that one's. Raises Conflict."""
    told = {"done": rows, "rows": rows, "aside": aside, "warnings": warnings}
    _move(
        connection,
        one,
        status,
        {**told, "problem": None if problem is None else dict(problem), "ended_at": clock.micros()},
    )


def cancel(connection: sa.Connection, one: Export) -> Change:
    """With its parts. Raises Conflict where it has ended."""
    _move(connection, one, ExportStatus.CANCELLED, {"ended_at": clock.micros()})
    for part in parts(connection, one):
        if part.status not in ENDED:
            _move(connection, part, ExportStatus.CANCELLED, {"ended_at": clock.micros()})
    now = find(connection, one.organization, one.uuid)
    return Change(now, one.entity, {"status": one.status}, {"status": now.status})


def expire(connection: sa.Connection, one: Export) -> Change:
    """Forget the key: from now on nobody opens the file. Raises Conflict where there is none."""
    _move(connection, one, ExportStatus.EXPIRED, {"sealed": None, "key": None})
    return Change(None, one.entity, {"status": one.status}, {"status": ExportStatus.EXPIRED})


def released(connection: sa.Connection, one: Export, signature: str) -> Change:
    """Somebody signed for it: from now on it may be fetched. Raises Conflict."""
    where = (export.c.id == one.id, export.c.status.in_(READY), export.c.release == NEEDED)
    values = {"release": signature, "version": export.c.version + 1}
    if not connection.execute(export.update().where(*where).values(values)).rowcount:
        raise Conflict(f"the export {one.uuid} is not waiting for its release")
    made = find(connection, one.organization, one.uuid)
    return Change(made, one.entity, {"release": one.release}, {"release": signature})


def placed(connection: sa.Connection, one: Export, told: Mapping[str, Any]) -> Change:
    """What became of it at its destination."""
    facts = {**find(connection, one.organization, one.uuid).facts, "placed": dict(told)}
    connection.execute(export.update().where(export.c.id == one.id).values(facts=facts))
    return Change(None, one.entity, None, {"placed": dict(told)})


def fetched(connection: sa.Connection, one: Export) -> None:
    """One more download."""
    connection.execute(export.update().where(export.c.id == one.id).values(downloads=export.c.downloads + 1))


def over(connection: sa.Connection, now: int) -> list[Export]:
    """Those of all organizations whose time is over and whose file is still there."""
    where = (export.c.status.in_(READY), export.c.expires_at <= now)
    return [_view(row) for row in connection.execute(sa.select(export).where(*where))]


def stranded(connection: sa.Connection) -> list[Export]:
    """Those of all organizations that are at work, and that no job makes: it broke where it could not say so."""
    at_work = export.c.status.in_((ExportStatus.QUEUED, ExportStatus.RUNNING))
    made = {job.arguments.get("export") for job in jobs.open_ones(connection) if job.kind == JOB}
    rows = connection.execute(sa.select(export).where(at_work, export.c.parent.is_(None)))
    return [one for one in map(_view, rows) if str(one.uuid) not in made]


def files_of(connection: sa.Connection, organization: int) -> list[uuid.UUID]:
    """Those that have a file, or may be having one made."""
    live = export.c.status.in_((ExportStatus.QUEUED, ExportStatus.RUNNING, *READY))
    return list(
        connection.execute(sa.select(export.c.uuid).where(export.c.organization == organization, live)).scalars()
    )


def _move(
    connection: sa.Connection, one: Export, status: ExportStatus, values: dict[str, Any], *, anyway: bool = False
) -> None:
    """`anyway`: a part of one that begins anew begins anew with it, however it ended."""
    before = list(ExportStatus) if anyway else [known for known, after in EXPORT_TRANSITIONS.items() if status in after]
    where = (export.c.id == one.id, export.c.status.in_(before))
    values = {**values, "version": export.c.version + 1}
    if not connection.execute(export.update().where(*where).values(status=status, **values)).rowcount:
        raise Conflict(f"the export {one.uuid} cannot become {status}: it is {one.status}")


def _view(row: sa.Row[Any]) -> Export:
    return Export(**row._mapping)
