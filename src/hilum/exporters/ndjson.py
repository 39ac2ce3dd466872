"""NDJSON: a JSON object a line (RFC 8259, UTF-8), with the variables in their order.

A missing value is null, dates and times are ISO 8601 strings, a decimal is a string that keeps its digits. JSON has no
NaN and no infinity: such a number is refused.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field

from hilum.formats.json_rows import Rows
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """How values look."""

    special_missing: Literal["letter", "null"] = Field(
        "letter", description="A special missing value of SAS as the string .A, or as null like any missing value."
    )


class NdjsonExporter(Exporter[Options]):
    names = ("ndjson", "jsonl")
    suffix = ".ndjson"
    media_type = "application/x-ndjson"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        self._file = export.open(f"{dataset.name}{self.suffix}")
        self._rows = Rows(dataset, export.refuse, after="\n", letters=config.special_missing == "letter")

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(self._rows.bytes(batch))

    def close(self) -> None:
        self._file.close()


exporter = NdjsonExporter
