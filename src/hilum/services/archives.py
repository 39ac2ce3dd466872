"""Archives of bodies: which there are, whether they are as they were written, and their way back."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import uuid
from pathlib import Path

from hilum import clock
from hilum.errors import StoreError
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.services.jobs import Jobs, JobState
from hilum.services.vault import Vault
from hilum.store import Connection, Store, archive_files, archives, files, messages, organizations


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """`since` and `until`: when its oldest and newest message were received; `sha256`: of its file as it lies there."""

    id: uuid.UUID
    since: datetime.datetime
    until: datetime.datetime
    first_message: str | None
    last_message: str | None
    messages: int
    bytes: int
    sha256: str
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveState:
    """What a verification found. `messages`: those whose body opened and is what was received."""

    id: uuid.UUID
    intact: bool
    messages: int
    problem: str


class Archives:
    """The use cases."""

    def __init__(self, store: Store, vault: Vault, jobs: Jobs) -> None:
        self._store = store
        self._vault = vault
        self._jobs = jobs

    async def list(self, scope: Scope, offset: int, limit: int) -> tuple[list[Archive], int]:
        """The newest first, and how many there are."""
        return await self._store.within(scope.organization).read(_listed, scope.organization, offset, limit)

    async def show(self, scope: Scope, identifier: uuid.UUID) -> Archive:
        """Raises NotFound."""
        return await self._store.within(scope.organization).read(_shown, scope.organization, identifier)

    async def verify(self, act: Act, identifier: uuid.UUID) -> ArchiveState:
        """Compare its checksum, open all of it, compare each body with what was received. Raises NotFound."""
        own = self._store.within(act.organization)
        one = await own.read(archives.find, act.organization, identifier)
        home = await own.read(organizations.get, act.organization)
        path = files.path_of(self._store.folder, files.ARCHIVES, home.uuid, identifier)
        problem, count = await asyncio.to_thread(archives.problem, one, path), 0
        if not problem:
            count, problem = await self._open(one, path)
        act.details |= {"intact": not problem, "messages": count, "problem": problem}
        return ArchiveState(identifier, not problem, count, problem)

    async def restore(self, act: Act, identifier: uuid.UUID, days: int, reason: str) -> JobState:
        """Put its bodies back for some days, by a job. Raises NotFound, Conflict where it was changed."""
        act.reason = reason or act.reason
        one = await self._store.within(act.organization).read(archives.find, act.organization, identifier)
        return await self._jobs.run(act, "archive_restore", {"archive": str(identifier), "days": days}, one.entity)

    async def _open(self, one: archives.Archive, path: Path) -> tuple[int, str]:
        """How many bodies are what was received, and what is wrong."""
        own = self._store.within(one.organization)
        key = await self._vault.open(archive_files.key_place(one.organization, one.uuid), one.sealed or b"")
        kept, count = archive_files.read(path, key, one.organization, one.uuid), 0
        try:
            while some := await asyncio.to_thread(archive_files.some, kept):
                await own.load(archives.compare, one, some)
                count += len(some)
        except (StoreError, OSError) as error:
            return count, str(error)
        missing = one.messages - count
        return count, "" if not missing else f"archive {one.uuid} lacks {missing} messages"


def _listed(connection: Connection, organization: int, offset: int, limit: int) -> tuple[list[Archive], int]:
    found, total = archives.listed(connection, organization, offset, limit)
    names = messages.uuids(connection, [row for one in found for row in (one.first, one.last)])
    return [_view(one, names) for one in found], total


def _shown(connection: Connection, organization: int, identifier: uuid.UUID) -> Archive:
    one = archives.find(connection, organization, identifier)
    return _view(one, messages.uuids(connection, [one.first, one.last]))


def _view(one: archives.Archive, names: dict[int, str]) -> Archive:
    return Archive(
        one.uuid, clock.from_micros(one.since), clock.from_micros(one.until), names.get(one.first),
        names.get(one.last), one.messages, one.size, one.sha256.hex(), clock.from_micros(one.created_at),
    )  # fmt: skip
