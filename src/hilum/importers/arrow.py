"""Apache Arrow's IPC file (Feather 2): typed columns; where this hub wrote it, the data set comes back as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hilum.errors import FormatError
from hilum.formats import arrow_columns
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema


class Options(Config):
    """There is nothing to say: the file has its types."""


class ArrowImporter(Importer[Options]):
    names = ("arrow", "feather")
    suffixes = (".arrow", ".feather")
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        with _broken("this is no Arrow file, or a broken one"), pa.memory_map(str(path)) as mapped:
            dataset = arrow_columns.dataset(pa.ipc.open_file(mapped).schema, path.stem)
        yield Table(dataset, _batches(path, schema(dataset)))


def _batches(path: Path, held: pa.Schema) -> Iterator[pa.RecordBatch]:
    row = 0
    with _broken("the file is broken"), pa.memory_map(str(path)) as mapped:
        file = pa.ipc.open_file(mapped)
        for number in range(file.num_record_batches):
            whole = file.get_batch(number)
            for start in range(0, whole.num_rows, BATCH):
                yield arrow_columns.batch(whole.slice(start, BATCH), held, row + start)
            row += whole.num_rows


@contextlib.contextmanager
def _broken(reason: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        raise FormatError(reason) from None


importer = ArrowImporter
