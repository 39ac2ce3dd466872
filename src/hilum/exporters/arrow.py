"""Apache Arrow's IPC file (Feather 2), compressed with Zstandard: typed columns that are read without being parsed.

The schema's `hilum.dataset` holds the data set and its variables as JSON; the importer gives the same data set back.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field

from hilum.formats import dataset_footer
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter, schema


class Options(Config):
    """How it is compressed."""

    compression: Literal["zstd", "lz4", "none"] = Field(
        "zstd", description="zstd is small, lz4 is fast, none can be mapped into memory."
    )


class ArrowExporter(Exporter[Options]):
    names = ("arrow", "feather")
    suffix = ".arrow"
    media_type = "application/vnd.apache.arrow.file"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        self._file = export.open(f"{dataset.name}{self.suffix}")
        self._schema = schema(dataset).with_metadata({dataset_footer.KEY: dataset_footer.dump(dataset)})
        how = pa.ipc.IpcWriteOptions(compression=None if config.compression == "none" else config.compression)
        self._writer = pa.ipc.new_file(self._file, self._schema, options=how)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch.cast(self._schema))

    def close(self) -> None:
        self._writer.close()
        self._file.close()


exporter = ArrowExporter
