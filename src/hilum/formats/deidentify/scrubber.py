"""Identifiers out of text: by how they look, and by value where the record that the text belongs to says them.

A known name is found however it is written: `MÜLLER`, `Mueller`, `muller`, with marks that combine, `Müllers`,
`O’Brien`, `OBrien`, `MuellerJoerg`; a known number with other blanks, strokes and leading zeros. What is neither known
nor looks like an identifier stays: a name without a title before it that no field of the record tells, and every
nickname.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify import dates, patterns
from hilum.formats.deidentify.meanings import DATED, Meaning
from hilum.formats.deidentify.profile import Kind, Profile

_MARKS = {
    Meaning.NAME: "[NAME]", Meaning.STREET: "[ADDRESS]", Meaning.PLACE: "[PLACE]", Meaning.PHONE: "[PHONE]",
    Meaning.FAX: "[FAX]", Meaning.EMAIL: "[EMAIL]", Meaning.MRN: "[MRN]",
}  # fmt: skip
_WORD = re2.compile(r"\pL[\pL\pM\p{Cf}]*|\pN+")
_PLAIN_WORD = re.compile(r"[A-Za-z]+|[0-9]+")  # several times faster, and as linear
_AGAIN = re2.compile(r"(\[(?:NAME|PLACE|ADDRESS)\])(?:[ ,.'’-]{0,3}(?:\[(?:NAME|PLACE|ADDRESS)\]))+")
_FALSE = frozenset(
    ("al", "am", "and", "bei", "da", "das", "de", "del", "den", "der", "di", "die", "dos", "dr", "du", "el", "frau",
     "herr", "ii", "iii", "im", "in", "jr", "la", "le", "med", "miss", "mr", "mrs", "ms", "of", "prof", "san", "sr",
     "st", "str", "the", "und", "van", "von", "zu", "zum", "zur", "road", "street", "avenue", "strasse", "none",
     "unknown", "unbekannt", "null", "na", "test", "patient", "self", "not", "no", "yes", "ja", "nein")
)  # fmt: skip
"""Parts of names and addresses that say nobody's, and would take half of every text with them."""

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i", "ß": "ss"})
_SPELLED = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("å", "aa"), ("ø", "oe"))
_SILENT = dict.fromkeys(code for code in range(128) if not chr(code).isalnum())
_LEAST_NAME, _LEAST_NUMBER = 2, 4  # characters
_GAP = 3  # characters between two pieces of one value
_PIECES = 8
_UNSPACED = 0x2E80  # from here on scripts put no blanks between words

# RE2 reads UTF-8, which has no halves of surrogate pairs: they travel in a private plane and come back as they were.
_HALVES = {code: 0x10E000 + code - 0xD800 for code in range(0xD800, 0xE000)}
_HALF = re.compile("[\ud800-\udfff]")
_RESTORED = {there: here for here, there in _HALVES.items()}


@dataclasses.dataclass(frozen=True)
class Known:
    """What a record says of a person: folded forms and the mark that takes their place."""

    forms: dict[str, str]
    unspaced: tuple[tuple[str, str], ...] = ()
    longest: int = 0  # characters of a form

    @staticmethod
    def of(values: Iterable[tuple[Meaning, str]], and_: Known | None = None) -> Known:
        """Of values and what they mean. Names and places count by their parts too, anything else as a whole."""
        forms: dict[str, str] = dict(and_.forms) if and_ else {}
        unspaced: dict[str, str] = dict(and_.unspaced) if and_ else {}
        for meaning, value in values:
            mark = _MARKS.get(meaning, "[ID]")
            if any(ord(char) >= _UNSPACED and char.isalpha() for char in value):
                unspaced[value.strip()] = mark
            named = meaning in (Meaning.NAME, Meaning.PLACE, Meaning.STREET)
            for form in _name_forms(value, meaning) if named else _number_forms(value):
                forms.setdefault(form, mark)
        longest = max(map(len, forms), default=0)
        return Known(forms, tuple(sorted(unspaced.items(), key=lambda one: -len(one[0]))), longest)


NOTHING = Known({})


