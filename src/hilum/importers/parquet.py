"""Apache Parquet: typed columns; where this hub wrote the file, its footer gives the data set back as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hilum.errors import FormatError
from hilum.formats import arrow_columns
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema


class Options(Config):
    """There is nothing to say: the file has its types."""


class ParquetImporter(Importer[Options]):
    names = ("parquet",)
    suffixes = (".parquet", ".pq")
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        with _broken("this is no Parquet file, or a broken one"), pq.ParquetFile(path) as file:
            dataset = arrow_columns.dataset(file.schema_arrow, path.stem)
        yield Table(dataset, _batches(path, schema(dataset)))


def _batches(path: Path, held: pa.Schema) -> Iterator[pa.RecordBatch]:
    row = 0
    with _broken("the file is broken"), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            if batch.num_rows:
                yield arrow_columns.batch(batch, held, row)
            row += batch.num_rows


@contextlib.contextmanager
def _broken(reason: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        raise FormatError(reason) from None


importer = ParquetImporter
