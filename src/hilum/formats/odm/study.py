"""What ODM says of a data set before its rows: Study, MetaDataVersion, one ItemGroupDef, its ItemDefs and CodeLists.

What ODM has no place for stands as an Alias (its own way to give a thing a further name), in contexts that begin with
`hilum:`. CDISC does the same (`nci:ExtCodeID`), and both official schemas take it, while they take elements and
attributes of another namespace only after they were rewritten.

| Alias of | context | says |
|---|---|---|
| ItemGroupDef | `hilum:subject` | SubjectKey repeats this variable; empty: there is none. Marks a table of this hub |
| ItemGroupDef, ItemDef | `hilum:extra:<key>` | `extra` of the model |
| ItemDef | `hilum:` and type, target, length, format, informat, oid, code_list | where no attribute says the same |

Source: CDISC ODM 1.3.2, 3.1.1 "The Study Element"; ODM 2.0, "MetaDataVersion" and its schemas.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml import etree

from hilum.errors import DataError
from hilum.formats import missing
from hilum.formats.odm.version import Version, kind
from hilum.formats.plain_xml import fit
from hilum.model.dataset import NUMERIC, Dataset, DataType, Variable

OWN = "hilum:"
SUBJECT = f"{OWN}subject"
EXTRA = f"{OWN}extra:"
MISSING = "CL.HILUM.MISSING"
"""The CodeList of the letters of SAS's special missing values."""
CODES = "odm.codeList"
"""In a variable's `extra`: its code list's values and decodes, `[["1","Male"],["2",null]]`."""

