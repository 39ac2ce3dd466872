"""What an ODM file says of its tables: each ItemGroupDef that has items is one, with a variable an item.

A table of this hub's own file is read as it was written (`study`). Any other has variables more, before its items, for
where a row belongs: SubjectKey, LocationOID, StudyEventOID, StudyEventRepeatKey, then FormOID and FormRepeatKey (1.3.2)
or ParentItemGroup (2.0: the item groups around it, `OID[repeat key]`, from the outermost on), ItemGroupRepeatKey.

A variable is called as the ItemDef's SASFieldName, else its Name; where two of a table would share that, each as its
OID. Its label is the Description, else the Question, else the Name. An item with several units (MeasurementUnitRef) has
a variable more, `<name>_UNIT`. Code lists stand in `extra`, values stay codes. What else an ODM file defines (events,
conditions, methods, range checks, users) is not of tables, and is not read.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hilum.errors import FormatError
from hilum.formats.odm.study import CODES, EXTRA, OWN, SUBJECT
from hilum.formats.odm.version import Version, kind
from hilum.model.dataset import Dataset, DataType, Variable

_BEFORE = ("SubjectKey", "LocationOID", "StudyEventOID", "StudyEventRepeatKey")
_FORM = ("FormOID", "FormRepeatKey")
_PARENT = ("ParentItemGroup",)
_AFTER = ("ItemGroupRepeatKey",)
_KNOWN = {"OID", "Name", "Repeating", "SASDatasetName", "DatasetName", "IsReferenceData", "Type"}
_ITEM = {"OID", "Name", "DataType", "Length", "SASFieldName", "DisplayFormat"}

Key = tuple[str, str]
"""A MetaDataVersion: the OID of its study and its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """An ItemGroupDef. `places`: where an item's value stands, by its OID; `units`: where its unit does, if it may have
    several; `only`: the unit of an item that has one. `symbols`: what a unit is called, by its OID.

    `keys`: how many of the first variables say where a row belongs.
    """

    oid: str
    dataset: Dataset
    places: Mapping[str, int]
    units: Mapping[str, int]
    only: Mapping[str, str]
    symbols: Mapping[str, str]
    keys: int

    def called(self, name: str) -> Table:
        """The same table under another name."""
        return dataclasses.replace(self, dataset=dataclasses.replace(self.dataset, name=name))


