"""Define-XML held against itself (`review`), and against the data that it describes (`check`).

Source: CDISC Define-XML 2.1, 5 "Define-XML Model"; FDA, Study Data Technical Conformance Guide, "Data Definition File".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hilum.formats.define import terms
from hilum.formats.define.findings import Finding, finding
from hilum.formats.define.model import CodeList, Define, Item, Table
from hilum.formats.define.observed import Form, Observed, Seen
from hilum.model.dataset import Variable

_NUMBERS = ("integer", "float")
_CALENDAR = ("date", "datetime", "time")
_TIME = re.compile(r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_ID = re.compile(r"[^\W\d][\w.-]*")
_FORMAT = re.compile(r"[A-Za-z_$][A-Za-z0-9_.]{0,7}")


def check(define: Define, datasets: Iterable[Observed]) -> list[Finding]:
    """Where the data are not as they are defined, and what `review` finds.

    Data sets and variables belong to their definitions by name. Values that were too many to be kept are not looked up
    in a code list; a finding says so.
    """
    found = list(review(define))
    there = {one.dataset.name: one for one in datasets}
    defined = {one.name: one for one in define.tables}
    lists = {one.oid: one for one in define.lists}
    for name, table in defined.items():
        if name in there:
            found += _table(table, there[name], lists)
        elif not table.no_data:
            found.append(finding(name, "dataset-missing", "the data set is defined, and is not there"))
    for name in there:
        if name not in defined:
            found.append(finding(name, "dataset-undefined", "the data set is there, and is not defined"))
    return found


def review(define: Define) -> Iterator[Finding]:
    """What is wrong with the description itself."""
    if not define.tables:
        yield finding("", "tables-none", "no data set is defined")
    yield from _names(define)
    yield from _terms(define)
    yield from _references(define)
    for table in define.tables:
        places = [one.variable.key for one in table.items if one.variable.key is not None]
        if len(set(places)) < len(places) or any(place < 1 for place in places):
            yield finding(table.name, "key-twice", "two variables have one place in the key, or one has none from 1 on")
    for one in define.lists:
        yield from _list(one)


def _names(define: Define) -> Iterator[Finding]:
    oids = define.oids + [one.oid for one in define.standards]
    for oid, times in Counter(oids).items():
        if times > 1:
            yield finding(oid, "oid-twice", f"{times} definitions have the OID {oid}")
    ids = Counter(one.id for one in define.documents)
    for id in (one for one, times in ids.items() if times > 1):
        yield finding(id, "oid-twice", f"{ids[id]} documents have the ID {id}")
    for name, times in Counter(one.name for one in define.tables).items():
        if times > 1:
            yield finding(name, "name-twice", f"{times} data sets are called {name}")
    for table in define.tables:
        for name, times in Counter(one.variable.name for one in table.items).items():
            if times > 1:
                yield finding(f"{table.name}.{name}", "name-twice", f"{times} variables are called {name}")
    yield from _unnamed(define)
    yield from _shapes(define)


def _unnamed(define: Define) -> Iterator[Finding]:
    study = define.study
    needed = [
        ("the study's OID or name", study.oid and study.name),
        ("the file's OID or name", define.oid and define.name),
    ]
    for table in define.tables:
        needed.append((f"the OID or name of data set {table.name}", table.oid and table.name))
        needed += [(f"the name of a variable of {table.name}", item.variable.name) for item in table.items]
    needed += [("the OID or name of a code list", one.oid and one.name) for one in define.lists]
    needed += [("the OID or name of a method", one.oid and one.name) for one in define.methods]
    needed += [("the OID of a comment", one.oid) for one in define.comments]
    needed += [("the OID or version of a standard", one.oid and one.version) for one in define.standards]
    for what, text in needed:
        if not text:
            yield finding("", "name-empty", f"{what} is empty")


def _shapes(define: Define) -> Iterator[Finding]:
    """Texts and numbers that have to look in a certain way."""
    looks = [("", "time of creation", define.created, _TIME), ("", "language", define.language, _LANGUAGE)]
    looks += [(one.id, "ID", one.id, _ID) for one in define.documents]
    looks += [(one.oid, "SAS format", one.sas_format, _FORMAT) for one in define.lists if one.sas_format]
    for path, what, text, shape in looks:
        if not shape.fullmatch(text):
            yield finding(path, "shape-wrong", f"{text!r} is no {what}")
    for table in define.tables:
        for item in table.items:
            length, digits = item.variable.length, item.digits
            if (length is not None and length < 1) or (digits is not None and digits < 0):
                path = f"{table.name}.{item.variable.name}"
                yield finding(path, "shape-wrong", "Length counts from 1, SignificantDigits from 0")


def _terms(define: Define) -> Iterator[Finding]:
    words = [("", "context", define.context, terms.CONTEXTS)]
    for standard in define.standards:
        path = standard.oid
        words += [(path, "standard's name", standard.name, terms.STANDARDS), (path, "type", standard.type, terms.KINDS)]
        words += [(path, "publishing set", standard.publishing, terms.PUBLISHINGS)] if standard.publishing else []
    for table in define.tables:
        if table.observation:
            words.append((table.name, "class", table.observation.name, terms.CLASSES))
            for name, parent in table.observation.subclasses:
                words.append((table.name, "subclass", name, terms.SUBCLASSES))
                words += [(table.name, "parent class", parent, terms.CLASSES | terms.SUBCLASSES)] if parent else []
        for item in table.items:
            path = f"{table.name}.{item.variable.name}"
            words.append((path, "DataType", item.type, terms.TYPES))
            for origin in item.origins:
                words.append((path, "origin", origin.type, terms.ORIGINS))
                words += [(path, "origin's source", origin.source, terms.SOURCES)] if origin.source else []
    words += [(one.oid, "type", one.type, terms.METHODS) for one in define.methods if one.type]
    words += [(one.oid, "DataType", one.type, terms.LISTED) for one in define.lists]
    for path, what, word, allowed in words:
        if word not in allowed:
            yield finding(path, "term-unknown", f"Define-XML knows no {what} {word}")


def _references(define: Define) -> Iterator[Finding]:
    comments = {one.oid for one in define.comments}
    methods = {one.oid for one in define.methods}
    standards = {one.oid for one in define.standards}
    lists = {one.oid for one in define.lists}
    made: list[tuple[str, str, str, set[str]]] = []
    for table in define.tables:
        made.append((table.name, "comment", table.comment, comments))
        made.append((table.name, "standard", table.standard, standards))
        for item in table.items:
            path = f"{table.name}.{item.variable.name}"
            made.append((path, "comment", item.comment, comments))
            made.append((path, "method", item.method, methods))
            made.append((path, "code list", item.variable.code_list, lists))
    for one in define.lists:
        made += [(one.oid, "comment", one.comment, comments), (one.oid, "standard", one.standard, standards)]
    made += [(one.oid, "comment", one.comment, comments) for one in define.standards]
    for path, what, oid, known in made:
        if oid and oid not in known:
            yield finding(path, "reference-unknown", f"there is no {what} {oid}")


def _list(one: CodeList) -> Iterator[Finding]:
    if bool(one.codes) == (one.external is not None):
        yield finding(one.oid, "codes-none", "the code list needs values, or else a dictionary")
    decoded = sum(code.decode is not None for code in one.codes)
    if decoded not in (0, len(one.codes)):
        yield finding(one.oid, "codes-mixed", f"{decoded} of {len(one.codes)} values have a decode")
    if len({code.value for code in one.codes}) < len(one.codes):
        yield finding(one.oid, "codes-twice", "two entries of the code list have one value")


def _table(table: Table, observed: Observed, lists: dict[str, CodeList]) -> Iterator[Finding]:
    dataset, name = observed.dataset, table.name
    if table.no_data and observed.rows:
        yield finding(name, "dataset-data", f"it is defined as one without data, and has {observed.rows:,} rows")
    if not table.no_data and not observed.rows:
        yield finding(name, "dataset-data", "it has no rows, and its definition does not say so")
    if table.label != dataset.label:
        yield finding(name, "dataset-label", "the label is not the defined one")
    there = {one.name: one for one in dataset.variables}
    defined = {one.variable.name: one for one in table.items}
    for item in table.items:
        one = there.get(item.variable.name)
        if one is not None:
            yield from _variable(f"{name}.{one.name}", item, one, observed.variables[one.name], lists)
        elif not item.no_data:
            text = "the variable is defined, and is not there"
            yield finding(f"{name}.{item.variable.name}", "variable-missing", text)
    for one in dataset.variables:
        if one.name not in defined:
            yield finding(f"{name}.{one.name}", "variable-undefined", "the variable is there, and is not defined")
    yield from _order(name, [one for one in defined if one in there], [one for one in there if one in defined])
    if (key := _key(dataset.variables)) and key != _key(table.dataset.variables):  # a format without keys says nothing
        yield finding(name, "variable-keys", "the key of the data set is not the defined one")


def _variable(path: str, item: Item, one: Variable, seen: Seen, lists: dict[str, CodeList]) -> Iterator[Finding]:
    numeric = one.numeric or one.type.value == "decimal"
    if numeric != (item.type in _NUMBERS):
        holds = "numbers" if numeric else "text"
        yield finding(path, "variable-type", f"it is defined as {item.type}, and holds {holds}")
    elif item.type in _CALENDAR and seen.form > Form.COMPLETE:
        yield finding(path, "variable-type", f"it is defined as {item.type}, and holds incomplete ones")
    elif item.type == "integer" and seen.digits:
        yield finding(path, "variable-type", "it is defined as integer, and holds numbers with a fraction")
    if item.variable.label != one.label:
        yield finding(path, "variable-label", "the label is not the defined one")
    length = item.variable.length
    if item.type == "text" and length is not None:
        if one.length is not None and one.length != length:
            yield finding(path, "variable-length", f"its length is {one.length}, and is defined as {length}")
        if seen.length > length and not numeric:
            yield finding(path, "value-length", f"a text has {seen.length} characters, and {length} are defined")
    if (listed := lists.get(item.variable.code_list)) is not None:
        yield from _values(path, listed, seen)


def _values(path: str, listed: CodeList, seen: Seen) -> Iterator[Finding]:
    if listed.external is not None:
        return
    if seen.values is None:
        yield finding(
            path, "value-unchecked", f"there are too many values, or too long ones, to look up in {listed.oid}"
        )
        return
    allowed = {code.value for code in listed.codes}
    if strangers := tuple(one for one in seen.values if one not in allowed):
        count = f"{len(strangers)} values are" if len(strangers) > 1 else "a value is"
        yield finding(path, "value-code", f"{count} not in the code list {listed.oid}", strangers)


def _order(name: str, defined: Sequence[str], there: Sequence[str]) -> Iterator[Finding]:
    for wanted, found in zip(defined, there, strict=True):
        if wanted != found:
            text = f"{found} stands where {wanted} is defined to stand"
            yield finding(f"{name}.{found}", "variable-order", text)
            return


def _key(variables: Iterable[Variable]) -> list[str]:
    return [name for _, name in sorted((one.key, one.name) for one in variables if one.key is not None)]
