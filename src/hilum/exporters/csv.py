"""CSV (RFC 4180, UTF-8): one line of names, then a line a row.

Every text is in quotes, an empty one too; a missing value is an empty cell. Numbers are the shortest text that reads
back as the same number, dates ISO 8601 text, booleans true and false. Texts that a spreadsheet would run as a formula
get an apostrophe before them; the importer's option `formulas: guarded` takes exactly these away again
(`formats.delimited` has the rule).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field

from hilum.formats.delimited import Dialect, Writer
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """How the text looks."""

    delimiter: Literal[",", ";", "|"] = Field(",", description="What stands between two cells.")
    line_ending: Literal["crlf", "lf"] = Field("crlf", description="crlf as RFC 4180 has it, or lf as Unix does.")
    bom: bool = Field(False, description="Begin with a byte order mark, by which Excel knows UTF-8.")
    header: bool = Field(True, description="Begin with a line of the variables' names.")
    formulas: Literal["guard", "keep"] = Field(
        "guard", description="guard puts an apostrophe before text that a spreadsheet would run; keep leaves it."
    )
    special_missing: Literal["letter", "empty"] = Field(
        "letter", description="A special missing value of SAS as .A, or as an empty cell like any missing value."
    )


class CsvExporter(Exporter[Options]):
    names = ("csv",)
    suffix = ".csv"
    media_type = "text/csv"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        dialect = Dialect(
            delimiter=config.delimiter,
            ending="\r\n" if config.line_ending == "crlf" else "\n",
            bom=config.bom,
            header=config.header,
            guard=config.formulas == "guard",
            letters=config.special_missing == "letter",
        )
        self._writer = Writer(export.open(f"{dataset.name}{self.suffix}"), dataset, dialect, export.refuse)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()


exporter = CsvExporter
