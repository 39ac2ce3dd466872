"""The fields of a message held to the definitions of its version: presence, repetition, length, type, tables.

Text is split as far as the definitions go; a path is written only where something is found, so that a message
without findings costs little.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from functools import lru_cache

from hilum.formats.hl7v2.datatypes import CHECKS, OPAQUE, PRIMITIVES
from hilum.formats.hl7v2.definitions import UNBOUNDED, VERSIONS, Definitions, FieldDefinition, definitions
from hilum.formats.hl7v2.delimiters import Delimiters
from hilum.formats.hl7v2.escape import unescape
from hilum.formats.hl7v2.findings import Finding, finding
from hilum.formats.hl7v2.message import Message
from hilum.formats.hl7v2.path import HEADERS

NULL = '""'

_CODED = frozenset(("CE", "CF", "CNE", "CWE"))
_TYPED_BY = {("OBX", 5): 2, ("MFE", 4): 5, ("MFA", 5): 6}
"""The fields whose data type another field of the segment names."""
_FROM_TABLE = ("ID", "CNE")
"""Of these types the code must come from the table; of the others the table is a suggestion."""
_OWN_RULES = frozenset((("MSH", 9), ("MSH", 12)))
"""Fields whose codes the rules about message type and version judge."""
_FROM_HERE_ON = {"QPD": 3, "RDT": 1}
"""Fields that each query defines for itself."""
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_UNREADABLE = re.compile("[\udc80-\udcff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A segment as text: `fields[3]` is field 3, `fields[0]` the name; unreadable bytes are surrogates."""

    name: str
    index: int
    fields: list[str]

    @property
    def label(self) -> str:
        return self.name if self.index == 1 else f"{self.name}[{self.index}]"


@dataclasses.dataclass(frozen=True, slots=True)
class Marks:
    """The delimiters as text; empty where the message declares none."""

    component: str
    repetition: str
    escape: str
    subcomponent: str
    delimiters: Delimiters
    codec: str

    def plain(self, text: str) -> str:
        """`text` with its escape sequences replaced."""
        if self.escape and self.escape in text:
            raw = text.encode(self.codec, "surrogateescape")
            return unescape(raw, self.delimiters).decode(self.codec, "surrogateescape")
        return text


def read_rows(message: Message) -> tuple[list[Row], Marks]:
    """The segments of `message` as text, and the delimiters that part it."""
    marks = _marks(message.delimiters, message.charset)
    separator = message.delimiters.field.decode("ascii")
    rows = []
    for segment in message.segments():
        fields = segment.raw.decode(marks.codec, "surrogateescape").split(separator)
        if segment.name in HEADERS:
            fields.insert(1, separator)
        rows.append(Row(segment.name, segment.index, fields))
    return rows, marks


@lru_cache(maxsize=64)
def _marks(delimiters: Delimiters, codec: str) -> Marks:
    component, repetition, escape, subcomponent = (
        char.decode("ascii")
        for char in (delimiters.component, delimiters.repetition, delimiters.escape, delimiters.subcomponent)
    )
    return Marks(component, repetition, escape, subcomponent, delimiters, codec)


def parts(text: str, mark: str) -> list[str]:
    """`text` split at `mark`, or whole where the message declares no such delimiter."""
    return text.split(mark) if mark and mark in text else [text]


