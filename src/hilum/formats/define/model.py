"""What a Define-XML file says of data sets: the part of it that this hub writes and reads.

Value level metadata (ValueListDef, WhereClauseDef), analysis results, references to pages of documents, and formal
expressions are not part of it.
Source: CDISC Define-XML 2.1, 5 "Define-XML Model".
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from hilum.model.dataset import Dataset, Variable

VERSION = "2.1.0"


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """The study that the data are of. `protocol` is its protocol's name."""

    oid: str
    name: str
    protocol: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """A standard that data sets (`type` IG) or code lists (CT) keep to, such as SDTMIG 3.4, Final."""

    oid: str
    name: str
    version: str
    type: str = "IG"
    status: str = "Final"
    publishing: str = ""
    comment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a variable's values come from: `type` Collected, Derived, … and `source` Sponsor, Vendor, …"""

    type: str
    source: str = ""
    text: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A variable in a data set.

    `type` is the DataType of Define-XML; what the variable says of itself is Length, label, display format, place in
    the key, role, OID and code list. `digits` is SignificantDigits. `method` and `comment` are OIDs.
    """

    variable: Variable
    type: str
    digits: int | None = None
    mandatory: bool = False
    origins: tuple[Origin, ...] = ()
    method: str = ""
    comment: str = ""
    no_data: bool = False
    non_standard: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """The class of a data set, such as FINDINGS, and its subclasses, each with its parent, which may be empty."""

    name: str
    subclasses: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A data set. `href` is where its file is, as seen from the Define-XML file: `lb.xpt`; empty where there is none.

    `structure` says what a row is. `standard` and `comment` are OIDs.
    """

    name: str
    items: tuple[Item, ...]
    label: str = ""
    oid: str = ""
    structure: str = ""
    purpose: str = ""
    domain: str = ""
    observation: Observation | None = None
    repeating: bool = True
    reference: bool = False
    standard: str = ""
    non_standard: bool = False
    no_data: bool = False
    comment: str = ""
    href: str = ""
    title: str = ""

    @property
    def dataset(self) -> Dataset:
        return Dataset(self.name, tuple(one.variable for one in self.items), self.label)


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """A value of a code list. `code` is its NCI code; `extended`: the sponsor added it to a published list."""

    value: str
    decode: str | None = None
    code: str = ""
    extended: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class External:
    """A dictionary that lists the values elsewhere, such as MedDRA."""

    dictionary: str
    version: str = ""
    href: str = ""
    ref: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CodeList:
    """The values that a variable may have: `codes`, of which all have a decode or none; or those of `external`."""

    oid: str
    name: str
    codes: tuple[Code, ...] = ()
    external: External | None = None
    type: str = "text"
    standard: str = ""
    non_standard: bool = False
    comment: str = ""
    sas_format: str = ""
    code: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """How a derived variable comes about. `type` is Computation, Imputation, Transpose or Other, or empty."""

    oid: str
    name: str
    text: str
    type: str = "Computation"


@dataclasses.dataclass(frozen=True, slots=True)
class Comment:
    """A remark that others refer to."""

    oid: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A file beside the data: an annotated case report form (`crf`), a reviewer's guide (`supplement`), another one."""

    id: str
    href: str
    title: str
    kind: Literal["crf", "supplement", ""] = "supplement"


@dataclasses.dataclass(frozen=True, slots=True)
class Define:
    """A Define-XML file. `created` is ISO 8601 text; `context` is Submission or Other; `oid` the MetaDataVersion's."""

    study: Study
    tables: tuple[Table, ...]
    created: str
    lists: tuple[CodeList, ...] = ()
    standards: tuple[Standard, ...] = ()
    methods: tuple[Method, ...] = ()
    comments: tuple[Comment, ...] = ()
    documents: tuple[Document, ...] = ()
    oid: str = "MDV.1"
    name: str = "Data Definitions"
    description: str = ""
    context: str = "Submission"
    file_oid: str = ""
    originator: str = ""
    language: str = "en"
    version: str = VERSION

    @property
    def oids(self) -> list[str]:
        """The OIDs of what a MetaDataVersion defines, but for the items."""
        found = [one.oid for one in self.tables] + [one.oid for one in self.lists]
        return found + [one.oid for one in self.methods] + [one.oid for one in self.comments]
