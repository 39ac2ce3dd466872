"""TSV (UTF-8, tabs between cells): one line of names, then a line a row.

Quotes are those of RFC 4180. Every text is in quotes, an empty one too; a missing value is an empty cell. Numbers are
the shortest text that reads back as the same number, dates ISO 8601 text, booleans true and false. Texts that a
spreadsheet would run as a formula get an apostrophe before them; the importer's option `formulas: guarded` takes
exactly these away again (`formats.delimited` has the rule).
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

    line_ending: Literal["crlf", "lf"] = Field("lf", description="crlf as Windows has it, or lf as Unix does.")
    bom: bool = Field(False, description="Begin with a byte order mark, by which Excel knows UTF-8.")
    header: bool = Field(True, description="Begin with a line of the variables' names.")
    formulas: Literal["guard", "keep"] = Field(
        "guard", description="guard puts an apostrophe before text that a spreadsheet would run; keep leaves it."
    )
    special_missing: Literal["letter", "empty"] = Field(
        "letter", description="A special missing value of SAS as .A, or as an empty cell like any missing value."
    )


class TsvExporter(Exporter[Options]):
    names = ("tsv",)
    suffix = ".tsv"
    media_type = "text/tab-separated-values"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        dialect = Dialect(
            delimiter="\t",
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


exporter = TsvExporter
