"""Exports: asked for, watched, fetched, cancelled, tried again; a job makes each one's file."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hilum import clock
from hilum.errors import ConfigError, Conflict, Gone
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.export import ENDED, READY, ExportKind, ExportStatus
from hilum.sdk.config import read
from hilum.security.sealed_file import SealedReader
from hilum.services.jobs import Jobs
from hilum.services.vault import Vault
from hilum.store import Connection, Store, datasets, exports, files, organizations, studies
from hilum.store.exports import Export, Filter, Wanted

AT_ONCE = 5
"""Exports of one organization that may be at work (ledger S1-30)."""

_PIECE = 1 << 18
_REGULATORY = frozenset({"sas-xpt-v5", "cdisc-dataset-json-1.1", "cdisc-odm-1.3.2", "cdisc-odm-2.0", "define-xml-2.1"})


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """An export format. `options` is the JSON Schema of what it can be told."""

    id: str
    names: list[str]
    about: str
    mime: str
    extension: str
    kinds: list[ExportKind]
    regulatory: bool
    max_rows: int | None
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class DataExport:
    """Rows of a data set (`version` None: the newest), in a format; of some `variables` in their order, or of all.

    `set_aside`: values that the format cannot hold go to a file of exceptions; otherwise the first one ends the export.
    """

    dataset: uuid.UUID
    format: str
    version: int | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    variables: list[str] | None = None
    set_aside: bool = False
    purpose: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """`rows_total` None: not known yet."""

    rows_done: int
    rows_total: int | None
    percent: float
    remaining_seconds: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExportView:
    """An export. `sha256` and `bytes` are of the file as it is downloaded, `set_aside` counts values beside it."""

    id: uuid.UUID
    kind: ExportKind
    study: str | None
    source: dict[str, Any]
    format: str
    options: dict[str, Any]
    variables: list[str] | None
    purpose: str
    status: ExportStatus
    progress: Progress
    set_aside: int
    file: str
    media_type: str
    bytes: int | None
    sha256: str | None
    warnings: list[str]
    error: dict[str, Any] | None
    downloads: int
    requested_by: str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    version: int
    links: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """What can be fetched; on the disk it lies sealed. `size` and `sha256` are of what is fetched."""

    name: str
    media_type: str
    size: int
    sha256: bytes
    path: Path
    key: bytes
    bound: bytes

    def pieces(self, first: int, last: int) -> Iterator[bytes]:
        """Bytes `first` to `last`, for a thread. Raises StoreError where the file is not what was written, OSError."""
        with self.path.open("rb") as file, io.BufferedReader(SealedReader(file, self.key, self.bound), _PIECE) as plain:
            plain.seek(first)
            left = last + 1 - first
            while left > 0 and (piece := plain.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece


def formats() -> list[Format]:
    """Every export format, by name. For a thread: the first call loads them."""
    from hilum.sdk import table_formats  # brings pyarrow, which a hub at work does without

    kinds = {one.names[0]: one for one in table_formats.exporters().values()}
    return [
        Format(
            name, list(one.names), table_formats.about(one), one.media_type, one.suffix, [ExportKind.DATA],
            name in _REGULATORY, one.max_rows, table_formats.form(one),
        )
        for name, one in sorted(kinds.items())
    ]  # fmt: skip


class Exports:
    """The use cases."""

    def __init__(self, store: Store, vault: Vault, jobs: Jobs) -> None:
        self._store = store
        self._vault = vault
        self._jobs = jobs

    async def ask(self, act: Act, wanted: DataExport) -> ExportView:
        """A job makes it. Raises NotFound, ConfigError (format, options, variables), Conflict (too many)."""
        kind, name = await asyncio.to_thread(_checked, wanted)
        made = await self._store.within(act.organization).change(act, _asked, act, wanted, name, kind)
        await self._jobs.take_up(exports.JOB)
        return await self.show(act, made.uuid)

    async def list(self, scope: Scope, wanted: Filter, offset: int, limit: int) -> tuple[list[ExportView], int]:
        """The newest first, and how many there are."""
        return await self._store.within(scope.organization).read(_listed, scope, wanted, offset, limit)

    async def show(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """Raises NotFound."""
        return await self._store.within(act.organization).read(_shown, act.scope, identifier)

    async def cancel(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """Raises NotFound, Conflict where it has ended."""
        await self._store.within(act.organization).change(act, _changed, act.scope, identifier, exports.cancel)
        return await self.show(act, identifier)

    async def retry(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """What failed or was cancelled is made once more. Raises NotFound, Conflict."""
        await self._store.within(act.organization).change(act, _changed, act.scope, identifier, exports.again)
        await self._jobs.take_up(exports.JOB)
        return await self.show(act, identifier)

    async def remove(self, act: Act, identifier: uuid.UUID) -> None:
        """Its file goes, its record stays. Raises NotFound, Conflict where it still runs."""
        own = self._store.within(act.organization)
        one = await own.read(_found, act.scope, identifier)
        if one.status not in ENDED:
            raise Conflict(f"the export {identifier} is {one.status}: cancel it first")
        if one.status in READY:
            await own.change(act, _changed, act.scope, identifier, exports.expire)
        await asyncio.to_thread(files.remove, await self._path(one))

    async def file(self, act: Act, identifier: uuid.UUID) -> File:
        """What to download. Raises NotFound, Gone where its time is over, Conflict where it is not ready."""
        own = self._store.within(act.organization)
        one = await own.read(_found, act.scope, identifier)
        if one.status == ExportStatus.EXPIRED or (one.status in READY and (one.expires_at or 0) <= clock.micros()):
            raise Gone(f"the file of export {identifier} is gone: its time is over")
        if one.status not in READY or one.sealed is None or one.size is None or one.sha256 is None:
            raise Conflict(f"the export {identifier} has no file to fetch: it is {one.status}")
        path = await self._path(one)
        if not await asyncio.to_thread(path.is_file):
            raise Gone(f"the file of export {identifier} is gone: it was not in the backup; ask for it once more")
        key = await self._vault.open(exports.key_place(one.organization, one.uuid), one.sealed)
        await own.write(exports.fetched, one)
        act.details |= {"sha256": one.sha256.hex(), "bytes": one.size}
        bound = exports.bound(one.organization, one.uuid)
        return File(one.file, one.media_type, one.size, one.sha256, path, key, bound)

    async def _path(self, one: Export) -> Path:
        home = await self._store.within(one.organization).read(organizations.get, one.organization)
        return files.path_of(self._store.folder, files.PACKAGES, home.uuid, one.uuid)


def _checked(wanted: DataExport) -> tuple[Any, str]:
    """The exporter and the format's own name. Raises ConfigError."""
    from hilum.sdk import table_formats

    kind = table_formats.exporter(wanted.format)
    read(kind.Config, wanted.options, "options")
    return kind, kind.names[0]


