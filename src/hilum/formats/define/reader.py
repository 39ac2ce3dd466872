"""Define-XML 2.1 read: what the model has of it. A file need not be valid; `review` says what is wrong with it.

Source: CDISC Define-XML 2.1, 5 "Define-XML Model".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from hilum.errors import FormatError
from hilum.formats import plain_xml
from hilum.formats.define.model import (
    Code,
    CodeList,
    Comment,
    Define,
    Document,
    External,
    Item,
    Method,
    Observation,
    Origin,
    Standard,
    Study,
    Table,
)
from hilum.formats.define.writer import DEF, LANGUAGE, NCI, XLINK
from hilum.formats.odm.version import V1, kind
from hilum.model.dataset import DataType, Variable

_DEFINE = "http://www.cdisc.org/ns/def/"
_VERSION = re.compile(r"2\.1\.(0|[1-9][0-9]*)")
_ABOUT = ("StudyName", "ProtocolName", "StudyDescription")


def read(data: bytes) -> Define:
    """The description that a file gives.

    Raises FormatError: no XML, a DTD, another root or version, an item that is not defined, a number that is none.
    """
    root = plain_xml.document(data)
    if root.tag != V1.tag("ODM"):
        raise FormatError(f"its root is {root.tag.rpartition('}')[2]}: Define-XML 2.1 begins with ODM 1.3")
    metadata = root.find(f"{V1.tag('Study')}/{V1.tag('MetaDataVersion')}")
    if metadata is None:
        raise FormatError("it has no MetaDataVersion")
    version = metadata.get(_def("DefineVersion"), "")
    if not _VERSION.fullmatch(version):
        others = sorted(one for one in root.nsmap.values() if one.startswith(_DEFINE) and one != DEF)
        raise FormatError(f"Define-XML 2.1 is read, and this is {version or ', '.join(others) or 'another ODM file'}")
    return _Reader(root, metadata, version).define


class _Reader:
    def __init__(self, root: Any, metadata: Any, version: str) -> None:
        self._metadata = metadata
        self._language = ""
        self._defined = {one.get("OID", ""): one for one in metadata.iterfind(V1.tag("ItemDef"))}
        study = root.find(V1.tag("Study"))
        tables = tuple(self._table(one) for one in metadata.iterfind(V1.tag("ItemGroupDef")))
        lists = tuple(self._list(one) for one in metadata.iterfind(V1.tag("CodeList")))
        methods = tuple(
            Method(one.get("OID", ""), one.get("Name", ""), self._text(one), one.get("Type", ""))
            for one in metadata.iterfind(V1.tag("MethodDef"))
        )
        comments = tuple(Comment(one.get("OID", ""), self._text(one)) for one in metadata.iterfind(_def("CommentDef")))
        self.define = Define(
            study=_study(study), tables=tables, created=root.get("CreationDateTime", ""), lists=lists,
            standards=tuple(map(_standard, metadata.iterfind(f"{_def('Standards')}/{_def('Standard')}"))),
            methods=methods, comments=comments, documents=self._documents(), oid=metadata.get("OID", ""),
            name=metadata.get("Name", ""), description=metadata.get("Description", ""),
            context=root.get(_def("Context"), ""), file_oid=root.get("FileOID", ""),
            originator=root.get("Originator", ""), language=self._language or "en", version=version,
        )  # fmt: skip

    def _table(self, group: Any) -> Table:
        said, leaf = group.attrib, group.find(_def("leaf"))
        references = list(group.iterfind(V1.tag("ItemRef")))
        orders = [one.get("OrderNumber") for one in references]
        if all(one is not None for one in orders):
            references.sort(key=lambda one: _number(one, "OrderNumber") or 0)
        return Table(
            name=said.get("Name", ""), items=tuple(self._item(one, group) for one in references),
            label=self._text(group), oid=said.get("OID", ""), structure=said.get(_def("Structure"), ""),
            purpose=said.get("Purpose", ""), domain=said.get("Domain", ""), observation=_observation(group),
            repeating=said.get("Repeating") == "Yes", reference=said.get("IsReferenceData") == "Yes",
            standard=said.get(_def("StandardOID"), ""), non_standard=_def("IsNonStandard") in said,
            no_data=_def("HasNoData") in said, comment=said.get(_def("CommentOID"), ""),
            href="" if leaf is None else leaf.get(f"{{{XLINK}}}href", ""),
            title="" if leaf is None else leaf.findtext(_def("title"), ""),
        )  # fmt: skip

    def _item(self, reference: Any, group: Any) -> Item:
        found = self._defined.get(reference.get("ItemOID", ""))
        if found is None:
            raise FormatError(f"ItemGroupDef {group.get('OID')}: no ItemDef has the OID {reference.get('ItemOID')}")
        listed = found.find(V1.tag("CodeListRef"))
        variable = Variable(
            found.get("Name", ""), kind(found.get("DataType")) or DataType.STRING, self._text(found),
            _number(found, "Length"), found.get(_def("DisplayFormat"), ""), key=_number(reference, "KeySequence"),
            oid=found.get("OID", ""), code_list="" if listed is None else listed.get("CodeListOID", ""),
            role=reference.get("Role", ""),
        )  # fmt: skip
        origins = tuple(
            Origin(one.get("Type", ""), one.get("Source", ""), self._text(one))
            for one in found.iterfind(_def("Origin"))
        )
        return Item(
            variable, found.get("DataType", ""), _number(found, "SignificantDigits"),
            reference.get("Mandatory") == "Yes", origins, reference.get("MethodOID", ""),
            found.get(_def("CommentOID"), ""), _def("HasNoData") in reference.attrib,
            _def("IsNonStandard") in reference.attrib,
        )  # fmt: skip

    def _list(self, listed: Any) -> CodeList:
        said, external = listed.attrib, listed.find(V1.tag("ExternalCodeList"))
        wanted = (V1.tag("CodeListItem"), V1.tag("EnumeratedItem"))
        return CodeList(
            oid=said.get("OID", ""), name=said.get("Name", ""),
            codes=tuple(self._code(one) for one in listed if one.tag in wanted),
            external=None if external is None else _external(external.attrib), type=said.get("DataType", ""),
            standard=said.get(_def("StandardOID"), ""), non_standard=_def("IsNonStandard") in said,
            comment=said.get(_def("CommentOID"), ""), sas_format=said.get("SASFormatName", ""), code=_nci(listed),
        )  # fmt: skip

    def _code(self, item: Any) -> Code:
        decode = item.find(V1.tag("Decode"))
        text = None if decode is None else self._translated(decode)
        return Code(item.get("CodedValue", ""), text, _nci(item), _def("ExtendedValue") in item.attrib)

    def _documents(self) -> tuple[Document, ...]:
        kinds: dict[str, Literal["crf", "supplement"]] = {}
        for one in self._metadata.iterfind(f"{_def('SupplementalDoc')}/{_def('DocumentRef')}"):
            kinds[one.get("leafID", "")] = "supplement"
        for one in self._metadata.iterfind(f"{_def('AnnotatedCRF')}/{_def('DocumentRef')}"):
            kinds[one.get("leafID", "")] = "crf"
        return tuple(
            Document(
                one.get("ID", ""), one.get(f"{{{XLINK}}}href", ""), one.findtext(_def("title"), ""),
                kinds.get(one.get("ID", ""), ""),
            )
            for one in self._metadata.iterfind(_def("leaf"))
        )  # fmt: skip

    def _text(self, element: Any) -> str:
        found = element.find(V1.tag("Description"))
        return "" if found is None else self._translated(found)

    def _translated(self, parent: Any) -> str:
        """The first text; its language is that of the file."""
        found = parent.find(V1.tag("TranslatedText"))
        if found is None:
            return ""
        self._language = self._language or found.get(LANGUAGE, "")
        return found.text or ""


def _study(study: Any) -> Study:
    about = study.find(V1.tag("GlobalVariables"))
    texts = {one: "" if about is None else about.findtext(V1.tag(one), "") for one in _ABOUT}
    return Study(study.get("OID", ""), *(texts[one] for one in _ABOUT))


def _standard(one: Any) -> Standard:
    return Standard(
        one.get("OID", ""), one.get("Name", ""), one.get("Version", ""), one.get("Type", ""), one.get("Status", ""),
        one.get("PublishingSet", ""), one.get(_def("CommentOID"), ""),
    )  # fmt: skip


def _observation(group: Any) -> Observation | None:
    found = group.find(_def("Class"))
    if found is None:
        return None
    inner = found.iterfind(_def("SubClass"))
    return Observation(found.get("Name", ""), tuple((one.get("Name", ""), one.get("ParentClass", "")) for one in inner))


def _external(said: Mapping[str, str]) -> External:
    return External(said.get("Dictionary", ""), said.get("Version", ""), said.get("href", ""), said.get("ref", ""))


def _nci(element: Any) -> str:
    for one in element.iterfind(V1.tag("Alias")):
        if one.get("Context") == NCI:
            return str(one.get("Name", ""))
    return ""


def _number(element: Any, word: str) -> int | None:
    text = element.get(word)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise FormatError(f"{word} of {element.get('OID') or element.get('ItemOID')} is no whole number") from None


def _def(word: str) -> str:
    return f"{{{DEF}}}{word}"
