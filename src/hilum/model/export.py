"""An export: what was asked for, how it stands, and the way from one status to the next (ledger S1-16, S1-21)."""

from __future__ import annotations

import enum
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hilum.model.configuration import UNSEEN
from hilum.model.period import Since, Until
from hilum.model.selection import Condition


class ExportKind(enum.StrEnum):
    """What is exported."""

    DATA = "data"
    DASHBOARD = "dashboard"
    REPORT = "report"
    BULK = "bulk"
    PACKAGE = "package"


class ExportStatus(enum.StrEnum):
    """Where an export stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # values that the format cannot represent were set aside
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its file is gone, what was asked for stays known


_S = ExportStatus
EXPORT_TRANSITIONS: dict[ExportStatus, frozenset[ExportStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.RUNNING, _S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.CANCELLED}),  # a restart begins anew
    _S.SUCCEEDED: frozenset({_S.EXPIRED}),
    _S.PARTIAL: frozenset({_S.EXPIRED}),
    _S.FAILED: frozenset({_S.QUEUED}),  # tried again
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.EXPIRED: frozenset(),
}
READY = frozenset({_S.SUCCEEDED, _S.PARTIAL})
"""There is a file to fetch."""
ENDED = frozenset({_S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.CANCELLED, _S.EXPIRED})

NEEDED = "needed"
"""The release of an export that nobody fetches before somebody signed for it."""

Line = Annotated[str, StringConstraints(max_length=200, pattern=rf"^[^{UNSEEN}]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
StudyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=rf"^[^{UNSEEN}]*$")]
REPORT_FORMATS = ("csv", "json", "pdf", "xlsx")
DASHBOARD_FORMATS = ("json", "pdf", "png", "svg", "xlsx")
RECORDS = ("attempts", "audit", "deliveries", "executions", "logs", "messages")
"""The hub's own records that can be exported (store/listings)."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Records(Part):
    """The hub's own records of a time."""

    records: Literal["attempts", "audit", "deliveries", "executions", "logs", "messages"] = Field(
        ..., description="Which ones."
    )
    since: Since | None = Field(None, description="Of then or later; UTC where it names no offset.")
    until: Until | None = Field(None, description="Of before then; at the latest when it is asked for.")
    payload: bool = Field(False, description="With what is in them: bodies, requests and answers.")
    study: StudyName | None = Field(None, description="Of this study's integrations alone; null: of all.")


class Receiver(Part):
    """Who gets the file, where that is not who asks for it."""

    name: Line = Field("", description="An organization or a person.")
    country: str = Field("", pattern=r"^([A-Z]{2})?$", description="Two letters (ISO 3166-1), such as DE.")


class Protection(Part):
    """How the file is encrypted for its recipients."""

    kind: Literal["age", "openpgp", "zip"] = Field(
        ..., description="age and OpenPGP by public keys, an AES-256 ZIP by a password."
    )
    recipients: list[Annotated[str, StringConstraints(min_length=1, max_length=20_000)]] = Field(
        [], max_length=20, description="Public keys: age1… or ssh-ed25519 …, or armored OpenPGP certificates."
    )
    password: str | None = Field(
        None, max_length=200, description="NAME or NAME.FIELD of the credential that holds the ZIP's password."
    )

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.kind == "zip" and (self.password is None or self.recipients):
            raise ValueError("a ZIP has a password and no recipients: name the credential that holds it")
        if self.kind != "zip" and (self.password is not None or not self.recipients):
            raise ValueError(f"{self.kind} has recipients and no password: give their public keys")
        return self


class Destination(Part):
    """Where the file goes by itself when it is ready."""

    endpoint: str = Field(
        ..., pattern=r"^[^/]+/[^/]+$", max_length=200, description="An outbound endpoint, as integration/endpoint."
    )
    name: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f]+$", description="Its name there."
    )


class Deidentify(Part):
    """What is taken out of the rows so that they no longer tell who somebody is."""

    profile: Literal["safe-harbor", "pseudonymise", "date-shift"] = Field(
        ..., description="HIPAA Safe Harbor (45 CFR 164.514(b)(2)); keyed pseudonyms; dates shifted by subject."
    )
    subject: Name | None = Field(None, description="The variable that names the subject; found by its name if null.")
    columns: dict[Name, Literal["keep", "drop", "year", "age", "zip3", "hash", "shift", "scrub"]] = Field(
        {}, max_length=10_000, description="What to do with single variables instead."
    )


class Wish(Part):
    """What every export is asked with."""

    purpose: Line = Field("", description="Why; it is kept with the record.")
    receiver: Receiver = Field(Receiver(), description="Who gets it.")
    protect: Protection | None = Field(None, description="Encrypted for its recipients; null: not.")
    destination: Destination | None = Field(None, description="Whereto it is sent as well; null: nowhere.")


