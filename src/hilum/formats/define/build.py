"""A data set's description made of what is known of it and what its rows show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from hilum.formats.define import domains
from hilum.formats.define.model import Code, CodeList, External, Item, Observation, Origin, Table
from hilum.formats.define.observed import Form, Observed, Seen
from hilum.formats.odm.version import kind
from hilum.model.dataset import CALENDAR, DataType, Variable

_IDENTIFIERS = {"STUDYID", "USUBJID", "SUBJID", "SITEID", "INVID", "INVNAM", "POOLID", "SPDEVID"}
_ONE_ROW = {"STUDYID", "USUBJID"}  # a key of no more than these: a subject has one row
_NUMBER = 8  # digits of a number of which nothing is known
_FORMS = {
    (DataType.DATE, Form.COMPLETE): "date", (DataType.DATE, Form.PARTIAL): "partialDate",
    (DataType.TIME, Form.COMPLETE): "time", (DataType.TIME, Form.PARTIAL): "partialTime",
    (DataType.DATETIME, Form.COMPLETE): "datetime", (DataType.DATETIME, Form.PARTIAL): "partialDatetime",
    (DataType.DATE, Form.OTHER): "incompleteDatetime", (DataType.DATETIME, Form.OTHER): "incompleteDatetime",
    (DataType.TIME, Form.OTHER): "incompleteTime",
}  # fmt: skip


def table(
    observed: Observed,
    *,
    href: str = "",
    structure: str = "",
    purpose: str = "",
    domain: str | None = None,
    observation: Observation | None = None,
    standard: str = "",
    origins: Mapping[str, tuple[Origin, ...]] | None = None,
    origin: Origin | None = None,
    methods: Mapping[str, str] | None = None,
    comments: Mapping[str, str] | None = None,
    lists: Iterable[CodeList] = (),
) -> Table:
    """The description of a data set.

    What is not said follows from its name and variables (`domains`), its rows or nothing. `origins`, `methods` and
    `comments` are by variable, `origin` is that of all others; a variable refers to one of `lists` by its `code_list`,
    or as `code_lists` made it. Without rows it is one that has no data, and no file.
    """
    dataset, listed = observed.dataset, {one.oid for one in lists}
    items = []
    for one in dataset.variables:
        made = _oid(observed, one)
        item = _item(one, observed, made if made in listed else "")
        said = (origins or {}).get(one.name) or ((origin,) if origin else ())
        method, comment = (methods or {}).get(one.name, ""), (comments or {}).get(one.name, "")
        items.append(dataclasses.replace(item, origins=said, method=method, comment=comment))
    keys = {one.name for one in dataset.variables if one.key is not None}
    return Table(
        name=dataset.name, items=tuple(items), label=dataset.label, oid=f"IG.{dataset.name}",
        structure=structure or domains.structure(dataset), purpose=purpose or domains.purpose(dataset),
        domain=domains.domain(dataset) if domain is None else domain,
        observation=observation or domains.observation(dataset), repeating=not keys or not keys <= _ONE_ROW,
        reference=domains.reference(dataset), standard=standard, non_standard=not standard, no_data=not observed.rows,
        href=href if observed.rows else "", title=href if observed.rows else "",
    )  # fmt: skip


def code_lists(observed: Observed, most: int = 20, given: Iterable[CodeList] = ()) -> tuple[CodeList, ...]:
    """Code lists of what was seen, but for those that are `given`.

    A variable that names a code list has one of its values, or of a dictionary of that name where they are too many. So
    has any other text of at most `most` values that come twice on average, unless it is a key or identifies somebody.
    """
    known = {one.oid for one in given}
    found: dict[str, CodeList] = {}
    for one in observed.dataset.variables:
        oid, values = _oid(observed, one), observed.variables[one.name].values
        if oid in known or not (one.code_list or _repeats(observed, one, most)):
            continue
        codes = tuple(Code(value) for value in values or ())
        external = None if codes else External(one.code_list)
        fresh = CodeList(oid, one.label or one.name, codes, external, _listed(observed, one))
        found[oid] = _joined(found[oid], fresh) if oid in found else fresh
    return tuple(found.values())


def merged(lists: Iterable[CodeList]) -> tuple[CodeList, ...]:
    """One list of each OID, with the values of all that have it."""
    found: dict[str, CodeList] = {}
    for one in lists:
        found[one.oid] = _joined(found[one.oid], one) if one.oid in found else one
    return tuple(found.values())


def data_type(variable: Variable, seen: Seen) -> str:
    """The DataType of Define-XML, which has no booleans (1 and 0), decimals or URIs of its own."""
    if variable.type in (DataType.STRING, DataType.URI):
        return "text"
    if variable.type in (DataType.INTEGER, DataType.BOOLEAN):
        return "integer"
    if variable.type in CALENDAR and not variable.counted:
        return _FORMS[variable.type, seen.form]
    whole = not seen.digits if seen.length else variable.counted
    return "integer" if whole and variable.type is not DataType.DECIMAL else "float"


def _item(variable: Variable, observed: Observed, code_list: str) -> Item:
    seen = observed.variables[variable.name]
    type = data_type(variable, seen)
    length = None
    if type == "text":
        length = max(1, variable.length or seen.length)
    elif type in ("integer", "float"):
        length = seen.length or (None if variable.counted else variable.length) or _NUMBER
    plain = Variable(
        variable.name, kind(type) or DataType.STRING, variable.label, length, variable.format, key=variable.key,
        oid=variable.oid or f"IT.{observed.dataset.name}.{variable.name}", code_list=code_list, role=variable.role,
    )  # fmt: skip
    mandatory = variable.key is not None and not seen.missing
    return Item(plain, type, seen.digits if type == "float" and seen.length else None, mandatory)


def _oid(observed: Observed, variable: Variable) -> str:
    return variable.code_list or f"CL.{observed.dataset.name}.{variable.name}"


def _repeats(observed: Observed, variable: Variable, most: int) -> bool:
    values = observed.variables[variable.name].values
    if variable.type is not DataType.STRING or variable.key is not None or variable.name.upper() in _IDENTIFIERS:
        return False
    return values is not None and 0 < len(values) <= most and observed.rows >= 2 * len(values)


def _listed(observed: Observed, variable: Variable) -> str:
    type = data_type(variable, observed.variables[variable.name])
    return type if type in ("integer", "float") else "text"


def _joined(one: CodeList, other: CodeList) -> CodeList:
    """The values of both, an entry with a decode before one without; where some have none their value is it."""
    values: dict[str, Code] = {}
    for code in (*one.codes, *other.codes):
        if code.value not in values or (values[code.value].decode is None and code.decode is not None):
            values[code.value] = code
    decoded = any(code.decode is not None for code in values.values())
    codes = tuple(
        dataclasses.replace(code, decode=code.value) if decoded and code.decode is None else code
        for code in values.values()
    )
    type = one.type if one.type == other.type else "text"
    return dataclasses.replace(one, codes=codes, external=None if codes else one.external or other.external, type=type)
