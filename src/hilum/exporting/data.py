"""A table in a format: the rows and variables that were asked for, written by the format's exporter."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from hilum import clock
from hilum.errors import DataError
from hilum.exporting import deidentifying
from hilum.exporting.deidentifying import Change
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
        return await asyncio.to_thread(_made, table, one, parts, watch, deidentifying.maker(means, one))


def _made(table: Opened, one: Row, parts: Parts, watch: Watch, change: Change | None) -> Written:
    """The rows that are meant, as they may leave."""
    if conditions := [Condition.model_validate(each) for each in one.definition.get("where") or ()]:
        table = Selected(table, conditions, watch)
    if change is None:
        return write(table, one.definition, parts, watch)
    changed = change(table, watch)
    done = write(changed, one.definition, parts, watch)
    done.facts["deidentified"] = changed.told
    return done


def write(table: Opened, wanted: dict[str, Any], parts: Parts, watch: Watch) -> Written:
    """All rows of a table, of the variables that are wanted. On a thread. Raises what `make` does."""
    done, kind = Written(), table_formats.exporter(wanted["format"])
    dataset = chosen(table.dataset, wanted.get("variables"))
    watch.rows = table.rows
    aside = parts.exceptions() if wanted.get("set_aside") else None
    put = None if aside is None else aside.put
    export = Export(parts.open, table.rows, clock.from_micros(parts.created), done.warnings.append, put)
    exporter = kind(read(kind.Config, wanted.get("options") or {}, "options"), dataset, export)
    for batch in table.batches(dataset.names):
        watch.more(batch.num_rows)
        done.rows += batch.num_rows
        exporter.write(batch)
    exporter.close()
    if done.rows != table.rows:
        said = f"{table.rows} rows were counted, {done.rows} came"
        raise DataError(f"the source changed meanwhile: {said}; ask once more")
    if aside is not None:
        aside.close()
        done.aside = aside.count
        if not done.aside:
            parts.drop(EXCEPTIONS)
    done.media_type, done.packed = kind.media_type, kind.packed
    return done


class Selected(Opened):
    """The rows of a table that meet conditions. They are counted first: formats that say how many there are have to."""

    def __init__(self, table: Opened, conditions: Sequence[Condition], watch: Watch) -> None:
        self._table, self._selection = table, Selection(conditions, table.dataset)
        self.dataset, self.rows = table.dataset, 0
        for batch in table.batches(self._selection.names):
            watch.check()
            self.rows += self._selection.mask(batch).true_count

    def batches(self, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Conditions may be on variables that are not asked for."""
        wanted = tuple(dict.fromkeys([*names, *self._selection.names]))
        for batch in self._table.batches(wanted):
            meant = batch.filter(self._selection.mask(batch))
            if meant.num_rows:
                yield meant.select(list(names))


def chosen(dataset: Dataset, names: list[str] | None) -> Dataset:
    """With these variables alone, in this order. Raises DataError where there is none of that name."""
    if not names:
        return dataset
    known = {one.name: one for one in dataset.variables}
    for name in names:
        if name not in known:
            raise DataError(f"data set {dataset.name} has no such variable", variable=name)
    return dataclasses.replace(dataset, variables=tuple(known[name] for name in names))
