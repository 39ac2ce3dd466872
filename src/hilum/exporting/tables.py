"""Where the rows of an export come from: a version of a data set, or the hub's own records.

Records change while they are read. So they are read once, into a file that is sealed as everything is, and exported
from there: what is counted is what is written, and no reader holds the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from hilum.errors import ConfigError
from hilum.exporting.means import Means, Watch
from hilum.model.dataset import Dataset, dataset_of
from hilum.sdk.tables import schema
from hilum.security.sealed_file import SealedWriter, new_key
from hilum.store import dataset_files, datasets, files, organizations
from hilum.store.exports import Export
from hilum.store.listings import LISTINGS, Listing, Window

_PAGE = 5_000  # records that are read at once
_BODIES = 200  # with what is in them


class Opened:
    """A table that is there to be read, as often as it takes."""

    def __init__(self, dataset: Dataset, rows: int, path: Path, key: bytes, bound: bytes) -> None:
        self.dataset, self.rows = dataset, rows
        self._path, self._key, self._bound = path, key, bound

    def batches(self, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Of these variables, in their order. Raises StoreError, OSError."""
        with dataset_files.opened(self._path, self._key, self._bound) as stream:
            yield from dataset_files.batches(stream, names)


@contextlib.asynccontextmanager
async def opened(means: Means, one: Export, watch: Watch) -> AsyncIterator[Opened]:
    """What the export is of. Raises NotFound, StoreError, Conflict where nobody wants it any more."""
    source = one.definition["source"]
    owner = (await means.store.within(one.organization).read(organizations.get, one.organization)).uuid
    if "records" not in source:
        yield await dataset_table(means, one.organization, owner, source)
        return
    path = files.path_of(means.store.folder, files.PACKAGES, owner, one.uuid)
    path = path.with_name(f"{path.name}.records{files.PARTIAL}")
    try:
        yield await _spooled(means, one, path, watch)
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def dataset_table(means: Means, organization: int, owner: uuid.UUID, source: dict[str, Any]) -> Opened:
    """A version of a data set; `owner` is the organization's own id. Raises NotFound, StoreError."""
    own = means.store.within(organization)
    version = await own.read(datasets.find, organization, uuid.UUID(source["dataset"]), source["version"])
    key = await means.vault.open(datasets.key_place(organization, version.uuid), version.sealed)
    path = files.path_of(means.store.folder, files.DATASETS, owner, version.uuid)
    dataset = dataset_of({**version.document, "name": version.name})
    return Opened(dataset, version.rows, path, key, datasets.bound(organization, version.uuid))


async def _spooled(means: Means, one: Export, path: Path, watch: Watch) -> Opened:
    source = one.definition["source"]
    listing, window = LISTINGS[source["records"]], _window(one, source)
    await means.flush()
    key, bound = new_key(), b"records|" + one.uuid.bytes
    dataset = Dataset(listing.name, listing.columns(window), listing.label)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.private(path) as file:
        stream = io.BufferedWriter(SealedWriter(file, key, bound), 1 << 20)
        writer = dataset_files.Writer(stream, dataset)
        try:
            async for rows in _pages(means, listing, window):
                watch.check()
                await asyncio.to_thread(writer.write, _batch(dataset, rows))
        finally:
            await asyncio.to_thread(writer.close)  # also what is not wanted: it would be written to a closed file
        await asyncio.to_thread(stream.close)
    return Opened(dataset, writer.rows, path, key, bound)


async def _pages(means: Means, listing: Listing, window: Window) -> AsyncIterator[list[tuple[Any, ...]]]:
    own, after, size = means.store.within(window.organization), 0, _BODIES if window.payload else _PAGE
    while True:
        rows, last = await own.load(listing.read, means.store.sealer, window, after, size)
        if rows:
            yield rows
        if last is None:
            return
        after = last


def _batch(dataset: Dataset, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    held = schema(dataset)
    arrays = [pa.array(_fit(column), field.type) for column, field in zip(columns, held, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=held)


def _fit(column: tuple[Any, ...]) -> list[Any]:
    """Text that no encoding has, such as half a surrogate that a partner's JSON told, is told as it can be."""
    try:
        "".join(one for one in column if isinstance(one, str)).encode()
    except UnicodeEncodeError:
        return [one.encode("utf-8", "replace").decode() if isinstance(one, str) else one for one in column]
    return list(column)


def _window(one: Export, source: dict[str, Any]) -> Window:
    """Nothing that came after it was asked for. Raises ConfigError where the records are not known here."""
    if source["records"] not in LISTINGS:
        raise ConfigError(f"there are no records called {source['records']}", where="records")
    until = min(one.created_at, _micros(source.get("until")) or one.created_at)
    within = source.get("studies")
    return Window(
        one.organization, until, _micros(source.get("since")) or 0, None if within is None else frozenset(within),
        bool(source.get("payload")),
    )  # fmt: skip


def _micros(text: str | None) -> int | None:
    return None if text is None else round(datetime.datetime.fromisoformat(text).timestamp() * 1_000_000)
