"""What exporters of ODM-XML share: a data set as one item group, for a version of the standard."""

from __future__ import annotations

import abc
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from hilum.errors import DataError
from hilum.formats import odm
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class OdmOptions(Config):
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


class OdmExporter(Exporter[OdmOptions], abc.ABC):
    """Writes one file, called as the data set is, in lower case."""

    version: ClassVar[odm.Version]
    suffix = ".xml"
    media_type = "application/xml"
    Config = OdmOptions

    def __init__(self, config: OdmOptions, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        name = f"{dataset.name.lower()}{self.suffix}"
        self._writer = odm.Writer(
            lambda: export.open(name),
            self.version,
            dataset,
            export.created,
            export.refuse,
            config.subject,
            config.study,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write(batch)

    def close(self) -> None:
        self._writer.close()
        if self._writer.rows != self.export.rows:
            raise DataError(f"{self.export.rows:,} rows were announced, and {self._writer.rows:,} written")
        if without := self._writer.without:
            self.export.warn(f"rows without a subject ({without:,}) stand under the subject {self.dataset.name}")
