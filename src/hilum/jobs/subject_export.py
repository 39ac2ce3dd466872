"""Gathers everything about a person in one encrypted file: messages, deliveries, attempts, and who did what with them.

Messages are found by the search key `patient`, executions by what they sent or were answered: as a word. Bodies that
retention archived are read from their archives. How far it is stands in the export's row; what a restart interrupted
begins anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import IO, Any, TypeVar, cast

from hilum import __version__, clock, telemetry
from hilum.errors import HilumError, StoreError
from hilum.formats.hl7v2.readable import readable
from hilum.formats.subject_export import DELIVERIES, EVENTS, EXECUTIONS, FORMATS, MESSAGES, SubjectExport
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.identifier import text_of
from hilum.security.envelope import Sealing
from hilum.security.sealed_file import SealedWriter, new_key
from hilum.store import (
    Connection,
    Store,
    archive_files,
    archives,
    audit,
    configuration,
    deliveries,
    executions,
    files,
    keys,
    messages,
    organizations,
    subject_exports,
)
from hilum.store.jobs import Job
from hilum.store.subject_exports import Made
from hilum.store.subject_exports import SubjectExport as Export

T = TypeVar("T")
_PAGE = 50  # messages that are read together
_EVENTS = 200  # events
log = telemetry.logger("jobs")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `messages`, `executions` and audit `events` are in the file. Raises HilumError."""
    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    own, organization = context.store.within(job.organization), job.organization
    one = await own.read(subject_exports.find, organization, uuid.UUID(job.arguments["export"]))
    ids = sorted(await keys.every(context.store.keys, one.patient))
    await own.write(subject_exports.begin, one, len(ids))
    try:
        made = await _make(context.store, context.vault, one, ids)
    except (HilumError, OSError) as error:
        problem = str(error) if isinstance(error, HilumError) else f"the file cannot be written: {error.strerror}"
        act = Act(HUB, Scope(organization), "subject-export.fail")
        await own.change(act, subject_exports.fail, one, problem)
        raise HilumError(problem) from None
    act = Act(HUB, Scope(organization), "subject-export.finish")
    await own.change(act, subject_exports.finish, one, made)
    return {"messages": len(ids), "executions": made.executions, "events": made.events}


async def _make(store: Store, vault: Sealing, one: Export, ids: Sequence[int]) -> Made:
    owner = await store.within(one.organization).read(organizations.get, one.organization)
    key = new_key()
    sealed, number = await vault.seal(subject_exports.key_place(one), key)
    path = files.path_of(store.folder, files.EXPORTS, owner.uuid, one.uuid)
    gathered = _Gathered(store, vault, one, owner.uuid, ids)
    head = {
        "format": 1, "export": str(one.uuid), "organization": owner.name, "patient": gathered.patient,
        "reason": one.reason, "created_at": _stamp(clock.micros()), "hilum": __version__, "messages_found": len(ids),
    }  # fmt: skip
    with files.written(path) as file, SealedWriter(file, key, subject_exports.bound(one)) as stream:
        export: SubjectExport = FORMATS[one.format](cast(IO[bytes], stream), head)
        try:
            for part in export.parts:
                export.begin(part)
                async for page in gathered.pages(part):
                    await asyncio.to_thread(export.add, page)
        finally:
            export.end()
    size, sha256 = await asyncio.to_thread(files.digest, path)
    return Made(size, sha256, sealed, number, gathered.events, len(gathered.executions))


