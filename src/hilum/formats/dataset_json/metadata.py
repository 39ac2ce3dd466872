"""The object before the rows: what Dataset-JSON says of a data set and its columns, both ways.

What the model has no word for stands in `extra`, by `dataset-json.<word>`: text as it is, anything else as JSON. Words
that the standard does not know are kept there too; they are read, and never written.
Source: CDISC Dataset-JSON 1.1, "Top-level Metadata Attributes" and "Column Metadata".
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

from hilum.errors import FormatError
from hilum.model.dataset import Dataset, DataType, Variable

VERSION = "1.1.0"
OWN = "dataset-json."  # begins the keys of `extra`

_VERSIONS = re.compile(r"1\.1(\.(0|[1-9][0-9]*))?")
_BEFORE = ("fileOID", "dbLastModifiedDateTime", "originator")
_SYSTEM = ("name", "version")
_AFTER = ("studyOID", "metaDataVersionOID", "metaDataRef", "itemGroupOID")
_TARGETS = (DataType.INTEGER, DataType.DECIMAL)
_COLUMN = {"itemOID", "name", "label", "dataType", "targetDataType", "length", "displayFormat", "keySequence"}


def read(words: Mapping[str, Any]) -> tuple[Dataset, int]:
    """The data set, and how many records it announces. Raises FormatError where a word is missing or wrong."""
    try:
        json.dumps(words, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FormatError("half of a surrogate pair, which is no character, stands in the metadata") from None
    version = _text(words, "datasetJSONVersion")
    if not _VERSIONS.fullmatch(version):
        raise FormatError(f"datasetJSONVersion is {version[:20]!r}; 1.1 is read")
    columns = words.get("columns")
    if not isinstance(columns, list) or not columns:
        raise FormatError("columns is missing or empty")
    variables = tuple(_variable(column, number) for number, column in enumerate(columns, 1))
    if len({one.name for one in variables}) < len(variables):
        raise FormatError("two columns have one name")
    records = _number(words, "records", least=0)
    if records is None:
        raise FormatError("records is missing")
    _text(words, "itemGroupOID")
    extra = dict(_extra(words, {"name", "label", "records", "columns", "rows", "sourceSystem"}))
    extra |= _source_system(words.get("sourceSystem"))
    return Dataset(_text(words, "name"), variables, _text(words, "label", least=0), extra), records


def write(dataset: Dataset, records: int, created: datetime.datetime) -> dict[str, Any]:
    """The words in the standard's order. Where no OID is known it is made of the names, as CDISC's examples do."""
    own = {"itemGroupOID": f"IG.{dataset.name}"}
    own |= {key.removeprefix(OWN): value for key, value in dataset.extra.items() if key.startswith(OWN)}
    system = {word: own[f"sourceSystem.{word}"] for word in _SYSTEM if f"sourceSystem.{word}" in own}
    return {
        "datasetJSONCreationDateTime": created.isoformat().replace("+00:00", "Z"),
        "datasetJSONVersion": VERSION,
        **{word: own[word] for word in _BEFORE if word in own},
        **({"sourceSystem": system} if len(system) == len(_SYSTEM) else {}),
        **{word: own[word] for word in _AFTER if word in own},
        "records": records,
        "name": dataset.name,
        "label": dataset.label,
        "columns": [_column(one, dataset.name) for one in dataset.variables],
    }


def unwritten(dataset: Dataset) -> list[str]:
    """The words that were read and are none of the standard's, a column's behind its name."""
    known = {*_BEFORE, *_AFTER, "datasetJSONCreationDateTime", "datasetJSONVersion"}
    known |= {f"sourceSystem.{word}" for word in _SYSTEM}
    found = [key.removeprefix(OWN) for key in dataset.extra if key.startswith(OWN)]
    return [word for word in found if word not in known] + [
        f"{variable.name}.{key.removeprefix(OWN)}"
        for variable in dataset.variables
        for key in variable.extra
        if key.startswith(OWN)
    ]


def _variable(column: Any, number: int) -> Variable:
    if not isinstance(column, Mapping):
        raise FormatError(f"column {number} is no object")
    try:
        kind = _type(column, "dataType", tuple(DataType))
        return Variable(
            name=_text(column, "name"),
            type=kind,
            label=_text(column, "label", least=0),
            length=_number(column, "length", least=1),
            format=_text(column, "displayFormat", least=0) if "displayFormat" in column else "",
            target=_type(column, "targetDataType", _TARGETS) if "targetDataType" in column else None,
            key=_number(column, "keySequence", least=1),
            oid=_text(column, "itemOID"),
            extra=dict(_extra(column, _COLUMN)),
        )
    except FormatError as error:
        raise FormatError(f"column {number}: {error.reason}") from None


def _column(variable: Variable, dataset: str) -> dict[str, Any]:
    target = DataType.DECIMAL if variable.type is DataType.DECIMAL else variable.target
    words = {
        "itemOID": variable.oid or f"IT.{dataset}.{variable.name}",
        "name": variable.name,
        "label": variable.label,
        "dataType": variable.type.value,
        "targetDataType": target and target.value,
        "length": variable.length,
        "displayFormat": variable.format or None,
        "keySequence": variable.key,
    }
    return {word: value for word, value in words.items() if value is not None}


def _extra(words: Mapping[str, Any], known: set[str]) -> Mapping[str, str]:
    others = {word: value for word, value in words.items() if word not in known and value is not None}
    return {
        OWN + word: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for word, value in others.items()
    }


def _source_system(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FormatError("sourceSystem is no object")
    return {f"{OWN}sourceSystem.{word}": _text(value, word, least=0) for word in _SYSTEM}


def _text(words: Mapping[str, Any], word: str, *, least: int = 1) -> str:
    value = words.get(word)
    if not isinstance(value, str) or len(value) < least:
        raise FormatError(f"{word} is missing" if value is None or value == "" else f"{word} is no text")
    return value


def _number(words: Mapping[str, Any], word: str, *, least: int) -> int | None:
    value = words.get(word)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise FormatError(f"{word} is no whole number from {least}")
    return value


def _type(words: Mapping[str, Any], word: str, among: tuple[DataType, ...]) -> DataType:
    value = words.get(word)
    if not isinstance(value, str) or value not in among:
        raise FormatError(f"{word} {json.dumps(value)[:20]} is none of {', '.join(among)}")
    return DataType(value)
