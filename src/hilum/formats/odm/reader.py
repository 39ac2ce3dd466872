"""Tables of an ODM-XML file, 1.3.2 or 2.0, row by row in bounded memory.

The file is gone through twice: for its definitions (to where the data begin), and for its rows. Where it has several
tables their rows come in any order; then they go, some of them at a time, to one temporary file beside it, which has no
name, and from there into their tables.

A row is an ItemGroupData, of a subject (ClinicalData) or of none (ReferenceData). Only what is there is read, not how
it became so: a file whose transactions change or remove something is refused. Audit records, signatures, queries,
annotations and vendors' extensions are not read.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from hilum.errors import DataError, FormatError
from hilum.formats import plain_xml
from hilum.formats.odm import columns
from hilum.formats.odm.definitions import Key, Metadata, Table
from hilum.formats.odm.study import MISSING
from hilum.formats.odm.version import BY_NAMESPACE, Version
from hilum.model.dataset import Dataset

Schema = Callable[[Dataset], pa.Schema]
Batches = Iterator[pa.RecordBatch]
Place = tuple[Key, str]
"""A table: its MetaDataVersion and the OID of its ItemGroupDef."""

_CELLS = 200_000  # that wait for becoming columns, so that memory has a bound
_BYTES = 16 << 20  # of the file that they were, likewise
_CHANGES = {"Update", "Remove", "Upsert", "Context"}
_LEVELS = ("ClinicalData", "ReferenceData", "SubjectData", "SiteRef", "StudyEventData", "FormData", "ItemGroupData")
_FREED = ("AdminData", "AuditRecord", "Signature", "Annotation", "Query", "Association")
_DEFINE = "http://www.cdisc.org/ns/def/"
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")


class Reader:
    """A file. `schema` says how a data set's batches are held; `language` is the one that labels are wanted in.

    Raises FormatError where it is no ODM file of these versions, or defines no tables, or has no data; OSError.
    """

    def __init__(self, path: Path, schema: Schema, most: int, language: str = "en") -> None:
        self._path, self._schema, self._most = path, schema, most
        self._version, self._transactions = _opened(path)
        self._metadata = self._read(language.lower())
        found = [(one.key, table) for one in self._metadata.values() for table in one.tables()]
        if not found:
            raise FormatError("it defines no ItemGroupDef with items: there is no table")
        names = [table.dataset.name for _, table in found]
        self._tables = {
            (key, table.oid): table if names.count(table.dataset.name) == 1 else table.called(f"{table.oid} ({key[1]})")
            for key, table in found
        }

    def tables(self) -> Iterator[tuple[Dataset, Batches]]:
        """Each table and its rows. These raise DataError with row and variable, FormatError, OSError."""
        if len(self._tables) == 1:
            (table,) = self._tables.values()
            yield table.dataset, (batch for _, batch in self._batches())
            return
        spill = _Spill(self._path.parent)
        for key, batch in self._batches():
            spill.put(key, batch)
        for key, table in self._tables.items():
            yield table.dataset, spill.batches(key, self._schema(table.dataset))

    def _read(self, language: str) -> dict[Key, Metadata]:
        """The MetaDataVersions that data belong to; where there are several, the whole file says which."""
        found: dict[Key, Metadata] = {}
        used: set[Key] = set()
        tags = [self._version.tag(one) for one in ("MetaDataVersion", *_LEVELS, *_FREED)]
        with self._path.open("rb") as stream:
            for event, element in plain_xml.events(stream, tags):
                name = element.tag.rpartition("}")[2]
                if event == "end" and name == "MetaDataVersion":
                    one = Metadata(element.getparent(), element, self._version, language)
                    found[one.key] = one
                elif event == "start" and name in ("ClinicalData", "ReferenceData"):
                    used.add(_key(element))
                    if len(found) == 1:
                        break
                elif event == "end" and name != "MetaDataVersion":
                    _free(element)
        if not found:
            raise FormatError("it has no MetaDataVersion: nothing says what its items are")
        if not used:
            raise FormatError("it has no ClinicalData and no ReferenceData: definitions alone are no table")
        for one in found.values():
            _include(one, found)
        for key in sorted(used - found.keys()):
            raise FormatError(_undefined(key))
        return {key: one for key, one in found.items() if key in used}

    def _batches(self) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """Every table's rows, each with the table's key, in the order of the file."""
        several = len(self._tables) > 1
        waiting = {
            key: _Waiting(table, self._schema(table.dataset), several=several) for key, table in self._tables.items()
        }
        cells = before = 0
        with self._path.open("rb") as file:
            stream = _Counted(file)
            for one in self._rows(stream, waiting):
                cells += len(one.table.dataset.variables)
                if cells >= _CELLS or stream.count - before >= _BYTES or len(one.rows) >= self._most:
                    yield from _ready(waiting)
                    cells, before = 0, stream.count
        yield from _ready(waiting)

    def _rows(self, stream: Any, waiting: Mapping[Place, _Waiting]) -> Iterator[_Waiting]:
        """Give each row to its table; says which it was."""
        place = _Where(self._version, self._metadata)
        tags = [self._version.tag(one) for one in (*_LEVELS, *_FREED)]
        group = self._version.tag("ItemGroupData")
        for event, element in plain_xml.events(stream, tags):
            if element.tag != group:
                place.move(event, element)
            elif event == "start":
                place.groups.append(element)
            else:
                one = waiting.get((place.metadata, element.get("ItemGroupOID", "")))
                if one is None:
                    place.check(element)
                else:
                    one.add(element, place, every=self._transactions)
                    yield one
                place.groups.pop()
                _free(element)


class _Where:
    """Where in the file a row stands."""

    def __init__(self, version: Version, metadata: Mapping[Key, Metadata]) -> None:
        self._metadata, self.forms = metadata, version.forms
        self.metadata: Key = "", ""
        self.groups: list[Any] = []
        self._subject: str | None = None
        self._site: str | None = None
        self._event: tuple[str | None, str | None] = None, None
        self._form: tuple[str | None, str | None] = None, None

    def move(self, event: str, element: Any) -> None:
        name = element.tag.rpartition("}")[2]
        if event == "end":
            self._leave(name)
            if name != "Annotation" or not self.groups:  # a value's flag is wanted yet
                _free(element)
            return
        if element.get("TransactionType") == "Remove":
            raise FormatError(_transaction(element))
        if name in ("ClinicalData", "ReferenceData"):
            self._begin(element)
        elif name == "SubjectData":
            self._subject = element.get("SubjectKey")
        elif name == "SiteRef":
            self._site = element.get("LocationOID")
        elif name == "StudyEventData":
            self._event = element.get("StudyEventOID"), element.get("StudyEventRepeatKey")
        elif name == "FormData":
            self._form = element.get("FormOID"), element.get("FormRepeatKey")

    def _leave(self, name: str) -> None:
        if name == "SubjectData":
            self._subject = self._site = None
        elif name == "StudyEventData":
            self._event = None, None
        elif name == "FormData":
            self._form = None, None

    def keys(self, element: Any) -> list[str | None]:
        """What stands before a row's own values, in the order of `definitions`."""
        inner = self._form if self.forms else ("/".join(map(_named, self.groups[:-1])) or None,)
        return [self._subject, self._site, *self._event, *inner, element.get("ItemGroupRepeatKey")]

    def check(self, element: Any) -> None:
        """An ItemGroupData that is of no table: only one that holds others may be so. Raises FormatError."""
        oid = element.get("ItemGroupOID", "")
        known = self._metadata[self.metadata].containers if self.metadata in self._metadata else set()
        if oid not in known:
            raise FormatError(f"ItemGroupData {oid}: no ItemGroupDef has this OID")
        if any(one.get("ItemOID") is not None for one in element):
            raise FormatError(f"ItemGroupData {oid} has items, and its ItemGroupDef has none")

    def _begin(self, element: Any) -> None:
        self.metadata = _key(element)
        if self.metadata not in self._metadata:
            raise FormatError(_undefined(self.metadata))


