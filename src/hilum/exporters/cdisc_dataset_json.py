"""CDISC Dataset-JSON 1.1: json, ndjson or dsjc (ndjson compressed), streamed.

Dates that are SAS's counts are written as ISO 8601 text with targetDataType integer, decimals as text. JSON has no
special missing values, no NaN and no infinity: they are refused.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from hilum.errors import DataError
from hilum.formats.dataset_json import Form, Writer, metadata
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """How Dataset-JSON is written."""

    form: Form = Field(Form.JSON, description="json (one object), ndjson (a row a line) or dsjc (ndjson, compressed).")


class DatasetJsonExporter(Exporter[Options]):
    """Writes one file, named as CDISC does: the data set in lower case, its form as suffix."""

    names = ("cdisc-dataset-json-1.1", "cdisc-dataset-json", "dataset-json")
    suffix = ".json"  # of the form that is written unless told otherwise
    media_type = "application/json"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        if others := metadata.unwritten(dataset):
            export.warn(f"Dataset-JSON 1.1 has no {', '.join(others)}: what was read of it is not written")
        words = metadata.write(dataset, export.rows, export.created)
        self._file = export.open(f"{dataset.name.lower()}.{config.form}")
        self._writer = Writer(self._file, config.form, dataset, words, export.refuse)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()
        self._file.close()
        if self._writer.rows != self.export.rows:
            raise DataError(f"{self.export.rows:,} rows were announced, and {self._writer.rows:,} written")


exporter = DatasetJsonExporter