class Content:
    """Checks rows one after the other and gathers what it finds."""

    def __init__(self, known: Definitions, marks: Marks) -> None:
        self.findings: list[Finding] = []
        self._known = known
        self.marks = marks
        self._row = Row("", 1, [])
        self._field = 0
        self._repetition = 1

    def check(self, row: Row) -> None:
        """All fields of a segment that the version defines."""
        segment = self._known.segment(row.name)
        if segment is None:
            return
        self._row = row
        given = row.fields[: _FROM_HERE_ON.get(row.name, len(row.fields))]
        for number, definition in enumerate(segment.fields[: len(given) - 1], start=1):
            text = given[number]
            if text and text != NULL:
                self._field = number
                self._defined(definition, text)
            elif not text and definition and definition.min:
                self._absent(number, definition)
        for number in segment.required:
            if number >= len(given):
                self._absent(number, segment.fields[number - 1])
        for number in range(len(segment.fields) + 1, len(given)):
            if given[number]:
                self._field = number
                self._undefined()
        if row.name == "OBX" and len(given) > 5 and given[5] and not given[2]:
            self._field = 2
            self._add("value-type-missing", "Value Type is missing, though OBX-5 has a value")

    def check_value(self, row: Row, number: int, datatype: str) -> None:
        """Field `number` of `row` read as `datatype`, whatever the version says."""
        self._row, self._field = row, number
        self._values(FieldDefinition("The field", datatype, 0, UNBOUNDED, 0, None), row.fields[number])

    def _absent(self, number: int, definition: FieldDefinition | None) -> None:
        self._field = number
        self._add("field-missing", f"{definition.name if definition else 'The field'} is required")

    def _undefined(self) -> None:
        self._add("field-unknown", f"{self._row.name} has no such field in version {self._known.version}")

    def _defined(self, definition: FieldDefinition | None, text: str) -> None:
        if definition is None:
            self._undefined()
            return
        if self._row.name in HEADERS and self._field <= 2:  # the delimiters themselves
            return
        if definition.max == 0:
            self._add("field-withdrawn", f"{definition.name} is withdrawn in version {self._known.version}")
            return
        typed_by = _TYPED_BY.get((self._row.name, self._field))
        if typed_by is not None and definition.datatype == "varies":
            definition = self._typed(definition, typed_by)
        if self.marks.repetition not in text:
            self._value(definition, text)
            return
        repetitions = parts(text, self.marks.repetition)
        if len(repetitions) > definition.max != UNBOUNDED:
            self._add(
                "field-repeats",
                f"{definition.name} has {len(repetitions)} repetitions of at most {definition.max}",
            )
        self._values(definition, text)

    def _values(self, definition: FieldDefinition, text: str) -> None:
        for repetition, one in enumerate(parts(text, self.marks.repetition), start=1):
            if one and one != NULL:
                self._repetition = repetition
                self._value(definition, one)
        self._repetition = 1

    def _typed(self, definition: FieldDefinition, by: int) -> FieldDefinition:
        """A field of type `varies` with the type that its neighbour names, if the version has that type."""
        name = self._row.fields[by] if by < len(self._row.fields) else ""
        if name == "TS" and not self._known.datatype(name):
            name = "DTM"  # the type that took its place in 2.6
        if not (name in PRIMITIVES or self._known.datatype(name)):
            return definition
        return dataclasses.replace(definition, datatype=name)

    def _value(self, definition: FieldDefinition, text: str) -> None:
        """One repetition of a field."""
        datatype, marks = definition.datatype, self.marks
        components = self._known.components(datatype)
        if components:
            self._measure("field-length", definition, text)
            self._composite(datatype, components, text)
            if definition.table:
                self._coded(definition, components, text)
            return
        if datatype in OPAQUE or datatype not in PRIMITIVES:
            return
        text = self._single(datatype, text, (marks.component, marks.subcomponent))
        self._measure("field-length", definition, text)
        self._primitive(definition, text)

    def _composite(self, datatype: str, components: Sequence[FieldDefinition | None], text: str) -> None:
        given = parts(text, self.marks.component)
        for number, definition in enumerate(components, start=1):
            one = given[number - 1] if number <= len(given) else ""
            at = (number,) if len(given) > 1 else ()
            if not one:
                if definition and definition.min and any(given):
                    self._add("component-missing", f"{definition.name} is required in {datatype}", (number,))
            elif one != NULL and definition is not None:
                self._component(definition, one, at)
        if any(given[len(components) :]):
            text = f"{datatype} has {len(components)} components in version {self._known.version}"
            self._add("component-unknown", text, (len(components) + 1,))

    def _component(self, definition: FieldDefinition, text: str, at: tuple[int, ...]) -> None:
        inner = self._known.components(definition.datatype)
        mark = self.marks.subcomponent
        if not inner:
            self._leaf(definition, self._single(definition.datatype, text, (mark,), at), at)
            return
        given = parts(text, mark)
        for place, (one, sub) in enumerate(zip(given, inner, strict=False), start=1):
            if one and one != NULL and sub is not None:
                self._leaf(sub, one, (*(at or (1,)), place) if len(given) > 1 else at)
        if any(given[len(inner) :]):
            text = f"{definition.datatype} has {len(inner)} components in version {self._known.version}"
            self._add("component-unknown", text, (*(at or (1,)), len(inner) + 1))

    def _leaf(self, definition: FieldDefinition, text: str, at: tuple[int, ...]) -> None:
        """A part that cannot be split further."""
        datatype = definition.datatype
        while components := self._known.components(datatype):
            definition = components[0] or definition
            if definition.datatype == datatype:
                return
            datatype = definition.datatype
        if datatype in OPAQUE or datatype not in PRIMITIVES:
            return
        self._measure("component-length", definition, text, at)
        self._primitive(definition, text, at)

    def _single(self, datatype: str, text: str, marks: tuple[str, ...], at: tuple[int, ...] = ()) -> str:
        """`text` of a primitive type; what a delimiter parts from it is reported, and not checked further."""
        if datatype not in OPAQUE:
            for mark in marks:
                if mark and mark in text:
                    first, _, rest = text.partition(mark)
                    if rest.strip(mark):
                        place = (*at, 2) if at or mark == self.marks.component else (1, 2)
                        self._add("component-unknown", f"{datatype} has no components", place)
                    text = first
        return text

    def _measure(self, rule: str, definition: FieldDefinition, text: str, at: tuple[int, ...] = ()) -> None:
        """Length in characters, an escape sequence counted as what it stands for."""
        most = definition.length
        if 0 < most < len(text) and most < len(self.marks.plain(text)):
            self._add(rule, f"{definition.name} is longer than {most} characters", at)

    def _primitive(self, definition: FieldDefinition, text: str, at: tuple[int, ...] = ()) -> None:
        check = CHECKS.get(definition.datatype)
        if check is not None and text and (wrong := check(self.marks.plain(text).strip(" "))):
            self._add("data-type", f"{definition.name} is no {definition.datatype}: {wrong}", at)
        if definition.table and definition.datatype in ("ID", "IS"):
            self._listed(definition.table, text, definition.datatype, at)

    def _coded(self, definition: FieldDefinition, components: Sequence[FieldDefinition | None], text: str) -> None:
        """The code of a composite field whose table is given for the field."""
        given = parts(text, self.marks.component)
        first = components[0]
        table = definition.table or ""
        at = (1,) if len(given) > 1 else ()
        if definition.datatype in _CODED:
            if len(given) < 3 or given[2] in ("", f"HL7{table}"):
                self._listed(table, given[0], definition.datatype, at)
        elif first and first.table is None and first.datatype in ("ID", "IS"):
            self._listed(table, given[0], first.datatype, at)

    def _listed(self, number: str, code: str, datatype: str, at: tuple[int, ...]) -> None:
        table = self._known.table(number)
        if table is None or not table.closed or not code or code == NULL:
            return
        if code in table.codes or (self._row.name, self._field) in _OWN_RULES:
            return
        code = self.marks.plain(code)
        if code not in table.codes:
            later = definitions(VERSIONS[-1]).table(number)
            rule = "table-later" if later and code in later.codes else self._table_rule(number, datatype)
            self._add(rule, f"the value is not in table {number} ({table.title})", at)

    def _table_rule(self, number: str, datatype: str) -> str:
        if datatype not in _FROM_TABLE or (datatype == "ID" and self._known.suggested(number)):
            return "table-user"
        return "table-hl7"

    def _add(self, rule: str, text: str, at: tuple[int, ...] = ()) -> None:
        path = f"{self._row.label}-{self._field}"
        if self._repetition != 1:
            path += f"[{self._repetition}]"
        path += "".join(f".{number}" for number in at)
        self.findings.append(finding(path, rule, text))


def check_text(rows: Sequence[Row], codec: str) -> list[Finding]:
    """Bytes that the character set cannot read, and control characters."""
    found = []
    for row in rows:
        text = "".join(row.fields)
        unreadable = not text.isascii() and _UNREADABLE.search(text)
        if not unreadable and text.isprintable():
            continue
        for number, field in enumerate(row.fields):
            path = f"{row.label}-{number}" if number else row.label
            if _UNREADABLE.search(field):
                found.append(finding(path, "encoding", f"bytes that are not {codec}"))
            if _CONTROL.search(field):
                found.append(finding(path, "control-character", "a control character"))
    return found
