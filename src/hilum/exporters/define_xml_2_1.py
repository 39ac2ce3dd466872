"""CDISC Define-XML 2.1: the description of the data set, as it goes with a submission; it holds no rows.

Lengths, types and code lists follow from the rows, which are looked at and not kept. Class, domain and structure follow
from the data set's name, variables and key. Where values come from is said as it is told here.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import Field, model_validator

from hilum.formats import define
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class Options(Config):
    """What neither the data set nor its rows say."""

    study: str = Field("STUDY", min_length=1, description="The study's name, which is its OID too.")
    protocol: str = Field("", description="The name of its protocol; without it the study's name.")
    context: Literal["Submission", "Other"] = Field("Submission", description="What the file is for.")
    standard: Literal["", "ADaMIG", "SDTMIG", "SDTMIG-AP", "SDTMIG-MD", "SENDIG", "SENDIG-AR", "SENDIG-DART"] = Field(
        "", description="The standard that the data set keeps to; without it, it is described as non-standard."
    )
    standard_version: str = Field("", description="The standard's version, such as 3.4.")
    file: str = Field("", description="The data set's file, as seen from define.xml; without it its name with .xpt.")
    origin: Literal["", "Assigned", "Collected", "Derived", "Not Available", "Other", "Predecessor", "Protocol"] = (
        Field("Not Available", description="Where the values come from, of all variables; empty: nothing is said.")
    )
    codes: int = Field(
        20, ge=0, le=1000,
        description="Text of no more values than this, each twice on average, gets them as a code list; 0: none does. "
        "Keys and identifiers never do; a variable that names a code list does up to 1,000 values.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _versioned(self) -> Options:
        if self.standard and not self.standard_version:
            raise ValueError("standard needs standard_version")
        return self


class DefineXmlExporter(Exporter[Options]):
    """Writes define.xml."""

    names = ("define-xml-2.1", "define-xml")
    suffix = ".xml"
    media_type = "application/xml"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        self._observer = define.Observer(dataset, most=1_000)

    def write(self, batch: pa.RecordBatch) -> None:
        self._observer.see(batch)

    def close(self) -> None:
        options, name, observed = self.config, self.dataset.name, self._observer.observed
        kept = (define.Standard("STD.1", options.standard, options.standard_version),) if options.standard else ()
        lists = define.code_lists(observed, options.codes)
        table = define.table(
            observed, href=options.file or f"{name.lower()}.xpt", standard="STD.1" if kept else "", lists=lists,
            origin=define.Origin(options.origin) if options.origin else None,
        )  # fmt: skip
        study = define.Study(options.study, options.study, options.protocol)
        made = define.Define(
            study, (table,), self.export.created.isoformat(), lists, kept, oid=f"MDV.{options.study}.{name}",
            name=f"Data Definitions of {name}", context=options.context,
        )  # fmt: skip
        data = define.write(made)
        with self.export.open("define.xml") as file:
            file.write(data)


exporter = DefineXmlExporter