class _Waiting:
    """Rows of a table that are no columns yet. Where there are `several` tables, errors say which it is."""

    def __init__(self, table: Table, schema: pa.Schema, *, several: bool) -> None:
        self.table, self._schema, self._several = table, schema, several
        self.rows: list[list[Any]] = []
        self._done = 0

    def add(self, element: Any, place: _Where, *, every: bool) -> None:
        """Take a row. Raises DataError, FormatError."""
        number = self._done + len(self.rows) + 1
        try:
            self.rows.append(_row(element, self.table, place, number, every=every))
        except DataError as error:
            raise self._told(error) from None

    def batch(self) -> pa.RecordBatch:
        """The rows as columns. Raises DataError."""
        texts = [pa.array(one, pa.string()) for one in zip(*self.rows, strict=True)]
        variables = self.table.dataset.variables
        try:
            found = [columns.values(text, one, self._done) for text, one in zip(texts, variables, strict=True)]
        except DataError as error:
            raise self._told(error) from None
        self._done += len(self.rows)
        self.rows = []
        return pa.record_batch(found, schema=self._schema)

    def _told(self, error: DataError) -> DataError:
        of = f"{self.table.dataset.name}: " if self._several else ""
        return DataError(of + error.reason, row=error.row, variable=error.variable)


def _ready(waiting: Mapping[Place, _Waiting]) -> Iterator[tuple[Place, pa.RecordBatch]]:
    return ((key, one.batch()) for key, one in waiting.items() if one.rows)


