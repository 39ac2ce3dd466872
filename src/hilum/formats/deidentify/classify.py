"""What a variable means, by what is said of it: its name, label, type, format and role, before a value is seen."""

from __future__ import annotations

from hilum.formats.deidentify import cdisc, vocabulary
from hilum.formats.deidentify.meanings import HARMLESS, Meaning
from hilum.formats.xpt.sas_format import calendar, parse
from hilum.model.dataset import Dataset, DataType, Variable

_MEANT = {DataType.DATE: Meaning.DATE, DataType.DATETIME: Meaning.DATE, DataType.TIME: Meaning.TIME}
_FIRST = ("USUBJID", "SUBJID")


def by_description(variable: Variable) -> tuple[Meaning | None, str]:
    """The meaning and where it was seen. None: only the values can tell."""
    named = vocabulary.by_name(variable.name)
    if variable.type is DataType.BOOLEAN:
        return Meaning.PLAIN, "type"
    if named is Meaning.BIRTH:
        return named, "name"
    if dated := _dated(variable):
        labelled = vocabulary.by_words(variable.label)
        return (Meaning.BIRTH, "label") if labelled is Meaning.BIRTH else (dated, "type")
    if variable.type is DataType.URI:
        return Meaning.URL, "type"
    if named is not None and named not in HARMLESS:
        return named, "name"
    if named is not None and cdisc.by_standard(variable.name) is not None:
        return named, "name"
    meaning, seen = _by_label(variable, named)
    typed = meaning is Meaning.PLAIN and seen != "code list"  # no standard says what its values are
    return Meaning.TYPED if typed else meaning, seen


def _by_label(variable: Variable, named: Meaning | None) -> tuple[Meaning | None, str]:
    """A label that says an identifier counts more than a name that says none."""
    labelled = vocabulary.by_words(variable.label)
    if labelled is not None and (labelled not in HARMLESS or named is None):
        return labelled, "label"
    if named is not None:
        return named, "name"
    if variable.code_list:
        return Meaning.PLAIN, "code list"
    if "identifier" in variable.role.lower():
        return Meaning.RECORD, "role"
    return None, ""


def _dated(variable: Variable) -> Meaning | None:
    """By its type, or by the format that shows a number as a date."""
    if variable.type in _MEANT:
        return _MEANT[variable.type]
    kind = calendar(parse(variable.format).name) if variable.numeric and variable.format else None
    return None if kind is None else _MEANT[kind]


def subject_of(dataset: Dataset, wanted: str) -> str:
    """The variable of the subject: what is wanted, else CDISC's, else the first that means one; or none."""
    names = dataset.names
    for name in (wanted, *_FIRST) if wanted else _FIRST:
        for own in names:
            if own.upper() == name.upper():
                return own
    meanings = {one.name: by_description(one)[0] for one in dataset.variables}
    for meaning in (Meaning.SUBJECT, Meaning.MRN):
        found = next((name for name, meant in meanings.items() if meant is meaning), "")
        if found:
            return found
    return ""
