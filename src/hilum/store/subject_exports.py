"""Keeps exports about a person: what was asked for, how far it is, the file that was made and when it ends."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.model.retention import DAY
from hilum.security.envelope import Place
from hilum.security.seal import Sealer
from hilum.store import jobs
from hilum.store.legal_holds import hashed
from hilum.store.schema_retention import subject_export

LASTS = 7 * DAY  # microseconds that a file may be fetched
JOB = "subject_export"
EXPORT_TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"running"}),
    "running": frozenset({"running", "done", "failed"}),  # a restart begins anew
    "done": frozenset({"expired"}),
    "failed": frozenset(),
    "expired": frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectExport:
    """A row. `subject` is the patient as it stands in messages, sealed; `sealed` the file's key."""

    id: int
    uuid: uuid.UUID
    organization: int
    patient: int
    subject: bytes
    format: str
    reason: str
    state: str
    messages: int
    written: int
    size: int | None
    sha256: bytes | None
    sealed: bytes | None
    key: int | None
    asked_by: str
    created_at: int
    finished_at: int | None
    expires_at: int | None
    problem: str

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"subject-export/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """The file that was made."""

    size: int
    sha256: bytes
    sealed: bytes
    key: int
    events: int
    executions: int


def ask(
    connection: sa.Connection, sealer: Sealer, organization: int, actor: str, patient: int, subject: str, format: str,
    reason: str,
) -> Change:  # fmt: skip
    """A new one, and the job that makes it."""
    now = clock.micros()
    identifier = new(now)
    connection.execute(
        subject_export.insert().values(
            uuid=identifier, organization=organization, patient=patient,
            subject=sealer.seal(subject.encode(), subject_place(identifier)), format=format, reason=reason,
            state="waiting", messages=0, written=0, asked_by=actor, created_at=now, problem="",
        )
    )  # fmt: skip
    jobs.insert(connection, JOB, {"export": str(identifier)}, actor=actor, organization=organization)
    made = find(connection, organization, identifier)
    after = {"patient_hash": hashed(patient), "format": format, "reason": reason}
    return Change(made, made.entity, None, after)


def listed(connection: sa.Connection, organization: int, offset: int, limit: int) -> tuple[list[SubjectExport], int]:
    """The newest first, and how many there are."""
    mine = subject_export.c.organization == organization
    total: int = connection.execute(sa.select(sa.func.count()).select_from(subject_export).where(mine)).scalar_one()
    query = sa.select(subject_export).where(mine).order_by(subject_export.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> SubjectExport:
    """Raises NotFound."""
    where = (subject_export.c.organization == organization, subject_export.c.uuid == identifier)
    row = connection.execute(sa.select(subject_export).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no export {identifier} about a person")
    return _view(row)


def begin(connection: sa.Connection, one: SubjectExport, messages: int) -> None:
    """Raises Conflict where it has ended."""
    _move(connection, one, "running", {"messages": messages, "written": 0})


def progress(connection: sa.Connection, one: SubjectExport, written: int) -> None:
    connection.execute(subject_export.update().where(subject_export.c.id == one.id).values(written=written))


def finish(connection: sa.Connection, one: SubjectExport, made: Made) -> Change:
    """Its file is there. Raises Conflict where it does not run."""
    now = clock.micros()
    _move(connection, one, "done", {
        "size": made.size, "sha256": made.sha256, "sealed": made.sealed, "key": made.key, "finished_at": now,
        "expires_at": now + LASTS,
    })  # fmt: skip
    done = find(connection, one.organization, one.uuid)
    after = {
        "messages": done.messages, "executions": made.executions, "events": made.events, "bytes": made.size,
        "sha256": made.sha256.hex(),
    }  # fmt: skip
    return Change(done, one.entity, None, after)


def fail(connection: sa.Connection, one: SubjectExport, problem: str) -> Change:
    """Raises Conflict where it does not run."""
    _move(connection, one, "failed", {"problem": problem, "finished_at": clock.micros()})
    return Change(None, one.entity, None, {"problem": problem})


def over(connection: sa.Connection, now: int, organization: int | None = None) -> list[SubjectExport]:
    """Those whose time is over and whose file is still there, of one organization or (None) all."""
    query = sa.select(subject_export).where(subject_export.c.state == "done", subject_export.c.expires_at <= now)
    if organization is not None:
        query = query.where(subject_export.c.organization == organization)
    return [_view(row) for row in connection.execute(query)]


def expire(connection: sa.Connection, one: SubjectExport) -> Change:
    """Forget the key: from now on nobody opens the file. Raises Conflict where somebody did so."""
    _move(connection, one, "expired", {"sealed": None, "key": None})
    return Change(None, one.entity, {"state": "done"}, {"state": "expired"})


def named(connection: sa.Connection, organization: int) -> list[uuid.UUID]:
    """Those that have a file, or may be having one made."""
    live = subject_export.c.state.in_(("waiting", "running", "done"))
    query = sa.select(subject_export.c.uuid).where(subject_export.c.organization == organization, live)
    return list(connection.execute(query).scalars())


def subject_place(identifier: uuid.UUID) -> bytes:
    """Where whom it is about is sealed."""
    return b"subject_export|%b" % identifier.bytes


def key_place(one: SubjectExport) -> Place:
    """Where the key of its file is sealed."""
    return Place(one.organization, "subject_export", one.uuid)


def bound(one: SubjectExport) -> bytes:
    """What the file is bound to."""
    return Place(one.organization, "subject_export", one.uuid, "file").bound(0)


def _move(connection: sa.Connection, one: SubjectExport, state: str, values: dict[str, Any]) -> None:
    before = [known for known, after in EXPORT_TRANSITIONS.items() if state in after]
    where = (subject_export.c.id == one.id, subject_export.c.state.in_(before))
    if not connection.execute(subject_export.update().where(*where).values(state=state, **values)).rowcount:
        raise Conflict(f"the export {one.uuid} cannot become {state}")


def _view(row: sa.Row[Any]) -> SubjectExport:
    return SubjectExport(**row._mapping)
