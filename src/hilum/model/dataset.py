"""A data set: a table of typed, labelled variables, as CDISC describes it, whatever file it came from.

The words are those of Dataset-JSON 1.1 (CDISC), which has what ODM, Define-XML and SAS transport files have of a
variable. How a variable's values are held follows from its type alone:

| type | held as |
|---|---|
| string, uri | text (UTF-8) |
| integer | 64-bit integer |
| float, double | 64-bit float; where it is a special missing value of SAS, a NaN that says which (`formats.missing`) |
| decimal | text of digits: exact, at any precision |
| boolean | a bit |
| date, datetime, time | ISO 8601 text, partial ones too; where `target` is integer: SAS's count, held as a float |

SAS counts days of a date, seconds of a datetime and a time, from 1960-01-01 without a time zone.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any


class DataType(enum.StrEnum):
    """What a value is: `dataType` of Dataset-JSON 1.1."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    URI = "URI"


CALENDAR = frozenset({DataType.DATE, DataType.DATETIME, DataType.TIME})
NUMERIC = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DOUBLE})


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """A column of a data set.

    `length` is the declared one: bytes of a text, 2 to 8 bytes of a SAS number. `format` and `informat` are SAS's, with
    their width, such as `DATE9.`, `8.2` or `$20.`. `target` says how a date or decimal is stored where numbers are
    wanted (`targetDataType`: integer or decimal). `key` is its place in the key of a row, from 1.
    """

    name: str
    type: DataType = DataType.STRING
    label: str = ""
    length: int | None = None
    format: str = ""
    informat: str = ""
    target: DataType | None = None
    key: int | None = None
    oid: str = ""
    code_list: str = ""
    role: str = ""
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what one format alone knows of it

    @property
    def counted(self) -> bool:
        """Is it a date or time that is held as SAS's count?"""
        return self.type in CALENDAR and self.target is DataType.INTEGER

    @property
    def numeric(self) -> bool:
        """Does a format that has only text and numbers, such as SAS transport, hold it as a number?"""
        return self.type in NUMERIC or self.type is DataType.BOOLEAN or self.counted


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """What is said of the table as a whole. `extra`: what one format alone knows of it, by `<format>.<word>`."""

    name: str
    variables: tuple[Variable, ...]
    label: str = ""
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.variables)


def document_of(dataset: Dataset) -> dict[str, Any]:
    """The data set as JSON, without what is not said; the same one gives the same."""
    return {**_said(dataset), "variables": [_said(one) for one in dataset.variables]}


def _said(thing: Dataset | Variable) -> dict[str, Any]:
    every = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    found = {name: value for name, value in every.items() if value not in (None, "", {}) and name != "variables"}
    return found | ({"extra": dict(sorted(thing.extra.items()))} if thing.extra else {})


def dataset_of(document: Mapping[str, Any]) -> Dataset:
    """The data set that `document_of` told. Raises KeyError, TypeError, ValueError."""
    variables = []
    for one in document["variables"]:
        target = one.get("target")
        kinds = {"type": DataType(one["type"]), "target": None if target is None else DataType(target)}
        variables.append(Variable(**{**one, **kinds}))
    return Dataset(document["name"], tuple(variables), document.get("label", ""), document.get("extra", {}))
