"""The contracts of importers and exporters: tables of a file read, and written, batch by batch in bounded memory.

A file of an importer or exporter holds a docstring whose first line is its catalogue text, `class Options`, and its
class, as `importer` or `exporter`. They run on a thread, know no store and no loop. Columns of a batch are the data
set's variables in their order, held as `model.dataset` says; a null is a missing value.
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, TypeVar

from hilum.errors import ConfigError, DataError
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.config import Config

try:
    import pyarrow as pa
except ImportError:
    raise ConfigError("this needs more libraries: pip install 'hilum[datasets]'") from None

C = TypeVar("C", bound=Config)
BATCH = 65_536  # rows of a batch at most, so that memory has a bound

_HELD = {
    DataType.STRING: pa.string(), DataType.URI: pa.string(), DataType.DECIMAL: pa.string(),
    DataType.INTEGER: pa.int64(), DataType.FLOAT: pa.float64(), DataType.DOUBLE: pa.float64(),
    DataType.BOOLEAN: pa.bool_(),
    DataType.DATE: pa.string(), DataType.DATETIME: pa.string(), DataType.TIME: pa.string(),
}  # fmt: skip


def held(variable: Variable) -> pa.DataType:
    """How a batch holds the variable's values."""
    return pa.float64() if variable.counted else _HELD[variable.type]


def schema(dataset: Dataset) -> pa.Schema:
    """The schema of every batch of the data set."""
    return pa.schema([pa.field(one.name, held(one)) for one in dataset.variables])


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """One table of a file. `batches` are read once, in order; they raise DataError with row and variable."""

    dataset: Dataset
    batches: Iterator[pa.RecordBatch]


class Importer(abc.ABC, Generic[C]):
    """Reads files of one format. `suffixes` with their dot, in lower case; `names` as people say the format.

    Where several formats share a suffix, the one of the lowest `rank` that recognises a file reads it.
    """

    names: ClassVar[tuple[str, ...]]
    suffixes: ClassVar[tuple[str, ...]]
    Config: ClassVar[type[Config]]
    rank: ClassVar[int] = 50

    def __init__(self, config: C) -> None:
        self.config = config

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """Whether a file that begins so may be one of this format."""
        return True

    @abc.abstractmethod
    def tables(self, path: Path) -> Iterator[Table]:
        """The file's tables in its order. Raises FormatError where it is none of this format, DataError, OSError."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unrepresentable:
    """A value that the format cannot represent: it was left out, and stands in the exceptions file instead."""

    row: int
    variable: str
    value: str
    reason: str


@dataclasses.dataclass(slots=True)
class Export:
    """What an exporter is given beside the data set.

    `open` begins a file of this name, which the exporter closes; most formats write one. `rows` is how many there will
    be. `created` stands wherever a format embeds a time, so that the same export gives the same bytes. A value that
    cannot be represented goes to `set_aside` where that is there, and is missing in the file; else the export fails.
    """

    open: Callable[[str], BinaryIO]
    rows: int
    created: datetime.datetime
    warn: Callable[[str], None] = lambda _: None
    set_aside: Callable[[Unrepresentable], None] | None = None

    def refuse(self, row: int, variable: str, value: object, reason: str) -> None:
        """A value that the format cannot represent; `row` counts from 1. Raises DataError unless it is set aside."""
        if self.set_aside is None:
            raise DataError(reason, row=row, variable=variable)
        self.set_aside(Unrepresentable(row, variable, str(value), reason))


class Exporter(abc.ABC, Generic[C]):
    """Writes one data set in one format. `names` are the format's, the first one is shown; `suffix` has its dot.

    `max_rows`: what the format cannot exceed; None: nothing in it says so. `packed`: it leaves as a ZIP even of one
    file, as how many there are depends on the rows.
    """

    names: ClassVar[tuple[str, ...]]
    suffix: ClassVar[str]
    media_type: ClassVar[str]
    max_rows: ClassVar[int | None] = None
    packed: ClassVar[bool] = False
    Config: ClassVar[type[Config]]

    def __init__(self, config: C, dataset: Dataset, export: Export) -> None:
        """Raises ConfigError where it is not for such a table, DataError where the format cannot hold it."""
        if unfit := self.unfit(dataset):
            raise ConfigError(unfit, where="format")
        self.config = config
        self.dataset = dataset
        self.export = export

    @classmethod
    def unfit(cls, dataset: Dataset) -> str:
        """Why the format is not for such a table, which its variables tell; empty where it is."""
        return ""

    @abc.abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows. Raises DataError where a value cannot be represented and is not to be set aside."""

    @abc.abstractmethod
    def close(self) -> None:
        """Write what comes last, close the files. Called once, not after an error."""
