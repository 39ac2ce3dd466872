"""SAS transport (XPORT), version 5 or 8: typed, labelled variables, special missing values, several data sets a file.

Numbers are double, those with a date, datetime or time format SAS's count of days or seconds; blank text is "". What is
not UTF-8 is read in the encoding that is told here, and `xpt.encoding` of the data set says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, field_validator

from hilum.formats import xpt
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table


class Options(Config):
    """How text is read that is not UTF-8."""

    encoding: str = Field("cp1252", description="The encoding of text that is not UTF-8, such as cp1252 or shift_jis.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        return xpt.codec(value)


class SasXptImporter(Importer[Options]):
    names = ("sas-xpt", "xpt")
    suffixes = (".xpt",)
    Config = Options

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return head.startswith(b"HEADER RECORD*******LIB")

    def tables(self, path: Path) -> Iterator[Table]:
        for dataset, batches in xpt.read(path, self.config.encoding, BATCH):
            yield Table(dataset, batches)


importer = SasXptImporter
