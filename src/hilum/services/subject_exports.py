"""Exports about a person (GDPR, articles 15 and 20): asked for with a reason, made by a job, fetched for a week."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

from hilum import clock
from hilum.errors import Conflict, Refused
from hilum.formats.subject_export import SUFFIXES
from hilum.intake.identity import search_key
from hilum.model.access import permit
from hilum.model.audit import Act
from hilum.security.sealed_file import SealedReader
from hilum.services.legal_holds import PATIENT
from hilum.services.messages import PAYLOAD
from hilum.services.vault import Vault
from hilum.store import Store, files, organizations, subject_exports

Format = Literal["json", "csv"]
State = Literal["waiting", "running", "done", "failed", "expired"]
_PIECE = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectExport:
    """`written` of `messages` are in the file so far; it can be fetched while it is done, until `expires_at`."""

    id: uuid.UUID
    patient: str
    format: Format
    reason: str
    state: State
    messages: int
    written: int
    bytes: int | None
    sha256: str | None  # of the file as it lies there, encrypted
    asked_by: str
    created_at: datetime.datetime
    finished_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    problem: str


class SubjectExports:
    """The use cases, for who may see every payload of the organization."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def list(self, act: Act, offset: int, limit: int) -> tuple[list[SubjectExport], int]:
        """The newest first, and how many there are. Raises Refused."""
        _check(act)
        read = self._store.within(act.organization).read
        found, total = await read(subject_exports.listed, act.organization, offset, limit)
        return [self._view(one) for one in found], total

    async def show(self, act: Act, identifier: uuid.UUID) -> SubjectExport:
        """Raises NotFound, Refused."""
        return self._view(await self._find(act, identifier))

    async def ask(self, act: Act, patient: str, format: Format, reason: str) -> SubjectExport:
        """A job makes it. Raises Refused."""
        _check(act)
        act.reason = act.reason or reason
        key = search_key(self._store.hash, act.organization, PATIENT, patient)
        asked = (self._store.sealer, act.organization, act.principal.id, key, patient, format, reason)
        made = await self._store.within(act.organization).change(act, subject_exports.ask, *asked)
        self._store.signal("job")
        return self._view(made)

    async def file(self, act: Act, identifier: uuid.UUID) -> tuple[str, Iterator[bytes]]:
        """Its name, and its content piece by piece, for a thread. Raises NotFound, Refused, Conflict."""
        one = await self._find(act, identifier)
        if one.state != "done" or one.sealed is None or (one.expires_at or 0) <= clock.micros():
            state = "expired" if one.state == "done" else one.state
            raise Conflict(f"there is no file of this export to fetch: it is {state}")
        home = await self._store.within(act.organization).read(organizations.get, act.organization)
        path = files.path_of(self._store.folder, files.EXPORTS, home.uuid, one.uuid)
        try:
            whole = await asyncio.to_thread(files.digest, path) == (one.size, one.sha256)
        except OSError as error:
            raise Conflict(f"the file of export {one.uuid} cannot be read: {error.strerror}") from None
        if not whole:
            raise Conflict(f"the file of export {one.uuid} is not what was written: its SHA-256 is another one")
        key = await self._vault.open(subject_exports.key_place(one), one.sealed)
        act.details |= {"sha256": (one.sha256 or b"").hex()}
        return f"hilum-subject-{one.uuid}{SUFFIXES[one.format]}", _pieces(path, key, subject_exports.bound(one))

    async def _find(self, act: Act, identifier: uuid.UUID) -> subject_exports.SubjectExport:
        _check(act)
        return await self._store.within(act.organization).read(subject_exports.find, act.organization, identifier)

    def _view(self, one: subject_exports.SubjectExport) -> SubjectExport:
        patient = self._store.sealer.open(one.subject, subject_exports.subject_place(one.uuid)).decode()
        return SubjectExport(
            one.uuid, patient, cast(Format, one.format), one.reason, cast(State, one.state), one.messages,
            one.written, one.size, None if one.sha256 is None else one.sha256.hex(), one.asked_by,
            clock.from_micros(one.created_at), _moment(one.finished_at), _moment(one.expires_at), one.problem,
        )  # fmt: skip


def _check(act: Act) -> None:
    """Raises Refused. What is about a person is in messages of all studies."""
    if permit(act.principal, PAYLOAD).studies is not None:
        raise Refused(f"this needs the permission {PAYLOAD} in the whole organization")


def _moment(stamp: int | None) -> datetime.datetime | None:
    return None if stamp is None else clock.from_micros(stamp)


def _pieces(path: Path, key: bytes, bound: bytes) -> Iterator[bytes]:
    with path.open("rb") as file, io.BufferedReader(SealedReader(file, key, bound)) as plain:
        while piece := plain.read(_PIECE):
            yield piece