_LENGTHS = {DataType.STRING, DataType.INTEGER, DataType.FLOAT}  # ODM: no other type has a Length
_SAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,7}")
_DIGITS = re.compile(r"[0-9]+\.([0-9]+)")
_REAL = {DataType.FLOAT, DataType.DOUBLE}
_NEEDED = {"OID", "Name", "StudyName", "ProtocolName"}  # with a letter at least
_TEXT = "TranslatedText"


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What the parts of a file are called. `stand_in`: the subject of rows that have none."""

    study: str
    metadata: str
    event: str
    form: str
    group: str
    items: tuple[str, ...]
    lists: dict[str, str]
    subject: str
    stand_in: str


def plan(dataset: Dataset, subject: str | None, study: str | None) -> Plan:
    """Raises DataError where the data set has no variables, or none of that name to take subjects from."""
    if not dataset.variables:
        raise DataError("ODM needs a variable at least")
    if subject is not None and subject not in dataset.names:
        raise DataError("there is no such variable to take subjects from", variable=subject)
    wanted = ("USUBJID", "SUBJID", "SubjectKey") if subject is None else (subject,)
    oids, name = _Oids(), dataset.name
    lists = {one: oids.take(one) for one in dict.fromkeys(each.code_list for each in dataset.variables) if one}
    return Plan(
        study or _word(dataset, "studyOID") or "STUDY",
        _word(dataset, "metaDataVersionOID") or f"MDV.{name}",
        oids.take(f"SE.{name}"),
        oids.take(f"FO.{name}"),
        oids.take(_word(dataset, "itemGroupOID") or f"IG.{name}"),
        tuple(oids.take(one.oid or f"IT.{name}.{one.name}") for one in dataset.variables),
        lists,
        next((one for one in wanted if one in dataset.names), ""),
        name,
    )


def element(dataset: Dataset, names: Plan, version: Version) -> Any:
    """The Study. Raises DataError where ODM or XML cannot hold what is said of the data set or of a variable."""
    made = _Maker(version)
    study = made.make("Study", OID=names.study)
    title = _word(dataset, "studyName") or names.study
    protocol = _word(dataset, "protocolName") or title
    if version.forms:
        about = made.sub(study, "GlobalVariables")
        made.sub(about, "StudyName").text = fit(title, "study's name")
        made.sub(about, "StudyDescription").text = fit(_word(dataset, "studyDescription"), "study's description")
        made.sub(about, "ProtocolName").text = fit(protocol, "protocol's name")
    else:
        made.put(study, StudyName=title, ProtocolName=protocol)
        made.describe(study, _word(dataset, "studyDescription"))
    called = _word(dataset, "metaDataVersionName") or names.metadata
    metadata = made.sub(study, "MetaDataVersion", OID=names.metadata, Name=called)
    _structure(made, metadata, dataset, names)
    _group(made, metadata, dataset, names)
    for one, oid in zip(dataset.variables, names.items, strict=True):
        _item(made, metadata, one, oid, names)
    for listed, oid in names.lists.items():
        _code_list(made, metadata, oid, [each for each in dataset.variables if each.code_list == listed])
    if any(each.type in _REAL or each.counted for each in dataset.variables):
        letters = made.sub(metadata, "CodeList", OID=MISSING, Name="Special missing values of SAS", DataType="text")
        made.values(letters, [(one, None) for one in missing.LETTERS])
    return study


def codes(text: str) -> list[tuple[str, str | None]]:
    """The values and decodes of `CODES`; none where it is no such text."""
    try:
        found = json.loads(text)
        return [(str(value), None if decode is None else str(decode)) for value, decode in found]
    except (ValueError, TypeError):
        return []


def _structure(made: _Maker, metadata: Any, dataset: Dataset, names: Plan) -> None:
    """One event that holds the rows, in 1.3.2 with one form."""
    if made.version.forms:
        protocol = made.sub(metadata, "Protocol")
        made.sub(protocol, "StudyEventRef", StudyEventOID=names.event, Mandatory="No")
    event = made.sub(metadata, "StudyEventDef", OID=names.event, Name=dataset.name, Repeating="No", Type="Common")
    if made.version.forms:
        made.sub(event, "FormRef", FormOID=names.form, Mandatory="No")
        event = made.sub(metadata, "FormDef", OID=names.form, Name=dataset.name, Repeating="No")
    made.sub(event, "ItemGroupRef", ItemGroupOID=names.group, Mandatory="No")


def _group(made: _Maker, metadata: Any, dataset: Dataset, names: Plan) -> None:
    about = {"OID": names.group, "Name": dataset.name, "Repeating": "Yes" if made.version.forms else "Simple"}
    if not made.version.forms:
        about |= {"Type": "Dataset", "DatasetName": dataset.name}
    elif _SAS.fullmatch(dataset.name):
        about["SASDatasetName"] = dataset.name
    about |= {word: dataset.extra[key] for key, word in made.version.words.items() if key in dataset.extra}
    group = made.sub(metadata, "ItemGroupDef", **about)
    made.describe(group, dataset.label)
    keys: set[int] = set()
    for number, (one, oid) in enumerate(zip(dataset.variables, names.items, strict=True), 1):
        place = {} if one.key is None else {"KeySequence": str(one.key)}
        if one.key is not None and (one.key < 1 or one.key in keys):
            raise DataError(f"its place in the key, {one.key}, is not above 0, or has another one", variable=one.name)
        keys |= set() if one.key is None else {one.key}
        role = {"Role": one.role} if one.role else {}
        made.sub(group, "ItemRef", one.name, ItemOID=oid, OrderNumber=str(number), Mandatory="No", **place, **role)
    made.aliases(group, {SUBJECT: names.subject, **_extras(dataset.extra)})


def _item(made: _Maker, metadata: Any, one: Variable, oid: str, names: Plan) -> None:
    version = made.version
    about = {"OID": oid, "Name": one.name, "DataType": version.type(one)}
    others = {"type": one.type.value} if kind(about["DataType"]) is not one.type else {}
    others |= {"target": one.target.value} if one.target else {}
    others |= {"informat": one.informat} if one.informat else {}
    others |= {"oid": one.oid} if oid != one.oid else {}
    if one.length is not None and one.length > 0 and one.type in _LENGTHS:
        about["Length"] = str(one.length)
    elif one.length is not None:
        others["length"] = str(one.length)
    if one.format and version.forms:
        others["format"] = one.format
    elif one.format:
        about["DisplayFormat"] = one.format
    if version.forms and _SAS.fullmatch(one.name):
        about["SASFieldName"] = one.name
    digits = _DIGITS.fullmatch(one.format)
    if version.forms and digits and one.type is DataType.FLOAT:
        about["SignificantDigits"] = digits[1]
    item = made.sub(metadata, "ItemDef", one.name, **about)
    made.describe(item, one.label, one.name)
    if one.code_list:
        listed = names.lists[one.code_list]
        made.sub(item, "CodeListRef", one.name, CodeListOID=listed)
        others |= {"code_list": one.code_list} if listed != one.code_list else {}
    said = {OWN + word: text for word, text in others.items()}
    made.aliases(item, {**said, **_extras(one.extra)}, one.name)


def _code_list(made: _Maker, metadata: Any, oid: str, variables: list[Variable]) -> None:
    """With its values where they are known; without them it is one that stands elsewhere."""
    one = variables[0]
    number = "float" if made.version.forms else "decimal"
    held = "integer" if one.type is DataType.INTEGER else number if one.type in NUMERIC else "text"
    made_list = made.sub(metadata, "CodeList", one.name, OID=oid, Name=oid, DataType=held)
    known = next((found for each in variables if (found := codes(each.extra.get(CODES, "")))), [])
    if known:
        made.values(made_list, list(dict(known).items()))
    elif made.version.forms:
        made.sub(made_list, "ExternalCodeList", Dictionary=oid)


class _Maker:
    """Makes elements of one version."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self._names = {None: version.namespace}

    def make(self, tag: str, **attributes: str) -> Any:
        found = etree.Element(self.version.tag(tag), nsmap=self._names)
        self.put(found, **attributes)
        return found

    def sub(self, parent: Any, tag: str, variable: str = "", /, **attributes: str) -> Any:
        found = etree.SubElement(parent, self.version.tag(tag))
        self.put(found, variable, **attributes)
        return found

    def put(self, element: Any, variable: str = "", /, **attributes: str) -> None:
        for word, text in attributes.items():
            if not text and word in _NEEDED and element.tag != self.version.tag("Alias"):
                raise DataError(f"ODM needs a {word}, and this one is empty", variable=variable)
            element.set(word, fit(text, word, variable))

    def describe(self, element: Any, text: str, variable: str = "") -> None:
        if text:
            self._translated(self.sub(element, "Description"), fit(text, "label", variable))

    def _translated(self, parent: Any, text: str) -> None:
        self.sub(parent, _TEXT, **({} if self.version.forms else {"Type": "text/plain"})).text = text

    def aliases(self, element: Any, said: dict[str, str], variable: str = "") -> None:
        for context, name in said.items():
            self.sub(element, "Alias", variable, Context=context, Name=name)

    def values(self, listed: Any, values: Iterable[tuple[str, str | None]]) -> None:
        """Items of a code list; 1.3.2 has decodes for all of them or for none."""
        every = list(values)
        decoded = not self.version.forms or all(decode is not None for _, decode in every)
        for value, decode in every:
            item = self.sub(listed, "CodeListItem" if decoded else "EnumeratedItem", CodedValue=value)
            if decode is not None and decoded:
                self._translated(self.sub(item, "Decode"), fit(decode, "decode"))


class _Oids:
    """No two things of a MetaDataVersion have the same OID."""

    def __init__(self) -> None:
        self._taken = {MISSING}

    def take(self, wanted: str) -> str:
        found = next(one for one in _numbered(wanted) if one not in self._taken)
        self._taken.add(found)
        return found


def _numbered(wanted: str) -> Iterator[str]:
    yield wanted
    number = 2
    while True:
        yield f"{wanted}.{number}"
        number += 1


def _word(dataset: Dataset, word: str) -> str:
    """What an ODM or Dataset-JSON file said of it."""
    return dataset.extra.get(f"odm.{word}") or dataset.extra.get(f"dataset-json.{word}") or ""


def _extras(extra: Any) -> dict[str, str]:
    return {EXTRA + key: text for key, text in sorted(extra.items())}
