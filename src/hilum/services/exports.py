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
from hilum.errors import ConfigError, Conflict, Gone, NotFound
from hilum.exporting import asking, requests
from hilum.exporting.asking import AnyWish
from hilum.exporting.dashboards import DASHBOARDS
from hilum.exporting.definition import Definition
from hilum.exporting.reports import REPORTS
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.export import (
    DASHBOARD_FORMATS,
    ENDED,
    NEEDED,
    READY,
    REPORT_FORMATS,
    Destination,
    ExportKind,
    ExportStatus,
)
from hilum.model.identifier import parse
from hilum.sdk.registry import Registry
from hilum.security.sealed_file import SealedReader
from hilum.services.jobs import Jobs
from hilum.services.policy import Intent, Policy
from hilum.services.vault import Vault
from hilum.store import Connection, Store, exports, files, integrations, organizations, records, signatures, studies
from hilum.store.exports import Export, Filter

RELEASE = "export.release"
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
class Progress:
    """`rows_total` None: not known yet."""

    rows_done: int
    rows_total: int | None
    percent: float
    remaining_seconds: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExportView:
    """An export. `sha256` and `bytes` are of the file as it is downloaded, `set_aside` counts values beside it.

    `release`: none is needed, it is `needed`, or the id of the signature that released it. `facts`: what else is known
    of the file, such as its SHA-256 before it was encrypted. `parts`: of a package, and only where one is looked at.
    """

    id: uuid.UUID
    kind: ExportKind
    study: str | None
    source: dict[str, Any]
    format: str
    options: dict[str, Any]
    variables: list[str] | None
    where: list[dict[str, Any]]
    deidentify: dict[str, Any] | None
    purpose: str
    receiver: dict[str, Any]
    destination: dict[str, Any] | None
    status: ExportStatus
    release: str
    progress: Progress
    set_aside: int
    file: str
    media_type: str
    bytes: int | None
    sha256: str | None
    facts: dict[str, Any]
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
    parts: list[ExportView] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseSignature:
    """The statement of who released an export, its Ed25519 seal and key (hexadecimal), and the record it is of.

    `record_sha256` of the statement is that of the record's canonical JSON; the record has the file's SHA-256.
    """

    statement: str
    seal: str
    public_key: str
    record: dict[str, Any]


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
            name, list(one.names), table_formats.about(one), one.media_type, one.suffix, _kinds(name),
            name in _REGULATORY, one.max_rows, table_formats.form(one),
        )
        for name, one in sorted(kinds.items())
    ]  # fmt: skip


def _kinds(name: str) -> list[ExportKind]:
    """What can be had in a format."""
    pages = ((ExportKind.REPORT, REPORT_FORMATS), (ExportKind.DASHBOARD, DASHBOARD_FORMATS))
    return [ExportKind.DATA, *(kind for kind, formats in pages if name in formats)]


@dataclasses.dataclass(frozen=True, slots=True)
class PagesKind:
    """A report or a dashboard that there is. `days`: the longest time it can be of; 0: it tells how things stand."""

    name: str
    title: str
    about: str
    permissions: list[str]
    days: int
    formats: list[str]


def reports() -> list[PagesKind]:
    """By name."""
    return [_pages_kind(one, REPORT_FORMATS) for one in REPORTS.values()]


def dashboards() -> list[PagesKind]:
    """By name."""
    return [_pages_kind(one, DASHBOARD_FORMATS) for one in DASHBOARDS.values()]


def _pages_kind(one: Definition, formats: tuple[str, ...]) -> PagesKind:
    return PagesKind(one.name, one.title, one.about, sorted(one.permissions), one.days, list(formats))