def _asked(connection: Connection, act: Act, wanted: DataExport, format: str, kind: Any) -> Change:
    version = datasets.find(connection, act.organization, wanted.dataset, wanted.version)
    act.scope.check(version.study, f"there is no data set {wanted.dataset}")
    known = {one["name"] for one in version.document["variables"]}
    missing = [name for name in wanted.variables or () if name not in known]
    if missing:
        raise ConfigError(f"data set {version.name} has no variable {', '.join(missing[:5])}", where="variables")
    definition = {
        "source": {"dataset": str(version.dataset), "name": version.name, "version": version.number},
        "format": format, "options": wanted.options, "variables": wanted.variables, "set_aside": wanted.set_aside,
        "purpose": wanted.purpose,
    }  # fmt: skip
    file = exports.file_name(f"{version.name.lower()}{kind.suffix}")
    asked = Wanted(
        version.study, ExportKind.DATA, definition, file, kind.media_type, act.principal.id, act.principal.name
    )  # fmt: skip
    return exports.ask(connection, act.organization, asked, AT_ONCE)


def _found(connection: Connection, scope: Scope, identifier: uuid.UUID) -> Export:
    one = exports.find(connection, scope.organization, identifier)
    scope.check(one.study, f"there is no export {identifier}")
    return one


def _shown(connection: Connection, scope: Scope, identifier: uuid.UUID) -> ExportView:
    return _view(_found(connection, scope, identifier), studies.names(connection, scope.organization))


def _changed(connection: Connection, scope: Scope, identifier: uuid.UUID, change: Any) -> Change:
    done: Change = change(connection, _found(connection, scope, identifier))
    return done


def _listed(
    connection: Connection, scope: Scope, wanted: Filter, offset: int, limit: int
) -> tuple[list[ExportView], int]:
    names = studies.names(connection, scope.organization)
    found, total = exports.listed(connection, scope.organization, scope.studies, wanted, offset, limit)
    return [_view(one, names) for one in found], total


def _view(one: Export, names: dict[int, str]) -> ExportView:
    place = f"/api/v1/exports/jobs/{one.uuid}"
    links = {"self": place, **({"download": f"{place}/download"} if one.status in READY else {})}
    asked = one.definition
    return ExportView(
        one.uuid, ExportKind(one.kind), None if one.study is None else names.get(one.study), asked["source"],
        asked["format"], asked["options"], asked["variables"], asked["purpose"], ExportStatus(one.status),
        _progress(one), one.aside, one.file, one.media_type, one.size,
        None if one.sha256 is None else one.sha256.hex(), one.warnings, one.problem, one.downloads, one.asked_name,
        clock.from_micros(one.created_at), _moment(one.started_at), _moment(one.ended_at), _moment(one.expires_at),
        one.version, links,
    )  # fmt: skip


def _progress(one: Export) -> Progress:
    share = 1.0 if one.status in READY else one.done / one.rows if one.rows else 0.0
    remaining = None
    if one.status == ExportStatus.RUNNING and one.started_at is not None and share > 0:
        remaining = round((clock.micros() - one.started_at) / 1e6 * (1 - share) / share, 1)
    return Progress(one.done, one.rows, round(100 * share, 1), remaining)


def _moment(stamp: int | None) -> datetime.datetime | None:
    return None if stamp is None else clock.from_micros(stamp)
