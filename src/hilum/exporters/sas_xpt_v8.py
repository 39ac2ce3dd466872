"""SAS transport version 8: names of 32 bytes, labels of 256, text of 32,767. Agencies take version 5 alone.

A null number is SAS's missing value `.`, a null text is blank and is read as "". Dates that are SAS's counts are
numbers with a date format, other dates and decimals text, booleans 1 and 0. A value that does not fit is refused, never
cut.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field, field_validator

from hilum.formats import xpt
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """What the file says of itself."""

    encoding: str | None = Field(
        None, description="The encoding of text; without it the one the data set was read in, else UTF-8."
    )
    text_length: int = Field(200, ge=1, le=32_767, description="Bytes of a text variable that declares no length.")
    sas_version: str = Field("9.4", max_length=8, pattern=r"^[ -~]*$", description="The version of SAS it names.")
    platform: str = Field("HILUM", max_length=8, pattern=r"^[ -~]*$", description="The operating system it names.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else xpt.codec(value)


class SasXptV8Exporter(Exporter[Options]):
    names = ("sas-xpt-v8",)
    suffix = ".xpt"
    media_type = "application/x-sas-xport"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        encoding = xpt.encoding(dataset, config.encoding)
        layout = xpt.Layout(xpt.V8, encoding, config.text_length, config.sas_version, config.platform)
        member = layout.member(dataset, export.rows, export.created, export.warn)
        self._writer = xpt.Writer(export.open(f"{dataset.name.lower()}{self.suffix}"), member, encoding, export.refuse)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()


exporter = SasXptV8Exporter
