"""Define-XML 2.1 written: the same description gives the same bytes.

Source: CDISC Define-XML 2.1, 5 "Define-XML Model"; the order of elements is that of the official schema.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from lxml import etree

from hilum.errors import DataError
from hilum.formats.define.checks import review
from hilum.formats.define.model import Code, CodeList, Define, Item, Table
from hilum.formats.odm.version import V1
from hilum.formats.plain_xml import fit

DEF = "http://www.cdisc.org/ns/def/v2.1"
XLINK = "http://www.w3.org/1999/xlink"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
NCI = "nci:ExtCodeID"

_SAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,7}")
_FORMAT = re.compile(r"[A-Za-z_$][A-Za-z0-9_.]{0,7}")
_UNNAMED = re.compile(r"[^A-Za-z0-9_.-]")  # what an ID of XML may not have, and some that it may


def write(define: Define) -> bytes:
    """The file, valid by the official schema.

    Raises DataError for what Define-XML or XML cannot say; the first finding of `review` that is an error is one.
    """
    for one in review(define):
        if one.severity == "error":
            raise DataError(f"{one.path}: {one.text}" if one.path else one.text)
    root = _Writer(define).root
    made: bytes = etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)
    return made


class _Writer:
    def __init__(self, define: Define) -> None:
        self._define = define
        self._ids = {one.id for one in define.documents}
        self._items: dict[str, Item] = {}
        self._variable = ""  # that is being described, for errors
        self._taken = set(define.oids)
        self.root = etree.Element(V1.tag("ODM"), nsmap={None: V1.namespace, "def": DEF, "xlink": XLINK})
        self._put(
            self.root, ODMVersion="1.3.2", FileType="Snapshot", CreationDateTime=define.created,
            FileOID=define.file_oid or f"{define.oid}.{define.created}", Originator=define.originator,
            def_Context=define.context,
        )  # fmt: skip
        metadata = self._study()
        self._standards(metadata)
        self._documents(metadata)
        for table in define.tables:
            self._table(metadata, table)
        for oid, item in self._items.items():
            self._item(metadata, oid, item)
        for listed in define.lists:
            self._list(metadata, listed)
        for method in define.methods:
            self._describe(
                self._sub(metadata, "MethodDef", OID=method.oid, Name=method.name, Type=method.type), method.text
            )
        for comment in define.comments:
            self._describe(self._sub(metadata, "def_CommentDef", OID=comment.oid), comment.text)
        for one in define.documents:
            self._leaf(metadata, one.id, one.href, one.title)

    def _study(self) -> Any:
        define, study = self._define, self._sub(self.root, "Study", OID=self._define.study.oid)
        about = self._sub(study, "GlobalVariables")
        self._sub(about, "StudyName").text = self._fit(define.study.name)
        self._sub(about, "StudyDescription").text = self._fit(define.study.description)
        self._sub(about, "ProtocolName").text = self._fit(define.study.protocol or define.study.name)
        return self._sub(
            study, "MetaDataVersion", OID=define.oid, Name=define.name, Description=define.description,
            def_DefineVersion=define.version,
        )  # fmt: skip

    def _standards(self, metadata: Any) -> None:
        if not self._define.standards:
            return
        every = self._sub(metadata, "def_Standards")
        for one in self._define.standards:
            self._sub(
                every, "def_Standard", OID=one.oid, Name=one.name, Type=one.type, PublishingSet=one.publishing,
                Version=one.version, Status=one.status, def_CommentOID=one.comment,
            )  # fmt: skip

    def _documents(self, metadata: Any) -> None:
        for tag, kind in (("def_AnnotatedCRF", "crf"), ("def_SupplementalDoc", "supplement")):
            if found := [one for one in self._define.documents if one.kind == kind]:
                parent = self._sub(metadata, tag)
                for one in found:
                    self._sub(parent, "def_DocumentRef", leafID=one.id)

    def _table(self, metadata: Any, table: Table) -> None:
        leaf = self._id(table.name) if table.href else ""
        group = self._sub(
            metadata, "ItemGroupDef", OID=table.oid, Name=table.name, Repeating=_yes(table.repeating),
            IsReferenceData=_yes(table.reference), SASDatasetName=_matching(_SAS, table.name), Domain=table.domain,
            Purpose=table.purpose, def_ArchiveLocationID=leaf, def_StandardOID=table.standard,
            def_IsNonStandard=_only(table.non_standard), def_HasNoData=_only(table.no_data),
            def_CommentOID=table.comment,
        )  # fmt: skip
        group.set(f"{{{DEF}}}Structure", self._fit(table.structure))  # it is demanded, and may be empty
        self._describe(group, table.label)
        for number, one in enumerate(table.items, 1):
            self._sub(
                group, "ItemRef", ItemOID=self._oid(table, one), OrderNumber=str(number), Mandatory=_yes(one.mandatory),
                KeySequence="" if one.variable.key is None else str(one.variable.key), MethodOID=one.method,
                Role=one.variable.role, def_IsNonStandard=_only(one.non_standard), def_HasNoData=_only(one.no_data),
            )  # fmt: skip
        if table.observation:
            held = self._sub(group, "def_Class", Name=table.observation.name)
            for name, parent in table.observation.subclasses:
                self._sub(held, "def_SubClass", Name=name, ParentClass=parent)
        if leaf:
            self._leaf(group, leaf, table.href, table.title or table.href)

    def _oid(self, table: Table, item: Item) -> str:
        """Of an ItemDef that says what the item says; it may be one that other data sets have as well."""
        blank = dataclasses.replace(item.variable, key=None, role="")
        plain = dataclasses.replace(item, variable=blank, method="", mandatory=False, no_data=False, non_standard=False)
        for oid in _numbered(item.variable.oid or f"IT.{table.name}.{item.variable.name}"):
            if oid not in self._taken and self._items.setdefault(oid, plain) == plain:
                return oid
        raise AssertionError("there is no end of numbers")

    def _item(self, metadata: Any, oid: str, item: Item) -> None:
        one = item.variable
        self._variable = one.name
        made = self._sub(
            metadata, "ItemDef", OID=oid, Name=one.name, DataType=item.type,
            Length="" if one.length is None else str(one.length),
            SignificantDigits="" if item.digits is None else str(item.digits), SASFieldName=_matching(_SAS, one.name),
            def_DisplayFormat=one.format, def_CommentOID=item.comment,
        )  # fmt: skip
        self._describe(made, one.label)
        if one.code_list:
            self._sub(made, "CodeListRef", CodeListOID=one.code_list)
        for origin in item.origins:
            self._describe(self._sub(made, "def_Origin", Type=origin.type, Source=origin.source), origin.text)
        self._variable = ""

    def _list(self, metadata: Any, listed: CodeList) -> None:
        made = self._sub(
            metadata, "CodeList", OID=listed.oid, Name=listed.name, DataType=listed.type,
            SASFormatName=_matching(_FORMAT, listed.sas_format), def_StandardOID=listed.standard,
            def_IsNonStandard=_only(listed.non_standard), def_CommentOID=listed.comment,
        )  # fmt: skip
        for code in listed.codes:
            self._code(made, code)
        if listed.external:
            one = listed.external
            self._sub(
                made, "ExternalCodeList", Dictionary=one.dictionary, Version=one.version, href=one.href, ref=one.ref
            )
        self._nci(made, listed.code)

    def _code(self, listed: Any, code: Code) -> None:
        tag = "EnumeratedItem" if code.decode is None else "CodeListItem"
        item = self._sub(listed, tag, def_ExtendedValue=_only(code.extended))
        item.set("CodedValue", self._fit(code.value))  # which may be empty
        if code.decode is not None:
            self._text(self._sub(item, "Decode"), code.decode)
        self._nci(item, code.code)

    def _nci(self, element: Any, code: str) -> None:
        if code:
            self._sub(element, "Alias", Context=NCI, Name=code)

    def _leaf(self, parent: Any, id: str, href: str, title: str) -> None:
        leaf = self._sub(parent, "def_leaf", ID=id)
        leaf.set(f"{{{XLINK}}}href", self._fit(href))
        self._sub(leaf, "def_title").text = self._fit(title)

    def _id(self, name: str) -> str:
        found = next(one for one in _numbered(f"LF.{_UNNAMED.sub('_', name)}") if one not in self._ids)
        self._ids.add(found)
        return found

    def _describe(self, element: Any, text: str) -> None:
        if text or element.tag in (V1.tag("MethodDef"), f"{{{DEF}}}CommentDef"):  # these have to have one
            self._text(self._sub(element, "Description"), text)

    def _text(self, parent: Any, text: str) -> None:
        made = self._sub(parent, "TranslatedText")
        made.set(LANGUAGE, self._define.language)
        made.text = self._fit(text)

    def _sub(self, parent: Any, tag: str, **attributes: str) -> Any:
        found = etree.SubElement(parent, _name(tag))
        self._put(found, **attributes)
        return found

    def _put(self, element: Any, **attributes: str) -> None:
        """Set what is said; a word that begins with `def_` is one of Define-XML's namespace."""
        for word, text in attributes.items():
            if text:
                element.set(_name(word) if word.startswith("def_") else word, self._fit(text))

    def _fit(self, text: str) -> str:
        return fit(text, "description", self._variable)


def _name(word: str) -> str:
    return f"{{{DEF}}}{word.removeprefix('def_')}" if word.startswith("def_") else V1.tag(word)


def _yes(value: bool) -> str:
    return "Yes" if value else "No"


def _only(value: bool) -> str:
    return "Yes" if value else ""


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _numbered(wanted: str) -> Iterator[str]:
    yield wanted
    yield from (f"{wanted}.{number}" for number in count(2))
