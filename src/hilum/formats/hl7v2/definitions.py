"""What each HL7 v2 version defines: segments, fields, data types, tables, structures and their events.

The facts lie in one packed file a version (`data/`, made by `scripts/build_hl7_definitions.py`), read at the
first use of that version; a segment or data type is unpacked when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

import zstandard

from hilum.formats.hl7v2.automaton import Automaton
from hilum.formats.hl7v2.structure import Node, node

VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
DEFAULT_VERSION = "2.5.1"
"""Read where a message names no version that can be understood."""

UNBOUNDED = -1


@dataclasses.dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of a segment or a component of a data type."""

    name: str
    datatype: str
    min: int
    """0 or 1: optional or required."""
    max: int
    """Most repetitions; `UNBOUNDED` for any number, 0 where the version withdrew the field."""
    length: int
    """Most characters of one repetition; 0 where the version states none."""
    table: str | None
    """Four digits, such as `0001`."""

    @property
    def required(self) -> bool:
        return self.min > 0

    @property
    def withdrawn(self) -> bool:
        return self.max == 0


@dataclasses.dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """A segment; `fields[0]` is field 1, None stands for a number that the version does not define."""

    name: str
    title: str
    fields: tuple[FieldDefinition | None, ...]

    required: tuple[int, ...] = dataclasses.field(init=False, repr=False, compare=False)
    """The numbers of the required fields."""

    def __post_init__(self) -> None:
        numbers = (at for at, one in enumerate(self.fields, start=1) if one and one.min)
        object.__setattr__(self, "required", tuple(numbers))


@dataclasses.dataclass(frozen=True, slots=True)
class DatatypeDefinition:
    """A data type; a primitive one has no components."""

    name: str
    title: str
    components: tuple[FieldDefinition | None, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table of codes; one that is not closed leaves room for codes of the site."""

    number: str
    title: str
    codes: dict[str, str]
    """Code to display name; the name is empty where none is known."""
    closed: bool


class Definitions:
    """The facts of one version."""

    def __init__(self, version: str, facts: dict[str, Any]) -> None:
        self.version = version
        self._facts = facts
        self._segments: dict[str, SegmentDefinition] = {}
        self._datatypes: dict[str, DatatypeDefinition] = {}
        self._tables: dict[str, TableDefinition] = {}
        self._structures: dict[str, Node] = {}
        self._automata: dict[str, Automaton] = {}
        self.types = frozenset(name[:3] for name in (*facts["structures"], *facts["events"]))
        """The message types of the version, such as `ADT`."""
        rows = (row for part in ("segments", "datatypes") for one in facts[part].values() for row in one[1])
        self.user_tables = frozenset(row[5] for row in rows if row and row[1] == "IS" and row[5])
        """The tables of type IS, whose codes are suggestions."""

    def segment(self, name: str) -> SegmentDefinition | None:
        """The segment `PID`, or None where the version has none."""
        if name not in self._segments:
            packed = self._facts["segments"].get(name)
            if packed is None:
                return None
            self._segments[name] = SegmentDefinition(name, packed[0], _fields(packed[1]))
        return self._segments[name]

    def segment_name(self, name: str) -> str:
        """`PID` is "Patient Identification"; the name itself where the version has no such segment."""
        found = self.segment(name)
        return found.title if found else name

    def field(self, segment: str, number: int) -> FieldDefinition | None:
        """Field `number`, counted from 1; None where the version defines none."""
        found = self.segment(segment)
        return found.fields[number - 1] if found and 0 < number <= len(found.fields) else None

    def datatype(self, name: str) -> DatatypeDefinition | None:
        """The composite data type `XPN`; None for a primitive or an unknown one."""
        if name not in self._datatypes:
            packed = self._facts["datatypes"].get(name)
            if packed is None:
                return None
            self._datatypes[name] = DatatypeDefinition(name, packed[0], _fields(packed[1]))
        return self._datatypes[name]

    def components(self, name: str) -> tuple[FieldDefinition | None, ...]:
        """The components of a data type; none for a primitive one."""
        found = self.datatype(name)
        return found.components if found else ()

    def table(self, number: str) -> TableDefinition | None:
        """Table `0001`; None where its codes are not known or all of them are the site's own."""
        if number not in self._tables:
            packed = self._facts["tables"].get(number)
            if packed is None:
                return None
            self._tables[number] = TableDefinition(number, packed[0], packed[1], bool(packed[2]))
        return self._tables[number]

    def suggested(self, number: str) -> bool:
        """Whether table `number` was the site's own once the data type IS told such tables apart (2.3.1).

        Before, ID stood for both kinds.
        """
        return _numbers(self.version) < (2, 3, 1) and number in _load("2.3.1").user_tables

    def structure(self, name: str) -> Node | None:
        """The tree of the message structure `ADT_A01`."""
        if name not in self._structures:
            packed = self._facts["structures"].get(name)
            if packed is None:
                return None
            self._structures[name] = node(name, packed)
        return self._structures[name]

    def automaton(self, name: str) -> Automaton:
        """What accepts exactly the structure `name`, which the version has."""
        if name not in self._automata:
            self._automata[name] = Automaton(node(name, self._facts["structures"][name]))
        return self._automata[name]

    def event_structure(self, message_type: str, event: str) -> str | None:
        """`ADT`, `A04` is `ADT_A01` (table 0354); None where the version does not say."""
        structures: dict[str, Any] = self._facts["structures"]
        if message_type == "ACK":
            return "ACK"
        if not event:
            only = [one for one in structures if one.startswith(f"{message_type}_")]
            return only[0] if len(only) == 1 else None
        name = f"{message_type}_{event}"
        found: str | None = self._facts["events"].get(name)
        return found or (name if name in structures else None)


def _fields(rows: list[list[Any] | None]) -> tuple[FieldDefinition | None, ...]:
    return tuple(None if row is None else FieldDefinition(*row) for row in rows)


def nearest(version: str) -> str | None:
    """The defined version to read `version` as: itself, or the newest before it; None if it is no version."""
    if version in VERSIONS:
        return version
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", version):
        return None
    wanted = _numbers(version)
    if wanted[0] != 2:
        return None
    return max((one for one in VERSIONS if _numbers(one) <= wanted), key=_numbers, default=VERSIONS[0])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def definitions(version: str) -> Definitions:
    """The facts of `version`, or of the nearest one that is defined.

    2.7.1 is read as 2.7, 2.9 as 2.8.2, `2.3.z` as 2.3, and what names no version as `DEFAULT_VERSION`.
    """
    start = re.match(r"2(\.[0-9]{1,3}){1,2}", version)
    return _load(nearest(version) or (start and nearest(start[0])) or DEFAULT_VERSION)


@lru_cache(maxsize=len(VERSIONS))
def _load(version: str) -> Definitions:
    packed = files("hilum.formats.hl7v2").joinpath("data", f"{version}.json.zst").read_bytes()
    return Definitions(version, json.loads(zstandard.ZstdDecompressor().decompress(packed)))
