"""Writes a data set in the format that was asked for: whole, sealed, or not there at all.

What the format cannot hold ends the export with row and variable, or, where that was asked for, goes to a file of
exceptions beside it. More than one file leaves as a ZIP. What a restart interrupted begins anew and
gives the same bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import io
import os
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from hilum import clock, telemetry
from hilum.errors import Conflict, DataError, HilumError
from hilum.formats import csv_table
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.dataset import Dataset, dataset_of
from hilum.model.export import ExportStatus
from hilum.sdk.config import read
from hilum.security.sealed_file import SealedWriter, new_key
from hilum.store import Store, datasets, exports, files, organizations
from hilum.store.datasets import Version
from hilum.store.exports import Export as Row
from hilum.store.exports import Written
from hilum.store.jobs import Job

_TOLD = 0.5  # seconds from one report of progress to the next
_PIECE = 1 << 20
_WARNINGS = 100  # that are kept
EXCEPTIONS = "exceptions.csv"
log = telemetry.logger("jobs")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `rows` are in the file, and values beside it (`aside`). Raises HilumError."""
    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    own, organization = context.store.within(job.organization), job.organization
    one = await own.read(exports.find, organization, uuid.UUID(job.arguments["export"]))
    owner = (await own.read(organizations.get, organization)).uuid
    writing = _Writing(context.store.folder, owner, one)
    try:
        made = await _made(context, writing)
        await own.change(Act(HUB, Scope(organization), "export.finish"), exports.finish, one, made)
    except Exception as error:  # whatever it was, nobody shall wait for it for ever
        await asyncio.to_thread(writing.remove)
        now = (await own.read(exports.find, organization, one.uuid)).status
        if isinstance(error, Conflict) and now != ExportStatus.RUNNING:
            return {"status": now}  # cancelled, and perhaps asked for again, which is another job
        problem = _problem(error)
        await own.change(Act(HUB, Scope(organization), "export.fail"), exports.fail, one, problem)
        raise HilumError(problem["reason"] if not isinstance(error, HilumError) else str(error)) from error
    return {"rows": made.rows, "aside": made.aside}


async def _made(context: Context, writing: _Writing) -> Written:
    """Raises Conflict where it was cancelled, NotFound where the data set is gone, and what `_Writing.write` raises."""
    one, vault = writing.row, context.vault
    assert vault is not None  # noqa: S101 - `run` looked
    own, source = context.store.within(one.organization), one.definition["source"]
    version = await own.read(datasets.find, one.organization, uuid.UUID(source["dataset"]), source["version"])
    await own.write(exports.begin, one, version.rows)
    key = await vault.open(datasets.key_place(one.organization, version.uuid), version.sealed)
    await _watched(writing, version, key, context.store)
    sealed, number = await vault.seal(exports.key_place(one.organization, one.uuid), writing.key)
    return dataclasses.replace(writing.made, sealed=sealed, key=number)


async def _watched(writing: _Writing, version: Version, key: bytes, store: Store) -> None:
    """Write on a thread, tell how far it is, stop where nobody wants it any more."""
    task = asyncio.create_task(asyncio.to_thread(writing.write, version, key))
    while not task.done():
        await asyncio.wait([task], timeout=_TOLD)
        if not await store.within(writing.row.organization).write(exports.progress, writing.row, writing.done):
            writing.unwanted.set()
    await task