class Metadata:
    """The definitions of a MetaDataVersion, and the tables that they make."""

    def __init__(self, study: Any, element: Any, version: Version, language: str) -> None:
        self.key: Key = study.get("OID", ""), element.get("OID", "")
        self._version, self._language = version, language
        included = element.find(version.tag("Include"))
        self.base: Key | None = None
        if included is not None:
            self.base = included.get("StudyOID", ""), included.get("MetaDataVersionOID", "")
        self._groups = self._found(element, "ItemGroupDef")
        self._items = self._found(element, "ItemDef")
        self._lists = self._found(element, "CodeList")
        self._units = {
            one.get("OID", ""): one.get("Name") or one.get("OID", "")
            for one in study.iter(version.tag("MeasurementUnit"))
        }
        self._about = self._said(study, element)

    def include(self, other: Metadata) -> None:
        """Take what another one defines and this one does not (Include)."""
        self._groups = {**other._groups, **self._groups}
        self._items = {**other._items, **self._items}
        self._lists = {**other._lists, **self._lists}

    def tables(self) -> list[Table]:
        """Raises FormatError where an item is not defined, or has no type that ODM knows."""
        found = [one for one in self._groups.values() if one.find(self._tag("ItemRef")) is not None]
        names = _unique([(_dataset_name(one), one.get("OID", "")) for one in found])
        return [self._table(one, name) for one, name in zip(found, names, strict=True)]

    @property
    def containers(self) -> set[str]:
        """The item groups that have no items of their own."""
        return {oid for oid, one in self._groups.items() if one.find(self._tag("ItemRef")) is None}

    def _table(self, group: Any, name: str) -> Table:
        alias = self._aliases(group)
        own = SUBJECT in alias
        items = [self._item(one, group) for one in group.iterfind(self._tag("ItemRef"))]
        if own:
            variables, keys = [self._own(ref, item) for ref, item in items], 0
            extra = _extra(alias)
        else:
            keys = len(before := self._before())
            titles = [(item.get("SASFieldName") or item.get("Name") or "", item.get("OID", "")) for _, item in items]
            called = _unique(titles, before)
            variables = [Variable(one, label="") for one in before]
            variables += [self._foreign(ref, item, one) for (ref, item), one in zip(items, called, strict=True)]
            extra = {**self._about, "odm.itemGroupOID": group.get("OID", ""), **_others(group, _KNOWN)}
        places = {item.get("OID", ""): number for number, (_, item) in enumerate(items, keys)}
        if len(places) < len(items):
            raise FormatError(f"ItemGroupDef {group.get('OID')}: an item is referred to twice")
        allowed = {item.get("OID", ""): self._allowed(item) for _, item in items}
        units = self._with_units(variables, allowed, places)
        only = {oid: units[0] for oid, units in allowed.items() if len(units) == 1}
        dataset = Dataset(name, tuple(variables), self._text(group, "Description"), extra)
        return Table(group.get("OID", ""), dataset, places, units, only, self._units, keys)

    def _before(self) -> list[str]:
        return [*_BEFORE, *(_FORM if self._version.forms else _PARENT), *_AFTER]

    def _item(self, reference: Any, group: Any) -> tuple[Any, Any]:
        found = self._items.get(reference.get("ItemOID", ""))
        if found is None:
            raise FormatError(f"ItemGroupDef {group.get('OID')}: no ItemDef has the OID {reference.get('ItemOID')}")
        if kind(found.get("DataType")) is None:
            raise FormatError(f"ItemDef {found.get('OID')}: ODM knows no DataType {found.get('DataType')}")
        return reference, found

    def _own(self, reference: Any, item: Any) -> Variable:
        """A variable as `study` wrote it."""
        said = self._aliases(item)
        found = {word.removeprefix(OWN): text for word, text in said.items() if word.startswith(OWN)}
        ref = item.find(self._tag("CodeListRef"))
        try:
            return Variable(
                name=item.get("Name", ""),
                type=DataType(found.get("type") or kind(item.get("DataType")) or ""),
                label=self._text(item, "Description"),
                length=_whole(found.get("length") or item.get("Length")),
                format=found.get("format") or item.get("DisplayFormat") or "",
                informat=found.get("informat", ""),
                target=DataType(found["target"]) if "target" in found else None,
                key=_whole(reference.get("KeySequence")),
                oid=found.get("oid", item.get("OID", "")),
                code_list=found.get("code_list") or (ref.get("CodeListOID", "") if ref is not None else ""),
                role=reference.get("Role", ""),
                extra=_extra(said),
            )
        except ValueError:
            raise FormatError(f"ItemDef {item.get('OID')}: an Alias of this hub says what no variable has") from None

    def _foreign(self, reference: Any, item: Any, name: str) -> Variable:
        try:
            length, key = _whole(item.get("Length")), _whole(reference.get("KeySequence"))
        except ValueError:
            raise FormatError(f"ItemDef {item.get('OID')}: Length or KeySequence is no whole number") from None
        title = item.get("Name", "")
        extra = _others(item, _ITEM) | ({"odm.Name": title} if title and title != name else {})
        if len(units := self._allowed(item)) == 1:
            extra["odm.unit"] = self._units.get(units[0], units[0])
        ref = item.find(self._tag("CodeListRef"))
        listed = "" if ref is None else ref.get("CodeListOID", "")
        if values := self._codes(listed):
            extra[CODES] = json.dumps(values, ensure_ascii=False)
        label = self._text(item, "Description") or self._text(item, "Question") or title
        return Variable(
            name, kind(item.get("DataType")) or DataType.STRING, label, length, item.get("DisplayFormat", ""),
            key=key, oid=item.get("OID", ""), code_list=listed, role=reference.get("Role", ""), extra=extra,
        )  # fmt: skip

    def _with_units(
        self, variables: list[Variable], allowed: Mapping[str, list[str]], places: Mapping[str, int]
    ) -> dict[str, int]:
        """Add variables for the units of items that may have several; where each one's stands."""
        found: dict[str, int] = {}
        for oid, units in allowed.items():
            if len(units) > 1:
                of = variables[places[oid]].name
                (name,) = _unique([(f"{of}_UNIT", f"{oid}.UNIT")], [one.name for one in variables])
                found[oid] = len(variables)
                variables.append(Variable(name, label=f"Unit of {of}"))
        return found

    def _allowed(self, item: Any) -> list[str]:
        """The OIDs of the units that an item may have."""
        return [one.get("MeasurementUnitOID", "") for one in item.iterfind(self._tag("MeasurementUnitRef"))]

    def _codes(self, oid: str) -> list[tuple[str, str | None]]:
        listed = self._lists.get(oid)
        if listed is None:
            return []
        wanted = {self._tag("CodeListItem"), self._tag("EnumeratedItem")}
        return [(one.get("CodedValue", ""), self._text(one, "Decode") or None) for one in listed if one.tag in wanted]

    def _text(self, element: Any, tag: str) -> str:
        """The text in the language that is wanted, else without a language, else the first one."""
        parent = element.find(self._tag(tag))
        if parent is None:
            return ""
        found: dict[str, str] = {}
        for one in parent.iterfind(self._tag("TranslatedText")):
            language = one.get("{http://www.w3.org/XML/1998/namespace}lang", "").lower()
            found.setdefault(language, one.text or "")
        wanted = self._language
        regional = (one for one in found if one.startswith(f"{wanted}-"))
        for language in (wanted, *regional, "", *found):
            if language in found:
                return found[language]
        return ""

    def _aliases(self, element: Any) -> dict[str, str]:
        return {one.get("Context", ""): one.get("Name", "") for one in element.iterfind(self._tag("Alias"))}

    def _found(self, element: Any, tag: str) -> dict[str, Any]:
        return {one.get("OID", ""): one for one in element.iterfind(self._tag(tag))}

    def _tag(self, name: str) -> str:
        return self._version.tag(name)

    def _said(self, study: Any, element: Any) -> dict[str, str]:
        """What is said of the study, under the words that `study` writes again."""
        about = study.find(self._tag("GlobalVariables"))
        text = {
            one: "" if about is None else about.findtext(self._tag(one), "")
            for one in ("StudyName", "StudyDescription", "ProtocolName")
        }
        found = {
            "odm.studyOID": study.get("OID", ""),
            "odm.studyName": study.get("StudyName") or text["StudyName"],
            "odm.studyDescription": self._text(study, "Description") or text["StudyDescription"],
            "odm.protocolName": study.get("ProtocolName") or text["ProtocolName"],
            "odm.metaDataVersionOID": element.get("OID", ""),
            "odm.metaDataVersionName": element.get("Name", ""),
        }
        return {word: said for word, said in found.items() if said}


def _dataset_name(group: Any) -> str:
    return next((found for word in ("DatasetName", "SASDatasetName", "Name") if (found := group.get(word))), "")


def _unique(wanted: list[tuple[str, str]], taken: Iterable[str] = ()) -> list[str]:
    """Each one's name, or its OID where others have that name; one more underscore where that is taken too."""
    counts = Counter(name for name, _ in wanted)
    used = set(taken)
    found = []
    for name, oid in wanted:
        one = name if name and counts[name] == 1 and name not in used else oid
        while one in used or (one != name and one in counts):
            one += "_"
        used.add(one)
        found.append(one)
    return found


def _extra(said: Mapping[str, str]) -> dict[str, str]:
    return {word.removeprefix(EXTRA): text for word, text in said.items() if word.startswith(EXTRA)}


def _others(element: Any, known: set[str]) -> dict[str, str]:
    """Attributes that no word of the model stands for."""
    return {f"odm.{word}": text for word, text in element.attrib.items() if word not in known and "}" not in word}


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
