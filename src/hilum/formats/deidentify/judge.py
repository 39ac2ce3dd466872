"""What the values of a column say about its meaning, where its name alone does not settle it."""

from __future__ import annotations

from hilum.formats.deidentify import vocabulary
from hilum.formats.deidentify.meanings import DATED, HARMLESS, Meaning
from hilum.formats.deidentify.observe import LONG, Number, Text
from hilum.model.dataset import DataType, Variable

_SOME = 10  # subjects, below which it is chance that nobody shares a value


def judged(meaning: Meaning | None, seen: str, variable: Variable, values: Text | Number | None) -> tuple[Meaning, str]:
    """The meaning and what told it. A name that says an identifier is believed, whatever the values are."""
    if variable.numeric:
        code = meaning is Meaning.TYPED and "code" in vocabulary.words(variable.name).split()
        if code or meaning in (Meaning.TEXT, Meaning.UNKNOWN):
            meaning = None  # numbers are no sentences, and of a code nobody knows what it codes
        if meaning is not None:
            return (meaning, seen) if meaning is not Meaning.TYPED else (Meaning.PLAIN, seen)
        return _number(values) if isinstance(values, Number) else (Meaning.UNKNOWN, "values, which nobody saw")
    if meaning in DATED and variable.type is DataType.STRING and isinstance(values, Text) and values.no_dates:
        return Meaning.TEXT, "values, which are no dates"
    if meaning is not None and meaning not in HARMLESS:
        return meaning, seen
    if not isinstance(values, Text):
        return meaning or Meaning.UNKNOWN, seen
    return _text(meaning, seen, values)


def _number(values: Number) -> tuple[Meaning, str]:
    if values.all_days:
        return Meaning.DATE, "values, written as YYYYMMDD"
    if values.years:
        return Meaning.DATE, "values, which are years"
    if values.numbers_of_something:
        return Meaning.RECORD, "values, which are numbers of something"
    if values.areas:
        return Meaning.ZIP, "values, of five digits, one a subject"
    if values.ages:
        return Meaning.AGE, "values, one a subject, some from 90 to 125"
    return Meaning.PLAIN, "values"


def _text(meaning: Meaning | None, seen: str, values: Text) -> tuple[Meaning, str]:
    if not values.filled:
        return Meaning.PLAIN, "values, which are all missing"
    if values.all_dates:
        return Meaning.DATE, "values"
    if values.hits:
        found = max(sorted(values.hits), key=lambda one: values.hits[one])
        if found in DATED:
            return Meaning.TEXT, f"values, of which {values.hits[found]} hold a date"
        return found, f"values, of which {values.hits[found]} look like one"
    if meaning is Meaning.PLAIN or (meaning is Meaning.REGION and values.longest <= LONG):
        return meaning, seen
    if meaning in (Meaning.TYPED, Meaning.REGION):
        if values.checked and values.together.identifies and values.together.subjects >= _SOME:
            return Meaning.RECORD, "values, each subject's or row's own"
        return (Meaning.TEXT, "values, which are many or long") if values.sentences else (Meaning.PLAIN, seen)
    if values.numbered:
        return Meaning.RECORD, "values, which are numbers of something"
    if values.known_words:
        return Meaning.PLAIN, "values"
    if values.category:
        return Meaning.PLAIN, "values, few and shared by many"
    if values.together.identifies:
        return Meaning.RECORD, "values, each subject's or row's own"
    if values.sentences:
        return Meaning.TEXT, "values, which are many or long"
    return Meaning.UNKNOWN, "values"
