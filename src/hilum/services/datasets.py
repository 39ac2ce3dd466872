"""Data sets of a study: imported from files, looked at, archived. Files come in sealed and are read by a job."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

from hilum import clock
from hilum.errors import ConfigError, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.security.sealed_file import SealedWriter, new_key
from hilum.services.jobs import Jobs
from hilum.services.vault import Vault
from hilum.store import Connection, Store, dataset_imports, datasets, files, organizations, studies
from hilum.store.dataset_imports import Came

Status = Literal["queued", "running", "succeeded", "failed"]


@dataclasses.dataclass(frozen=True, slots=True)
class VersionView:
    """A version of a data set: how many rows, and the SHA-256 of its file as it lies there, sealed."""

    number: int
    rows: int
    bytes: int
    sha256: str
    provenance: dict[str, Any]
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetView:
    """A data set as it stands: its newest version. `variables` as in Dataset-JSON 1.1, with what SAS adds."""

    id: uuid.UUID
    study: str
    name: str
    label: str
    newest: int
    rows: int
    variables: list[dict[str, Any]]
    created_at: datetime.datetime
    versions: list[VersionView] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ImportView:
    """An import: `rows` that were read so far; `problem`: why nothing of it is there, with row and variable."""

    id: uuid.UUID
    study: str
    file: str
    status: Status
    bytes: int
    sha256: str
    rows: int
    datasets: list[str]
    problem: dict[str, Any] | None
    created_at: datetime.datetime
    ended_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class Arriving:
    """What is said of a file that comes. `format` None: by its name and content; `name` None: the table's own."""

    study: str
    file: str
    format: str | None = None
    name: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


Imports = list[ImportView]


class Datasets:
    """The use cases."""

    def __init__(self, store: Store, vault: Vault, jobs: Jobs) -> None:
        self._store = store
        self._vault = vault
        self._jobs = jobs

    async def list(self, scope: Scope, study: str | None, offset: int, limit: int) -> tuple[list[DatasetView], int]:
        """Those within, by study and name, and how many there are."""
        return await self._store.within(scope.organization).read(_listed, scope, study, offset, limit)

    async def show(self, act: Act, identifier: uuid.UUID) -> DatasetView:
        """With its versions. Raises NotFound."""
        return await self._store.within(act.organization).read(_shown, act.scope, identifier)

    async def archive(self, act: Act, identifier: uuid.UUID) -> None:
        """Raises NotFound, Stale."""
        await self._store.within(act.organization).change(act, _archived, act.scope, identifier)

    async def take(self, act: Act, arriving: Arriving, content: AsyncIterator[bytes]) -> ImportView:
        """Keep a file, sealed; a job reads it. The study is made where it is missing. Raises ConfigError, OSError."""
        own, organization = self._store.within(act.organization), act.organization
        identifier, key = new(clock.micros()), new_key()
        study = await own.write(_study, act.scope, arriving.study)
        home = await own.read(organizations.get, organization)
        path = files.path_of(self._store.folder, files.IMPORTS, home.uuid, identifier)
        bound, sha256, size = dataset_imports.bound(organization, identifier), hashlib.sha256(), 0
        with files.written(path) as file, io.BufferedWriter(SealedWriter(file, key, bound), 1 << 20) as stream:
            async for piece in content:
                await asyncio.to_thread(stream.write, piece)
                sha256.update(piece)
                size += len(piece)
            if not size:
                raise ConfigError("the file is empty", where="file")
        sealed, number = await self._vault.seal(dataset_imports.key_place(organization, identifier), key)
        told = {name: value for name, value in dataclasses.asdict(arriving).items() if value not in (None, {})}
        came = Came(identifier, study, told, size, sha256.digest(), sealed, number)
        try:
            made = await own.change(act, dataset_imports.ask, organization, act.principal.id, came)
        except BaseException:
            await asyncio.to_thread(files.remove, path)
            raise
        await self._jobs.take_up(dataset_imports.JOB)
        return await self.imported(act, made.uuid)

    async def imports(self, scope: Scope, offset: int, limit: int) -> tuple[Imports, int]:
        """The newest first, and how many there are."""
        return await self._store.within(scope.organization).read(_imports, scope, offset, limit)

    async def imported(self, act: Act, identifier: uuid.UUID) -> ImportView:
        """How far an import is. Raises NotFound."""
        return await self._store.within(act.organization).read(_import, act.scope, identifier)


def _study(connection: Connection, scope: Scope, name: str) -> int:
    """Its number; made where there is none, by who may act in all studies. Raises NotFound, ConfigError."""
    known = studies.numbers(connection, scope.organization).get(name)
    if known is None and scope.studies is None:
        known = studies.ensure(connection, scope.organization, name)
    if known is None or not scope.admits(known):
        raise NotFound(f"there is no study {name}")
    return known


def _listed(
    connection: Connection, scope: Scope, study: str | None, offset: int, limit: int
) -> tuple[list[DatasetView], int]:
    names, within = studies.names(connection, scope.organization), scope.studies
    if study is not None:
        number = studies.numbers(connection, scope.organization).get(study)
        within = frozenset({number} if number is not None and scope.admits(number) else ())
    found, total = datasets.listed(connection, scope.organization, within, offset, limit)
    return [_view(one, names) for one in found], total


def _found(connection: Connection, scope: Scope, identifier: uuid.UUID) -> datasets.Version:
    one = datasets.find(connection, scope.organization, identifier)
    scope.check(one.study, f"there is no data set {identifier}")
    return one


def _shown(connection: Connection, scope: Scope, identifier: uuid.UUID) -> DatasetView:
    one = _found(connection, scope, identifier)
    names, history = studies.names(connection, scope.organization), datasets.history
    versions = [
        VersionView(
            each.number, each.rows, each.size, each.sha256.hex(), each.provenance, clock.from_micros(each.created_at)
        )
        for each in history(connection, scope.organization, identifier)
    ]
    return dataclasses.replace(_view(one, names), versions=versions)


def _archived(connection: Connection, scope: Scope, identifier: uuid.UUID) -> Change:
    return datasets.archive(connection, _found(connection, scope, identifier))


def _imports(connection: Connection, scope: Scope, offset: int, limit: int) -> tuple[Imports, int]:
    names = studies.names(connection, scope.organization)
    found, total = dataset_imports.listed(connection, scope.organization, scope.studies, offset, limit)
    return [_import_view(one, names) for one in found], total


def _import(connection: Connection, scope: Scope, identifier: uuid.UUID) -> ImportView:
    one = dataset_imports.find(connection, scope.organization, identifier)
    scope.check(one.study, f"there is no import {identifier}")
    return _import_view(one, studies.names(connection, scope.organization))


def _import_view(one: dataset_imports.Import, names: dict[int, str]) -> ImportView:
    ended = None if one.ended_at is None else clock.from_micros(one.ended_at)
    return ImportView(
        one.uuid, names[one.study], one.definition["file"], cast(Status, one.status), one.size, one.sha256.hex(),
        one.rows, one.made, one.problem, clock.from_micros(one.created_at), ended,
    )  # fmt: skip


def _view(one: datasets.Version, names: dict[int, str]) -> DatasetView:
    return DatasetView(
        one.dataset, names[one.study], one.name, one.document.get("label", ""), one.newest, one.rows,
        one.document["variables"], clock.from_micros(one.created_at),
    )  # fmt: skip
