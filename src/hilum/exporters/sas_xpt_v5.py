"""SAS transport version 5 (XPORT), the format of submissions: names of 8 bytes, labels of 40, text of 200.

A null number is SAS's missing value `.`, a null text is blank and is read as "". Dates that are SAS's counts are
numbers with a date format, other dates and decimals text, booleans 1 and 0. A value that does not fit is refused, never
cut.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field, field_validator

from hilum.errors import DataError
from hilum.formats import xpt
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """What is allowed, and what the file says of itself."""

    profile: Literal["plain", "agency"] = Field(
        "plain",
        description="agency refuses what the FDA does: names beyond 8 letters in upper case, labels beyond 40, text "
        "beyond 200 bytes, all that is not ASCII, files beyond 5 GB. plain keeps to the limits of the format alone.",
    )
    encoding: str | None = Field(
        None, description="The encoding of text; without it the one the data set was read in, else UTF-8."
    )
    text_length: int = Field(200, ge=1, le=200, description="Bytes of a text variable that declares no length.")
    sas_version: str = Field("9.4", max_length=8, pattern=r"^[ -~]*$", description="The version of SAS it names.")
    platform: str = Field("HILUM", max_length=8, pattern=r"^[ -~]*$", description="The operating system it names.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else xpt.codec(value)


class SasXptV5Exporter(Exporter[Options]):
    names = ("sas-xpt-v5", "xpt")
    suffix = ".xpt"
    media_type = "application/x-sas-xport"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        strict = config.profile == "agency"
        if strict and (found := list(xpt.breaches(dataset, config.text_length))):
            raise DataError("; ".join(found))
        encoding = "ascii" if strict else xpt.encoding(dataset, config.encoding)
        layout = xpt.Layout(xpt.V5, encoding, config.text_length, config.sas_version, config.platform)
        member = layout.member(dataset, export.rows, export.created, export.warn)
        if strict and (size := xpt.size(member, export.rows)) > xpt.FILE:
            raise DataError(f"the file would have {size:,} bytes, more than {xpt.FILE:,}: split the data set")
        self._writer = xpt.Writer(export.open(f"{dataset.name.lower()}{self.suffix}"), member, encoding, export.refuse)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()
        if blank := self._writer.blank:
            self.export.warn(
                f"rows at the end are blank ({blank:,}): version 5 has no count, a reader may not see them"
            )


exporter = SasXptV5Exporter