@dataclasses.dataclass
class _Gathered:
    """Reads all that there is about a person, some at a time."""

    store: Store
    vault: Sealing
    export: Export
    owner: uuid.UUID
    ids: Sequence[int]
    events: int = 0
    executions: list[str] = dataclasses.field(default_factory=list)  # as the audit trail names them

    @property
    def patient(self) -> str:
        """As it stands in messages."""
        place = subject_exports.subject_place(self.export.uuid)
        return self.store.sealer.open(self.export.subject, place).decode()

    async def pages(self, part: str) -> AsyncIterator[list[dict[str, Any]]]:
        """What a part is made of."""
        if part == EXECUTIONS:
            async for found in self._executions():
                yield found
        elif part == EVENTS:
            async for found in self._events():
                yield found
        else:
            for place in range(0, len(self.ids), _PAGE):
                ids = self.ids[place : place + _PAGE]
                yield await self._messages(ids, bodies=part in (MESSAGES, DELIVERIES))
                if part == MESSAGES:
                    own = self.store.within(self.export.organization)
                    await own.write(subject_exports.progress, self.export, place + len(ids))

    async def _executions(self) -> AsyncIterator[list[dict[str, Any]]]:
        own, after = self.store.within(self.export.organization), cast("int | None", 0)
        while after is not None:
            sought = (self.store.sealer, self.export.organization, self.patient, after, _PAGE)
            found, after = await own.load(executions.naming, *sought)
            self.executions += [executions.entity(one.uuid) for one in found]
            yield [_execution(one) for one in found]

    async def _events(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Those about messages, then those about executions."""
        own, organization = self.store.within(self.export.organization), self.export.organization
        for place in range(0, len(self.ids), _PAGE):
            entities = await own.load(_entities, self.ids[place : place + _PAGE])
            for page in _cut(await own.load(_events, organization, entities), _EVENTS):
                self.events += len(page)
                yield page
        for some in _cut(self.executions, _PAGE):
            for page in _cut(await own.load(_events, organization, some), _EVENTS):
                self.events += len(page)
                yield page

    async def _messages(self, ids: Sequence[int], *, bodies: bool) -> list[dict[str, Any]]:
        own = self.store.within(self.export.organization)
        found = await own.load(_messages, self.store, self.export.organization, ids, bodies)
        missing: dict[str, set[int]] = {}
        for row, one in found.items():
            if bodies and one["body"] is None and one["body_base64"] is None and one["archive"] is not None:
                missing.setdefault(one["archive"], set()).add(row)
        for archive, rows in missing.items():
            await self._from_archive(uuid.UUID(archive), {row: found[row] for row in rows})
        return list(found.values())

    async def _from_archive(self, identifier: uuid.UUID, wanted: Mapping[int, dict[str, Any]]) -> None:
        """Give these messages their bodies. An archive that does not open says so in each of them."""
        organization = self.export.organization
        try:
            row = await self.store.within(organization).read(archives.find, organization, identifier)
            key = await self.vault.open(archive_files.key_place(organization, identifier), row.sealed or b"")
            path = files.path_of(self.store.folder, files.ARCHIVES, self.owner, identifier)
            await asyncio.to_thread(_fill, archive_files.read(path, key, organization, identifier), wanted)
        except (StoreError, OSError) as error:
            log.error("an archive cannot be read", archive=str(identifier), reason=str(error))
            for one in wanted.values():
                one["problem"] = f"its body is in archive {identifier}, which cannot be read: {error}"


def _fill(kept: Any, wanted: Mapping[int, dict[str, Any]]) -> None:
    for each in kept:
        if each.row in wanted:
            wanted[each.row] |= _body(each.body)
            made = {one["id"]: one for one in wanted[each.row]["deliveries"]}
            for number, body in each.deliveries.items():
                made[number] |= _body(body)


def _messages(
    connection: Connection, store: Store, organization: int, ids: Sequence[int], bodies: bool
) -> dict[int, dict[str, Any]]:
    """Records by message rows, the oldest first."""
    references, routes = configuration.names(connection)
    where = archives.of(connection, organization, ids)
    found = {}
    for row in reversed(messages.by_ids(connection, ids)):
        if row.organization != organization:
            continue
        one = messages.view(row, store.sealer)
        origin = None if one.origin is None else messages.uuids(connection, [one.origin]).get(one.origin)
        record: dict[str, Any] = {
            "id": one.uuid, "received_at": _stamp(one.received_at),
            "endpoint": references.get(one.endpoint, str(one.endpoint)), "type": one.type,
            "control_id": one.control_id, "disposition": one.disposition.name.lower(), "ack": one.ack,
            "origin": origin, "note": one.note, "attributes": one.attributes, "sha256": one.body_hash.hex(),
            "archive": str(where[row.id]) if row.id in where else None, "problem": None, **_body(None),
            "deliveries": [],
        }  # fmt: skip
        made = deliveries.of_message(connection, row.first_delivery, row.deliveries)
        tried = deliveries.attempts(connection, store.sealer, [each.id for each in made])
        for number, each in enumerate(made, 1):
            record["deliveries"].append({
                "number": number, "id": each.id,
                "destination": references.get(each.destination, str(each.destination)),
                "route": routes.get(each.route, str(each.route)), "state": each.state.name.lower(),
                "done_at": None if each.done_at is None else _stamp(each.done_at), "detail": each.detail, **_body(None),
                "attempts": [
                    {"number": attempt.number, "started_at": _stamp(attempt.started_at),
                     "milliseconds": attempt.duration / 1000, "outcome": attempt.outcome, "detail": attempt.detail}
                    for attempt in tried if attempt.delivery == each.id
                ],
            })  # fmt: skip
        if bodies:
            _add_bodies(connection, store, row, record)
        found[row.id] = record
    return found


def _add_bodies(connection: Connection, store: Store, row: Any, record: dict[str, Any]) -> None:
    """What came and, where it was kept, what was sent. What no longer opens says so."""
    try:
        record |= _body(messages.bodies(connection, store.sealer, [row.id]).get(row.id))
        kept = deliveries.kept_bodies(connection, store.sealer, row.first_delivery, row.deliveries)
    except StoreError as error:
        record["problem"] = f"its body cannot be read: {error}"
        return
    for one in record["deliveries"]:
        one |= _body(kept.get(one["id"]))


def _execution(one: executions.Stored) -> dict[str, Any]:
    """What was asked of a partner and answered, as far as it is still there."""
    return {
        "id": str(one.uuid), "started_at": _stamp(one.started_at),
        "ended_at": None if one.ended_at is None else _stamp(one.ended_at), "endpoint": one.reference,
        "status": one.status, "status_code": one.status_code, "correlation_id": one.correlation,
        "request": one.request, "response": one.response, "error": (one.told or {}).get("error"),
    }  # fmt: skip


def _cut(items: list[T], size: int) -> Iterator[list[T]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _entities(connection: Connection, ids: Sequence[int]) -> list[str]:
    """Messages as the audit trail names them, the oldest first."""
    return [f"message/{text_of(row.uuid)}" for row in reversed(messages.by_ids(connection, ids))]


def _events(connection: Connection, organization: int, entities: Sequence[str]) -> list[dict[str, Any]]:
    """The audit events about these, one after the other and the oldest first."""
    found = []
    for entity in entities:
        where = audit.EventFilter(entity=entity)
        mine: list[audit.SealedEvent] = []
        while page := audit.newest(
            connection, organization, where, before=mine[-1].id if mine else None, limit=_EVENTS
        ):
            mine += page
        found += [one.document for one in reversed(mine)]
    return found


def _body(content: bytes | None) -> dict[str, str | None]:
    text, encoded = (None, None) if content is None else readable(content)
    return {"body": text, "body_base64": encoded}


def _stamp(moment: int) -> str:
    return clock.from_micros(moment).isoformat(timespec="microseconds").replace("+00:00", "Z")