class Rows(Part):
    """Rows of a data set or of the hub's own records, in a format."""

    dataset: uuid.UUID | None = Field(None, description="The data set's id.")
    version: int | None = Field(None, ge=1, description="Of the data set; null: the newest.")
    source: Records | None = Field(
        None, description="The hub's own records, instead of a data set.", examples=[{"records": "messages"}]
    )
    format: str = Field(
        ..., min_length=1, max_length=40, description="By a name of `/exports/formats`.", examples=["csv"]
    )
    options: dict[str, Any] = Field({}, max_length=50, description="Of the format, as its `options` say.")
    variables: list[Name] | None = Field(None, min_length=1, max_length=10_000, description="These, in this order.")
    where: list[Condition] = Field([], max_length=50, description="Only rows that meet all of them.")
    set_aside: bool = Field(False, description="What the format cannot hold goes to a file of exceptions.")
    compress: Literal["gzip", "zip"] | None = Field(None, description="A smaller file; null: as the format has it.")
    deidentify: Deidentify | None = Field(None, description="Null: as it is.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.source is None):
            raise ValueError("name a `dataset`, or a `source` of records, and not both")
        if self.source is not None and self.version is not None:
            raise ValueError("records have no version")
        return self


class DataWish(Wish, Rows):
    """Rows in a format, as one file."""


class DataItem(Rows):
    """Rows as a part of a package."""

    kind: Literal["data"]

    @model_validator(mode="after")
    def _is_packed(self) -> Self:
        if self.compress is not None:
            raise ValueError("the package is a ZIP: its parts are not compressed by themselves")
        return self


class Pages(Part):
    """Of which time something is shown, and on which paper."""

    since: Since | None = Field(
        None, description="From then on; UTC where it names no offset; by default a week before its end."
    )
    until: Until | None = Field(None, description="Before then; at the latest, and by default, when it is asked for.")
    paper: Literal["a4", "letter"] = Field("a4", description="Of PDF and pictures.")


class ReportPages(Pages):
    """A report, in a format."""

    report: Name = Field(..., description="By a name of `/exports/reports`.", examples=["integration-activity"])
    format: Literal["pdf", "xlsx", "csv", "json"] = Field(
        "pdf", description="PDF/A-2b, a workbook, a ZIP of tables, or one JSON document."
    )


class DashboardPages(Pages):
    """A dashboard, in a format."""

    dashboard: Name = Field(..., description="By a name of `/exports/dashboards`.", examples=["integrations"])
    format: Literal["pdf", "png", "svg", "xlsx", "json"] = Field(
        "pdf", description="One page, a picture, a workbook, or one JSON document."
    )


class ReportWish(Wish, ReportPages):
    """A report as one file."""


class DashboardWish(Wish, DashboardPages):
    """A dashboard as one file."""


class ReportItem(ReportPages):
    """A report as a part of a package."""

    kind: Literal["report"]


class DashboardItem(DashboardPages):
    """A dashboard as a part of a package."""

    kind: Literal["dashboard"]


Item = Annotated[DataItem | ReportItem | DashboardItem, Field(discriminator="kind")]


class BulkWish(Wish):
    """Several exports in one ZIP, with a manifest of what became of each."""

    name: str = Field("export", pattern=r"^[\w.-]{1,80}$", description="What the ZIP is called, without its ending.")
    items: list[Item] = Field(..., min_length=1, max_length=100, description="What is in it.")


class Folder(enum.StrEnum):
    """Where a data set stands in module 5 of an eCTD (FDA, Study Data Technical Conformance Guide, 7)."""

    TABULATIONS = "tabulations"
    ANALYSIS = "analysis"


class PackageWish(Part):
    """A study's data sets as they are submitted: files, Define-XML, checks, a manifest, in the folders of an eCTD."""

    study: StudyName = Field(..., description="The study's name.")
    datasets: list[uuid.UUID] | None = Field(
        None, min_length=1, max_length=500, description="These data sets; null: all of the study."
    )
    format: Literal["sas-xpt-v5", "cdisc-dataset-json-1.1"] = Field("sas-xpt-v5", description="Of the data files.")
    options: dict[str, Any] = Field({}, max_length=50, description="Of the format, as its `options` say.")
    folders: dict[Name, Folder] = Field(
        {}, max_length=500, description="Where data sets stand by name; else AD… is analysis, all others tabulations."
    )
    protocol: Line = Field("", description="The protocol's name, for Define-XML.")
    tabulation_standard: Line = Field("", pattern=r"^([A-Za-z-]+ [0-9.]+)?$", description="Such as SDTMIG 3.4.")
    analysis_standard: Line = Field("", pattern=r"^([A-Za-z-]+ [0-9.]+)?$", description="Such as ADaMIG 1.3.")
    purpose: Line = Field("", description="Why; it is kept with the record.")
    receiver: Receiver = Field(Receiver(), description="Who gets it.")
    protect: Protection | None = Field(None, description="Encrypted for its recipients; null: not.")
