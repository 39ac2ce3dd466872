"""The two versions of ODM-XML that are in use, and where they differ for tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from hilum.model.dataset import CALENDAR, DataType, Variable

_TEXTS = {DataType.STRING: "text", DataType.URI: "URI"}
_NUMBERS = {
    DataType.INTEGER: "integer", DataType.FLOAT: "float", DataType.DOUBLE: "double", DataType.BOOLEAN: "boolean",
}  # fmt: skip
_KINDS = {
    "text": DataType.STRING, "string": DataType.STRING, "URI": DataType.URI, "boolean": DataType.BOOLEAN,
    "integer": DataType.INTEGER, "decimal": DataType.DECIMAL, "float": DataType.FLOAT, "double": DataType.DOUBLE,
    "date": DataType.DATE, "partialDate": DataType.DATE, "incompleteDate": DataType.DATE,
    "time": DataType.TIME, "partialTime": DataType.TIME, "incompleteTime": DataType.TIME,
    "datetime": DataType.DATETIME, "partialDatetime": DataType.DATETIME, "incompleteDatetime": DataType.DATETIME,
    "durationDatetime": DataType.STRING, "intervalDatetime": DataType.STRING,
    "hexBinary": DataType.STRING, "base64Binary": DataType.STRING,
    "hexFloat": DataType.STRING, "base64Float": DataType.STRING,
}  # fmt: skip
_INCOMPLETE = {
    DataType.DATE: "incompleteDate", DataType.DATETIME: "incompleteDatetime", DataType.TIME: "incompleteTime",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """A version. `decimal` and `real`: its types for exact numbers, and for such as have an exponent, INF or NaN."""

    number: str
    namespace: str
    decimal: str
    exponents: bool  # may a `float` have one?
    forms: bool  # is there FormData between StudyEventData and ItemGroupData?
    words: Mapping[str, str]  # attributes of an ItemGroupDef that are free text

    def type(self, variable: Variable) -> str:
        """DataType of the variable's ItemDef. Text of a date may be incomplete, a count of SAS never is."""
        if variable.type is DataType.DECIMAL:
            return self.decimal
        if variable.type in CALENDAR:
            return variable.type.value if variable.counted else _INCOMPLETE[variable.type]
        return (_TEXTS | _NUMBERS)[variable.type]

    def tag(self, name: str) -> str:
        return f"{{{self.namespace}}}{name}"


def kind(data_type: str | None) -> DataType | None:
    """The model's type of an ItemDef's DataType; None where ODM knows no such one."""
    return _KINDS.get(data_type or "")


_COMMON = ("Domain", "Purpose")
V1 = Version(
    "1.3.2", "http://www.cdisc.org/ns/odm/v1.3", "float", exponents=False, forms=True,
    words={f"odm.{word}": word for word in (*_COMMON, "Origin", "Comment")},
)  # fmt: skip
V2 = Version(
    "2.0", "http://www.cdisc.org/ns/odm/v2.0", "decimal", exponents=True, forms=False,
    words={f"odm.{word}": word for word in (*_COMMON, "Structure")},
)  # fmt: skip
BY_NAMESPACE = {one.namespace: one for one in (V1, V2)}