class Scrubber:
    """Takes identifiers out of texts, as a profile has it."""

    def __init__(self, profile: Profile) -> None:
        self._oldest = profile.oldest
        self._years = profile.kind is Kind.SAFE_HARBOR
        kept = (*DATED, Meaning.TIME, Meaning.AGE) if profile.kind is Kind.PSEUDONYMISE else ()
        self._all = patterns.chosen(False, frozenset(kept))
        self._sure = patterns.chosen(True, frozenset(kept))

    def text(self, text: str, known: Known = NOTHING, *, sure: bool = False) -> str:
        """`text` without what is known, and without what looks like an identifier; with `sure`, surely does."""
        broken = not text.isascii() and _HALF.search(text) is not None
        if broken:
            text = text.translate(_HALVES)
        looked = self._sure if sure else self._all
        found = looked.found(text)
        for one in found:
            if one.meaning in patterns.FIRST:
                text = self._without(one, text)
        if known.forms or known.unspaced:
            before, text = text, _without_known(text, known)
            found = looked.found(text) if text != before else found  # what stands beside a mark looks different now
        for one in found:
            if one.meaning not in patterns.FIRST:
                text = self._without(one, text)
        text = _AGAIN.sub(r"\1", text) if "]" in text else text
        return text.translate(_RESTORED) if broken else text

    def _without(self, one: patterns.Pattern, text: str) -> str:
        if one.meaning is Meaning.DATE and self._years:
            result: str = one.compiled.sub(lambda match: self._year(one, match), text)
        else:
            result = one.compiled.sub(lambda match: _marked(one, match), text)
        return result

    def _year(self, one: patterns.Pattern, match: Any) -> str:
        """The year of a date is nobody's, unless it says that somebody is older than 89."""
        year = dates.year(match.group(0).strip(" ([{;:"), self._oldest)
        return _marked(one, match, one.mark if year in (None, dates.OLD) else year)


def _marked(one: patterns.Pattern, match: Any, mark: str | None = None) -> str:
    groups = match.groups()
    before, after = (*(group or "" for group in groups), "", "")[:2]
    return f"{before}{mark or one.mark}{after}"


def fold(text: str) -> str:
    """Lower case, without accents, marks and what cannot be seen."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(char for char in plain if unicodedata.category(char) not in ("Mn", "Me", "Cf"))


def _parts(value: str) -> list[str]:
    return [found for found in _WORD.findall(value.translate(_HALVES)) if found]


def _spellings(word: str) -> tuple[str, ...]:
    """A word without accents, with ä as ae, and with ae as ä."""
    lower = unicodedata.normalize("NFC", word).casefold()
    long = lower
    for char, spelled in _SPELLED:
        long = long.replace(char, spelled)
    short = fold(lower)
    for spelled in ("ae", "oe", "ue"):
        short = short.replace(spelled, spelled[0])
    return tuple(dict.fromkeys((fold(lower), fold(long), short)))


def _name_forms(value: str, meaning: Meaning) -> Iterator[str]:
    parts = [_spellings(part) for part in _parts(value)]
    least = _LEAST_NAME if meaning is Meaning.NAME else _LEAST_NUMBER
    for part in parts:
        if (
            len(part[0]) >= least
            and part[0] not in _FALSE
            and not (part[0].isdigit() and len(part[0]) < _LEAST_NUMBER + 2)
        ):
            yield from part
    if 1 < len(parts) <= _PIECES:
        for place in range(3):
            words = [part[min(place, len(part) - 1)] for part in parts]
            yield "".join(words)
            if meaning is Meaning.NAME:
                yield from (
                    first + second for first, second in itertools.permutations(words[:5], 2) if len(first + second) > 3
                )


def _number_forms(value: str) -> Iterator[str]:
    whole = "".join(fold(part) for part in _parts(value))
    if len(whole) >= _LEAST_NUMBER and whole not in _FALSE:
        yield whole
        if len(bare := whole.lstrip("0")) >= _LEAST_NUMBER:
            yield bare


def _without_known(text: str, known: Known) -> str:
    for value, mark in known.unspaced:
        text = text.replace(value, mark)
    run = _run(text)
    if not any(form in run for form in known.forms):
        return text
    finds = _PLAIN_WORD if text.isascii() else _WORD
    words = [(match.start(), match.end(), fold(match.group(0))) for match in finds.finditer(text)]
    pieces: list[str] = []
    end = place = 0
    while place < len(words):
        length, mark = _found(words, place, known)
        if length:
            pieces += [text[end : words[place][0]], mark]
            end = words[place + length - 1][1]
        place += length or 1
    return "".join(pieces) + text[end:]


def _run(text: str) -> str:
    """Its letters and digits in one: what a text holds of known values, this holds too."""
    if text.isascii():
        return text.translate(_SILENT).lower()
    return "".join(char for char in fold(text) if char.isalnum())


def _found(words: list[tuple[int, int, str]], place: int, known: Known) -> tuple[int, str]:
    """How many words from `place` on are a known value, the most there are, and its mark."""
    found, joined, forms = (0, ""), "", known.forms
    for length in range(1, min(_PIECES, len(words) - place) + 1):
        start, _, word = words[place + length - 1]
        if length > 1 and start - words[place + length - 2][1] > _GAP:
            break
        joined += word
        if len(joined.lstrip("0")) > known.longest + 1:
            break
        mark = forms.get(joined) or forms.get(joined.lstrip("0"))
        if mark is None and joined[-1] == "s" and len(joined) > _LEAST_NUMBER:
            mark = forms.get(joined[:-1])
        if mark is not None:
            found = (length, mark)
    return found