class Exports:
    """The use cases."""

    def __init__(self, store: Store, vault: Vault, jobs: Jobs, policy: Policy, registry: Registry) -> None:
        self._store = store
        self._vault = vault
        self._jobs = jobs
        self._policy = policy
        self._registry = registry

    async def ask(self, act: Act, wanted: AnyWish) -> ExportView:
        """A job makes it. Raises NotFound, ConfigError (format, options, variables), Refused, TooMany, Conflict."""
        ready = await asking.ready(wanted)
        await self._takes_files(act, getattr(wanted, "destination", None))
        made = await self._store.within(act.organization).change(act, asking.ask, act, ready)
        return await self.begun(act, made.uuid)

    async def _takes_files(self, act: Act, wanted: Destination | None) -> None:
        """Raises ConfigError where the connector of an endpoint that is there takes none."""
        if wanted is None:
            return
        owner, _, name = wanted.endpoint.partition("/")
        found = await self._store.within(act.organization).read(integrations.named, act.scope, owner)
        there = [] if found is None else [one for one in found.model.endpoints if one.name == name]
        for one in there:
            if one.direction == "outbound" and self._registry.connector(one.scheme).depositor is None:
                raise ConfigError(f"{wanted.endpoint} takes no files, only messages", where="destination.endpoint")

    async def begun(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """One that was just asked for: its job is taken up."""
        await self._jobs.take_up(exports.JOB)
        return await self.show(act, identifier)

    async def list(self, scope: Scope, wanted: Filter, offset: int, limit: int) -> tuple[list[ExportView], int]:
        """The newest first, and how many there are."""
        return await self._store.within(scope.organization).read(_listed, scope, wanted, offset, limit)

    async def show(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """With its parts. Raises NotFound."""
        return await self._store.within(act.organization).read(_shown, act.scope, identifier)

    async def cancel(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """Raises NotFound, Conflict where it has ended."""
        await self._store.within(act.organization).change(act, _changed, act.scope, identifier, exports.cancel)
        return await self.show(act, identifier)

    async def retry(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """What failed or was cancelled is made once more. Raises NotFound, Refused, TooMany, Conflict."""
        await self._store.within(act.organization).change(act, _again, act, identifier)
        await self._jobs.take_up(exports.JOB)
        return await self.show(act, identifier)

    async def release(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """From now on it may be fetched. Raises NotFound, Conflict, and what policy asks for: a signature."""
        within = self._store.within(act.organization)
        one = await within.read(found, act.scope, identifier)
        requests.allow(act, one)
        if one.status not in READY or one.release != NEEDED:
            raise Conflict(f"the export {identifier} does not wait for a release: it is {one.status}")
        digest = "" if one.sha256 is None else one.sha256.hex()
        await self._policy.check(act, Intent(RELEASE, one.entity, {"file": one.file, "sha256": digest}))
        signed = str(act.details.get("signature", "unsigned"))
        await within.change(act, exports.released, one, signed)
        return await self.show(act, identifier)

    async def signature(self, act: Act, identifier: uuid.UUID) -> ReleaseSignature:
        """What it was released by, for whoever verifies it elsewhere. Raises NotFound where nobody has signed."""
        within = self._store.within(act.organization)
        one = await within.read(found, act.scope, identifier)
        number = parse(one.release)
        made = None if number is None else await within.read(signatures.find, Scope(act.organization), number)
        record = await within.read(records.read, act.organization, one.entity)
        if made is None or record is None:
            raise NotFound(f"the export {identifier} was not released by a signature")
        return ReleaseSignature(made.text, made.seal.hex(), self._policy.public_key.hex(), record.document)

    async def remove(self, act: Act, identifier: uuid.UUID) -> None:
        """Its file goes, its record stays. Raises NotFound, Conflict where it still runs."""
        own = self._store.within(act.organization)
        one = await own.read(found, act.scope, identifier)
        if one.status not in ENDED:
            raise Conflict(f"the export {identifier} is {one.status}: cancel it first")
        if one.status in READY:
            await own.change(act, _changed, act.scope, identifier, exports.expire)
        await asyncio.to_thread(files.remove, await self._path(one))

    async def file(self, act: Act, identifier: uuid.UUID, *, draft: bool = False) -> File:
        """What to download; `draft`: to look at before it is released. Raises NotFound, Refused, Gone, Conflict."""
        own = self._store.within(act.organization)
        one = await own.read(found, act.scope, identifier)
        requests.allow(act, one)
        file = await self.opened(one, draft=draft)
        act.details |= {"draft": True} if one.release == NEEDED else {}
        act.details |= {"sha256": file.sha256.hex(), "bytes": file.size}
        return file

    async def given(self, act: Act, identifier: uuid.UUID) -> None:
        """Bytes of it are about to leave. Raises NotFound."""
        own = self._store.within(act.organization)
        await own.write(exports.fetched, await own.read(found, act.scope, identifier))

    async def opened(self, one: Export, *, draft: bool = False) -> File:
        """Its file, for whoever may. Raises Gone (its time is over), Conflict (it is not ready, or not released)."""
        identifier = one.uuid
        if one.parent is not None:
            raise Conflict(f"the export {identifier} has no file of its own: it is in a package")
        if one.status == ExportStatus.EXPIRED or (one.status in READY and (one.expires_at or 0) <= clock.micros()):
            raise Gone(f"the file of export {identifier} is gone: its time is over")
        if one.status in READY and one.release == NEEDED and not draft:
            raise Conflict(f"the export {identifier} waits for its release: somebody has to sign for it first")
        if one.status not in READY or one.sealed is None or one.size is None or one.sha256 is None:
            raise Conflict(f"the export {identifier} has no file to fetch: it is {one.status}")
        path = await self._path(one)
        if not await asyncio.to_thread(path.is_file):
            raise Gone(f"the file of export {identifier} is gone: it was not in the backup; ask for it once more")
        key = await self._vault.open(exports.key_place(one.organization, one.uuid), one.sealed)
        bound = exports.bound(one.organization, one.uuid)
        return File(one.file, one.media_type, one.size, one.sha256, path, key, bound)

    async def _path(self, one: Export) -> Path:
        home = await self._store.within(one.organization).read(organizations.get, one.organization)
        return files.path_of(self._store.folder, files.PACKAGES, home.uuid, one.uuid)


def found(connection: Connection, scope: Scope, identifier: uuid.UUID) -> Export:
    """Raises NotFound where it is not within."""
    one = exports.find(connection, scope.organization, identifier)
    scope.check(one.study, f"there is no export {identifier}")
    return one


def _shown(connection: Connection, scope: Scope, identifier: uuid.UUID) -> ExportView:
    one, names = found(connection, scope, identifier), studies.names(connection, scope.organization)
    parts = [_view(part, names) for part in exports.parts(connection, one)] if one.kind == ExportKind.BULK else None
    return dataclasses.replace(_view(one, names), parts=parts)


def _changed(connection: Connection, scope: Scope, identifier: uuid.UUID, change: Any) -> Change:
    one = found(connection, scope, identifier)
    if one.parent is not None:
        raise Conflict(f"the export {identifier} is a part of a package: it goes with that")
    done: Change = change(connection, one)
    return done


def _again(connection: Connection, act: Act, identifier: uuid.UUID) -> Change:
    one = found(connection, act.scope, identifier)
    requests.allow(act, one)
    requests.obey(connection, act, one)

    def again(connection: Connection, one: Export) -> Change:
        return exports.again(connection, one, asking.limits(connection, act.organization))

    return _changed(connection, act.scope, identifier, again)


def _listed(
    connection: Connection, scope: Scope, wanted: Filter, offset: int, limit: int
) -> tuple[list[ExportView], int]:
    names = studies.names(connection, scope.organization)
    found, total = exports.listed(connection, scope.organization, scope.studies, wanted, offset, limit)
    return [_view(one, names) for one in found], total


def _view(one: Export, names: dict[int, str]) -> ExportView:
    place = f"/api/v1/exports/jobs/{one.uuid}"
    links = {"self": place, **({"download": f"{place}/download"} if one.status in READY and one.size else {})}
    asked = exports.unnamed(one.definition)
    return ExportView(
        one.uuid, ExportKind(one.kind), None if one.study is None else names.get(one.study), asked["source"],
        asked["format"], asked["options"], asked["variables"], asked["where"], asked["deidentify"], asked["purpose"],
        asked["receiver"], asked["destination"], ExportStatus(one.status), one.release or "none",
        _progress(one), one.aside, one.file, one.media_type, one.size,
        None if one.sha256 is None else one.sha256.hex(), one.facts, one.warnings, one.problem, one.downloads,
        one.asked_name,
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