class _Spill:
    """Batches of several tables in one file, which has no name and is gone when nobody reads it any more."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it outlives this call
        self._parts: dict[Any, list[tuple[int, int]]] = {}

    def __del__(self) -> None:
        self._file.close()

    def put(self, key: Any, batch: pa.RecordBatch) -> None:
        data = batch.serialize()
        self._parts.setdefault(key, []).append((self._file.seek(0, 2), len(data)))
        self._file.write(data)

    def batches(self, key: Any, schema: pa.Schema) -> Batches:
        for place, length in self._parts.get(key, []):
            self._file.seek(place)
            yield pa.ipc.read_record_batch(pa.py_buffer(self._file.read(length)), schema)


class _Counted:
    """A stream that knows how much of it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.count = stream, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _row(element: Any, table: Table, place: _Where, number: int, *, every: bool) -> list[Any]:
    """A row's texts, in the order of the variables. `every`: may each of its items be a transaction?"""
    if element.get("TransactionType") in _CHANGES:
        raise FormatError(_transaction(element))
    variables, places = table.dataset.variables, table.places
    found: list[Any] = place.keys(element) if table.keys else []
    found += [None] * (len(variables) - len(found))
    for item in element:
        oid = item.get("ItemOID")
        if oid is None:
            continue  # an inner group, an audit record
        at = places.get(oid)
        if at is None:
            raise DataError(f"ItemData {oid}: its ItemGroupDef {table.oid} has no such item", row=number)
        if found[at] is not None:
            raise DataError(f"ItemData {oid} is there twice", row=number, variable=variables[at].name)
        if every and item.get("TransactionType") in _CHANGES:
            raise DataError(_transaction(item), row=number, variable=variables[at].name)
        found[at] = item.get("Value")
        if found[at] is None or len(item):
            found[at] = _value(item, number, variables[at].name)
            if place.forms:  # where units stand beside values
                _unit(item, table, found, number)
    return found


def _value(item: Any, row: int, variable: str) -> str | None:
    """The value of an ItemData that does not say it in `Value`, or has more to say."""
    if item.get("IsNull") == "Yes":
        return next((f".{one.text}" for one in item.iter() if one.get("CodeListOID") == MISSING), None)
    said = [one for one in item if one.tag.endswith("}Value")]
    if len(said) > 1:
        raise DataError("it has several values, and a row has one", row=row, variable=variable)
    if said:
        return said[0].text or ""
    typed = not item.tag.endswith("}ItemData")
    return (item.text or "") if typed else item.get("Value")


def _unit(item: Any, table: Table, found: list[Any], row: int) -> None:
    """Keep the unit of a value. Raises DataError where it is none of those that the ItemDef has."""
    of = item.get("ItemOID")
    for one in item:
        if one.tag.endswith("}MeasurementUnitRef"):
            oid = one.get("MeasurementUnitOID", "")
            if of in table.units:
                found[table.units[of]] = table.symbols.get(oid, oid)
            elif table.only.get(of) != oid:
                variable = table.dataset.variables[table.places[of]].name
                raise DataError(f"its unit {oid} is none of its ItemDef's", row=row, variable=variable)


def _include(one: Metadata, found: Mapping[Key, Metadata]) -> None:
    """Add what the versions before it define, as far as they are in the file."""
    seen, base = {one.key}, one.base
    while base is not None and base in found and base not in seen:
        seen.add(base)
        one.include(found[base])
        base = found[base].base


def _undefined(key: Key) -> str:
    return f"it has data of MetaDataVersion {key[1]} of Study {key[0]}, which it does not define"


def _named(group: Any) -> str:
    key = group.get("ItemGroupRepeatKey")
    return f"{group.get('ItemGroupOID')}" + (f"[{key}]" if key is not None else "")


def _key(element: Any) -> Key:
    return element.get("StudyOID", ""), element.get("MetaDataVersionOID", "")


def _transaction(element: Any) -> str:
    what = element.get("TransactionType")
    return f"{element.tag.rpartition('}')[2]} has TransactionType {what}: only what is there is read, no changes to it"


def _free(element: Any) -> None:
    """Let go of what was read: this element's content, and the one before it that has its name."""
    element.clear(keep_tail=True)
    before = element.getprevious()
    if before is not None and before.tag == element.tag:
        element.getparent().remove(before)


def _opened(path: Path) -> tuple[Version, bool]:
    """The version, and whether the file's parts may be transactions."""
    with path.open("rb") as stream:
        tag, attributes = plain_xml.root(stream)
    namespace, _, name = tag[1:].rpartition("}")
    if name != "ODM":
        raise FormatError(f"its root is {name}: an ODM file begins with ODM")
    if namespace not in BY_NAMESPACE:
        known = " and ".join(one.number for one in BY_NAMESPACE.values())
        raise FormatError(f"this ODM is of namespace {namespace or 'none'}; {known} are read")
    if any(word.startswith("{" + _DEFINE) for word in attributes):
        raise FormatError("it is Define-XML, which describes data sets and has no rows")
    return BY_NAMESPACE[namespace], attributes.get("FileType") == "Transactional"


def recognises(head: bytes) -> bool:
    """Is this the beginning of ODM-XML? Where there is only a prolog, as long comments are, it may be."""
    text = _COMMENT.sub(b"", head.replace(b"\0", b""))
    root = _ROOT.search(text)
    return root[1] == b"ODM" if root else b"<?xml" in text or b"<!--" in head