class _Writing:
    """An export on its way into a file."""

    def __init__(self, folder: Path, owner: uuid.UUID, row: Row) -> None:
        self.row, self._folder, self._owner = row, folder, owner
        self._target = files.path_of(folder, files.PACKAGES, owner, row.uuid)
        self._parts: list[_Part] = []
        self._warnings: list[str] = []
        self._exceptions: _Exceptions | None = None
        self.key = b""
        self.done = 0
        self.unwanted = threading.Event()
        self.made: Written

    def write(self, version: Version, key: bytes) -> None:
        """Raises DataError, ConfigError, StoreError, OSError, or Conflict where nobody wants it any more."""
        from hilum.sdk import table_formats  # brings pyarrow, which a hub at work does without
        from hilum.sdk.tables import Export
        from hilum.store import dataset_files

        wanted, source = self.row.definition, files.path_of(self._folder, files.DATASETS, self._owner, version.uuid)
        kind = table_formats.exporter(wanted["format"])
        if wanted.get("set_aside"):
            self._exceptions = _Exceptions(self._open(EXCEPTIONS))
        aside = None if self._exceptions is None else self._exceptions.put
        export = Export(self._open, version.rows, clock.from_micros(self.row.created_at), self._warnings.append, aside)
        dataset = chosen(dataset_of({**version.document, "name": version.name}), wanted.get("variables"))
        exporter = kind(read(kind.Config, wanted.get("options") or {}, "options"), dataset, export)
        place = datasets.bound(version.organization, version.uuid)
        with dataset_files.opened(source, key, place) as stream:
            for batch in dataset_files.batches(stream, dataset.names):
                if self.unwanted.is_set():
                    raise Conflict("the export was cancelled")
                exporter.write(batch)
                self.done += batch.num_rows
        exporter.close()
        self._finish(dataset_files, kind.media_type)

    def remove(self) -> None:
        for part in self._parts:
            part.remove()
        files.remove(self._target)

    def _open(self, name: str) -> BinaryIO:
        path = self._target.with_name(f"{self._target.name}.{len(self._parts)}{files.PARTIAL}")
        self._parts.append(_Part(exports.file_name(name), path, exports.bound(self.row.organization, self.row.uuid)))
        return cast(BinaryIO, self._parts[-1].stream)

    def _finish(self, dataset_files: Any, media_type: str) -> None:
        """One file as it is, several as a ZIP; nothing lies there in the clear at any time."""
        aside = 0 if self._exceptions is None else self._exceptions.close()
        if self._exceptions is not None and not aside:
            self._parts.pop(0).remove()
        only, name = self._parts[0], self._parts[0].name
        if len(self._parts) == 1:
            only.keep(self._target)
            self.key, counted = only.key, only.counted
        else:
            self.key, name, media_type = new_key(), f"{Path(self.row.file).stem}.zip", "application/zip"
            with dataset_files.written(self._target, self.key, only.bound) as sealed:
                counted = dataset_files.Counted(sealed)
                _zip(counted, sorted(self._parts, key=lambda part: part.name), self.row.created_at)
            for part in self._parts:
                part.remove()
        self.made = Written(
            counted.size, counted.sha256.digest(), b"", 0, self.done, aside, name, media_type,
            list(dict.fromkeys(self._warnings))[:_WARNINGS],
        )  # fmt: skip


class _Part:
    """A file of an export while that is being made, sealed with a key of its own."""

    def __init__(self, name: str, path: Path, bound: bytes) -> None:
        from hilum.store import dataset_files

        self.name, self.bound, self.key, self._path, self._files = name, bound, new_key(), path, dataset_files
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._sealed = SealedWriter(self._file, self.key, bound)
        self.counted = dataset_files.Counted(self._sealed)
        self.stream = io.BufferedWriter(self.counted, _PIECE)

    def keep(self, target: Path) -> None:
        """It is whole: under its own name, and on the disk."""
        self._close()
        self._path.replace(target)
        files.sync(target.parent)

    def pieces(self) -> Iterator[bytes]:
        """What was written."""
        self._close()
        with self._files.opened(self._path, self.key, self.bound) as plain:
            while piece := plain.read(_PIECE):
                yield piece

    def remove(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        self.stream.close()  # nothing where the exporter did so
        self._sealed.close()
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class _Exceptions:
    """The file of what could not be represented: row, variable, value, reason."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stream.write(csv_table.lines([["row", "variable", "value", "reason"]]))
        self._count = 0

    def put(self, one: Any) -> None:
        self._count += 1
        self._stream.write(csv_table.lines([[one.row, one.variable, one.value, one.reason]]))

    def close(self) -> int:
        """How many there are."""
        self._stream.close()
        return self._count


def chosen(dataset: Dataset, names: list[str] | None) -> Dataset:
    """With these variables alone, in this order. Raises DataError where there is none of that name."""
    if not names:
        return dataset
    known = {one.name: one for one in dataset.variables}
    for name in names:
        if name not in known:
            raise DataError(f"data set {dataset.name} has no such variable", variable=name)
    return dataclasses.replace(dataset, variables=tuple(known[name] for name in names))


def _zip(sink: Any, parts: list[_Part], created: int) -> None:
    moment = max(clock.from_micros(created), datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC))
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:
        for part in parts:
            entry = zipfile.ZipInfo(part.name, moment.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            with package.open(entry, "w", force_zip64=True) as target:
                for piece in part.pieces():
                    target.write(piece)


def _problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, DataError):
        return {"reason": error.reason, "row": error.row, "variable": error.variable}
    if isinstance(error, OSError):
        return {"reason": f"the file cannot be written: {error.strerror}", "row": 0, "variable": ""}
    if not isinstance(error, HilumError):
        log.exception("an export failed", error=type(error).__name__)
        return {"reason": f"internal error: {type(error).__name__}", "row": 0, "variable": ""}
    return {"reason": str(error), "row": 0, "variable": ""}
