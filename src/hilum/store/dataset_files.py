"""The file of a data set's version: Parquet, sealed, written and read batch by batch.

Parquet (zstd) holds the columns as `sdk.tables.schema` says; what the data set is stands in the version's row.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hilum.errors import StoreError
from hilum.model.dataset import Dataset
from hilum.sdk.tables import BATCH, schema
from hilum.security.sealed_file import SealedReader, SealedWriter
from hilum.store import files

GROUP = 1 << 17
"""Rows of a row group: what a reader needs in memory at once."""


class Counted(io.RawIOBase):
    """Passes on what is written, and knows how much that was and its SHA-256."""

    def __init__(self, file: IO[bytes] | io.RawIOBase) -> None:
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, content: Any, /) -> int:
        count = memoryview(content).nbytes
        self._file.write(content)
        self.sha256.update(content)
        self.size += count
        return count


class Writer:
    """Writes a version's rows. Raises StoreError where a batch is not what the data set says."""

    def __init__(self, sink: IO[bytes], dataset: Dataset) -> None:
        self._schema = schema(dataset)
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd")
        self._kept: list[pa.RecordBatch] = []
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.schema.equals(self._schema):
            raise StoreError(f"a batch has {batch.schema}, the data set {self._schema}")
        self._kept.append(batch)
        self.rows += batch.num_rows
        if sum(one.num_rows for one in self._kept) >= GROUP:
            self._put()

    def close(self) -> None:
        self._put()
        self._writer.close()

    def _put(self) -> None:
        if self._kept:
            self._writer.write_table(pa.Table.from_batches(self._kept), row_group_size=GROUP)
        self._kept = []


@contextlib.contextmanager
def written(path: Path, key: bytes, bound: bytes) -> Iterator[IO[bytes]]:
    """A sealed file that is there, whole, when the block has ended; where it fails nothing is. Raises OSError."""
    with files.written(path) as file, io.BufferedWriter(SealedWriter(file, key, bound), 1 << 20) as stream:
        yield stream


@contextlib.contextmanager
def opened(path: Path, key: bytes, bound: bytes) -> Iterator[IO[bytes]]:
    """The plain content of a sealed file, from any place. Raises StoreError, OSError."""
    with path.open("rb") as file, io.BufferedReader(SealedReader(file, key, bound), 1 << 20) as stream:
        yield stream


def batches(stream: IO[bytes], names: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
    """Its rows in order; `names`: of these columns alone, in their order. Raises StoreError."""
    found = pq.ParquetFile(stream)
    for batch in found.iter_batches(BATCH, columns=None if names is None else list(names), use_threads=False):
        yield batch if names is None else batch.select(list(names))
