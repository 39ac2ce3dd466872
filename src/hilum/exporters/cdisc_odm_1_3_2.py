"""CDISC ODM-XML 1.3.2: the data set as one item group, its metadata, and its rows as clinical data.

Where a variable names a code list, that is referred to. What ODM has no place for (SAS's formats and types) stands in
Alias elements; reading the file again gives the same data set. A special missing value of SAS is null with its
letter as a flag. Dates that are SAS's counts are written as ISO 8601. A character that XML cannot hold is refused.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from hilum.errors import DataError
from hilum.formats import odm
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """Whom rows belong to, and what the study is called."""

    subject: str | None = Field(
        None,
        description="The variable whose values are subject keys. Without it USUBJID, SUBJID or SubjectKey, the first "
        "that is there; without any of them all rows belong to one subject, called as the data set is.",
    )
    study: str | None = Field(
        None,
        min_length=1,
        description="The OID of the study; without it the one that the data set came with, else STUDY.",
    )


class OdmExporter(Exporter[Options]):
    """Writes one file, called as the data set is, in lower case."""

    names = ("cdisc-odm-1.3.2", "odm-1.3.2")
    suffix = ".xml"
    media_type = "application/xml"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        name = f"{dataset.name.lower()}{self.suffix}"
        self._writer = odm.Writer(
            lambda: export.open(name), odm.V1, dataset, export.created, export.refuse, config.subject, config.study
        )

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()
        if self._writer.rows != self.export.rows:
            raise DataError(f"{self.export.rows:,} rows were announced, and {self._writer.rows:,} written")
        if without := self._writer.without:
            self.export.warn(f"rows without a subject ({without:,}) stand under the subject {self.dataset.name}")


exporter = OdmExporter
