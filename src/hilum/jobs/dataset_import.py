"""Reads a file that came into data sets: all its tables, or none of them.

It lies sealed until then. What a restart interrupted begins anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from hilum import clock, telemetry
from hilum.errors import ConfigError, DataError, FormatError, HilumError
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.model.dataset import document_of
from hilum.model.identifier import new
from hilum.sdk.config import read
from hilum.security.envelope import Sealing
from hilum.security.sealed_file import new_key
from hilum.store import Connection, Store, dataset_imports, datasets, files, organizations
from hilum.store.dataset_imports import Import
from hilum.store.datasets import Made
from hilum.store.jobs import Job

log = telemetry.logger("jobs")
_TOLD = 1.0  # seconds from one report of progress to the next


async def run(context: Context, job: Job) -> dict[str, Any]:
    """The `datasets` that are there now, and their `rows`. Raises HilumError."""
    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    own = context.store.within(job.organization)
    one = await own.read(dataset_imports.find, job.organization, uuid.UUID(job.arguments["import"]))
    owner = (await own.read(organizations.get, job.organization)).uuid
    await own.write(dataset_imports.begin, one)
    reading = _Reading(context.store, context.vault, one, owner)
    act = Act(HUB, Scope(job.organization), "dataset.import")
    try:
        await reading.read()
    except Exception as error:  # whatever it was, nobody shall wait for it for ever
        problem = _problem(error)
        await own.change(act, _end, one, [], problem)
        raise HilumError(problem["reason"]) from error
    finally:
        await asyncio.to_thread(files.remove, files.path_of(context.store.folder, files.IMPORTS, owner, one.uuid))
    done = await own.change(act, _end, one, reading.made, None)
    return {"datasets": done, "rows": reading.rows}


class _Reading:
    """A file on its way into data sets."""

    def __init__(self, store: Store, vault: Sealing, one: Import, owner: uuid.UUID) -> None:
        self._store, self._vault, self._import, self._owner = store, vault, one, owner
        self.made: list[tuple[str, Made]] = []
        self.rows = 0

    async def read(self) -> None:
        """Write every table's file. Raises FormatError, DataError, ConfigError, StoreError, OSError."""
        one = self._import
        place = dataset_imports.key_place(one.organization, one.uuid)
        key = await self._vault.open(place, one.sealed or b"")
        work = await asyncio.to_thread(_room, self._store.folder)
        reading = asyncio.create_task(asyncio.to_thread(self._read, key, work / "file"))
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=_TOLD)
                await self._store.within(one.organization).write(dataset_imports.progress, one, self.rows)
            unsealed = await reading
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        for name, version, secret in unsealed:
            sealed, number = await self._vault.seal(datasets.key_place(one.organization, version.uuid), secret)
            self.made.append((name, dataclasses.replace(version, sealed=sealed, key=number)))

    def _read(self, key: bytes, plain: Path) -> list[tuple[str, Made, bytes]]:
        from hilum.sdk import table_formats  # brings pyarrow, which a hub at work does without
        from hilum.store import dataset_files

        one, wanted = self._import, self._import.definition
        path = files.path_of(self._store.folder, files.IMPORTS, self._owner, one.uuid)
        bound = dataset_imports.bound(one.organization, one.uuid)
        with dataset_files.opened(path, key, bound) as sealed, plain.open("wb") as file:
            shutil.copyfileobj(sealed, file, 1 << 20)
        plain = plain.rename(plain.with_name(Path(wanted["file"]).name))
        kind = table_formats.importer(wanted["file"], plain, wanted.get("format"))
        importer = kind(read(kind.Config, wanted.get("options") or {}, "options"))
        found = [self._write(dataset_files, table, kind.names[0]) for table in importer.tables(plain)]
        if not found:
            raise FormatError("there is no table in it")
        return self._named(found)

    def _write(self, dataset_files: Any, table: Any, format: str) -> tuple[str, Made, bytes]:
        one, identifier, key = self._import, new(clock.micros()), new_key()
        path = files.path_of(self._store.folder, files.DATASETS, self._owner, identifier)
        with dataset_files.written(path, key, datasets.bound(one.organization, identifier)) as sink:
            writer = dataset_files.Writer(sink, table.dataset)
            for batch in table.batches:
                writer.write(batch)
                self.rows += batch.num_rows
            writer.close()
        size, sha256 = files.digest(path)
        provenance = {"file": one.definition["file"], "file_sha256": one.sha256.hex(), "format": format}
        document = document_of(table.dataset)
        made = Made(identifier, writer.rows, size, sha256, document, provenance | {"import": str(one.uuid)}, b"", 0)
        return table.dataset.name, made, key

    def _named(self, found: list[tuple[str, Made, bytes]]) -> list[tuple[str, Made, bytes]]:
        """Under the name that was asked for, where there is one table. Raises ConfigError where two share one."""
        name = self._import.definition.get("name")
        if name is not None and len(found) > 1:
            raise ConfigError(f"there are {len(found)} tables in it, which cannot all be called {name}", where="name")
        named = [(name or own, made, key) for own, made, key in found]
        if len({own for own, _, _ in named}) < len(named):
            raise FormatError("two of its tables have the same name")
        return named


def _end(
    connection: Connection, one: Import, made: list[tuple[str, Made]], problem: dict[str, Any] | None
) -> Change:  # fmt: skip
    """The data sets, and the end of the import, in one transaction."""
    done = [datasets.put(connection, one.organization, one.study, name, version) for name, version in made]
    rows = sum(each.rows for each in done)
    dataset_imports.end(connection, one, [str(each.dataset) for each in done], rows, problem)
    after = {"problem": problem} if problem else {"datasets": [datasets.shown(each) for each in done]}
    return Change([str(each.dataset) for each in done], one.entity, None, after)


def _room(folder: Path) -> Path:
    """A folder for the file as it came, which importers read; what a killed process left there goes first."""
    for left in folder.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=folder, prefix="work-"))


def _problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, DataError):
        return {"reason": error.reason, "row": error.row, "variable": error.variable}
    if isinstance(error, OSError):
        return {"reason": f"the file cannot be kept: {error.strerror}", "row": 0, "variable": ""}
    if not isinstance(error, HilumError):
        log.exception("an import failed", error=type(error).__name__)
        return {"reason": f"internal error: {type(error).__name__}", "row": 0, "variable": ""}
    return {"reason": str(error), "row": 0, "variable": ""}
