"""A table in a format: the rows and variables that were asked for, written by the format's exporter."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from hilum import clock
from hilum.errors import DataError
from hilum.exporting.means import Means, Watch
from hilum.exporting.parts import EXCEPTIONS, Parts
from hilum.exporting.tables import Opened, opened
from hilum.formats.selection import Selection
from hilum.model.dataset import Dataset
from hilum.model.selection import Condition
from hilum.sdk import table_formats
from hilum.sdk.config import read
from hilum.sdk.tables import Export
from hilum.store.exports import Export as Row


@dataclasses.dataclass(slots=True)
class Written:
    """What is said of the files that were made."""

    rows: int = 0
    aside: int = 0
    media_type: str = ""
    packed: bool = False
    """Is it a ZIP even of one file?"""
    warnings: list[str] = dataclasses.field(default_factory=list)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


async def make(means: Means, one: Row, parts: Parts, watch: Watch) -> Written:
    """Raises NotFound, DataError, ConfigError, StoreError, OSError, Conflict where nobody wants it any more."""
    async with opened(means, one, watch) as table:
        watch.rows = table.rows
        return await asyncio.to_thread(write, table, one.definition, parts, watch)


def write(table: Opened, wanted: dict[str, Any], parts: Parts, watch: Watch) -> Written:
    """On a thread. Raises what `make` does."""
    done, kind = Written(), table_formats.exporter(wanted["format"])
    conditions = [Condition.model_validate(each) for each in wanted.get("where") or ()]
    selection = Selection(conditions, table.dataset)
    dataset = chosen(table.dataset, wanted.get("variables"))
    rows = _counted(table, selection, watch) if conditions else table.rows
    watch.rows = rows
    aside = parts.exceptions() if wanted.get("set_aside") else None
    export = Export(
        parts.open, rows, clock.from_micros(parts.created), done.warnings.append, None if aside is None else aside.put
    )
    exporter = kind(read(kind.Config, wanted.get("options") or {}, "options"), dataset, export)
    for batch in _selected(table, dataset, selection):
        watch.more(batch.num_rows)
        done.rows += batch.num_rows
        exporter.write(batch)
    exporter.close()
    if done.rows != rows:
        raise DataError(f"the source changed meanwhile: {rows} rows were counted, {done.rows} came; ask once more")
    if aside is not None:
        aside.close()
        done.aside = aside.count
        if not done.aside:
            parts.drop(EXCEPTIONS)
    done.media_type = kind.media_type
    return done


def chosen(dataset: Dataset, names: list[str] | None) -> Dataset:
    """With these variables alone, in this order. Raises DataError where there is none of that name."""
    if not names:
        return dataset
    known = {one.name: one for one in dataset.variables}
    for name in names:
        if name not in known:
            raise DataError(f"data set {dataset.name} has no such variable", variable=name)
    return dataclasses.replace(dataset, variables=tuple(known[name] for name in names))


def _counted(table: Opened, selection: Selection, watch: Watch) -> int:
    """How many rows are meant: formats that say so first have to know."""
    found = 0
    for batch in table.batches(selection.names):
        watch.check()
        found += selection.mask(batch).true_count
    return found


def _selected(table: Opened, dataset: Dataset, selection: Selection) -> Iterator[pa.RecordBatch]:
    """The rows that are meant, of the data set's variables."""
    names = list(dataset.names)
    wanted = tuple(dict.fromkeys([*names, *selection.names]))
    for batch in table.batches(wanted):
        meant = batch.filter(selection.mask(batch)) if selection.names else batch
        if meant.num_rows or not selection.names:
            yield meant.select(names)
