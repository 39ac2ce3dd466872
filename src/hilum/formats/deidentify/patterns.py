r"""How identifiers look in text, for RE2: linear in the text, here and in Arrow, which knows the same language.

`sure` ones are what a column of values is judged by; the others are looked for in free text only, where to take out too
much harms less. Names that have no title before them look like any other word, so no pattern finds them.

Secrets (tokens, passwords) are none of the 18 classes and are known to `hilum.telemetry`; its mask is used for text
that comes from logs and executions, and nothing of it is repeated here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify.meanings import Meaning


@dataclasses.dataclass(frozen=True)
class Pattern:
    """`text` in RE2's language. Its first group, where it has one, stays before the mark, and a second one after it."""

    meaning: Meaning
    text: str
    mark: str
    sure: bool = True

    @cached_property
    def compiled(self) -> Any:
        return re2.compile(self.text)


_MEMORY = 128 << 20  # a bound for what the patterns cost together; in use they take some 10 MB
_GLUED = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"  # as SAS writes it: 12MAR2014
_MONTH = (
    r"(?:jan(?:uary|uar)?|jänner|feb(?:ruary|ruar)?|mar(?:ch)?|märz|maerz|mrz|mär|apr(?:il)?|may|mai|june?|juni|july?|"
    r"juli|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\b\.?"
)
_YEAR = r"(?:1[5-9]|2[01])[0-9]{2}"
_DAY, _MON = r"(?:[12][0-9]|3[01]|0?[1-9])", r"(?:1[0-2]|0?[1-9])"
_DAY_OF = rf"{_DAY}(?:st|nd|rd|th|\.)?[ -]?(?:of )?"
_DAY_AFTER = rf"{_DAY}(?:st|nd|rd|th)?"
_ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_CLOCK = rf"(?:[T ,:]{{1,2}}[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?: ?[AaPp][Mm]| ?Uhr)?{_ZONE})?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = r"[0-9a-f]{1,4}"
_START = r"(^|[^0-9.,])"  # not inside of a longer number
_NUMBER = r"(?:[.-]{0,2}[ \t]?(?:no|nr|num|number|nummer|id|code)\b|\b)[ \t.:#=-]{0,4}"
_VALUE = r"[A-Za-z]{0,4}[ -]?[0-9][0-9A-Za-z/.-]*[0-9A-Za-z]"
_LONG_VALUE = r"[A-Za-z]{0,4}[ -]?[0-9][0-9A-Za-z/.-]{2,}[0-9A-Za-z]"
_PLATE = r"[A-ZÄÖÜ0-9]{1,4}[ -]?[A-Z0-9]{1,4}[ -]?[0-9A-Z]{1,9}"
_DIALLED = r"[+(]{0,2}[0-9][0-9 ()/.-]{5,}[0-9]"

_STREET_END = (
    "(?:Street|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Drive|Court|Terrace|Square|Highway|Hwy|Parkway|St|Ln|Ct)"
)
_STRASSE = "(?:straße|strasse|str\\.|weg|allee|platz|gasse|ring|damm|ufer|chaussee)"
_CAPITAL = r"\p{Lu}[\pL\pM'’-]+"
_TITLE = r"\b(?i:mr|mrs|ms|miss|dr|prof|professor|herrn?|frau|fräulein|schwester|pfleger|nurse|doctor|sister|gez)\b"
_BEFORE_NAME = r"(?:(?:Dr|Prof|med|von|van|de|der|zu|la|el|al)\b\.?[ \t]+){0,3}"
_FULL = rf"{_BEFORE_NAME}{_CAPITAL}(?:[ \t]+\p{{Lu}}\.)?(?:[ \t]+{_CAPITAL}){{0,2}}"
_NAMED = (
    r"(?i:\b(?:patient(?:in)?(?:enname)?|pat|pt|name|nachname|vorname|surname|first name|last name|full name|"
    r"subject name|contact|angehörige[rn]?|mother|father|spouse|wife|husband|signed(?: by)?|entered by|reviewed by|"
    r"dictated by|attending|unterschrift)[ \t]*[:=][ \t]*)"
)


def _labelled(meaning: Meaning, labels: str, mark: str, value: str = _VALUE) -> Pattern:
    """A number that has its name before it; the name stays."""
    return Pattern(meaning, rf"((?i:\b(?:{labels}){_NUMBER}))(?:{value})\b", mark)


def _loose(meaning: Meaning, text: str, mark: str) -> Pattern:
    return Pattern(meaning, text, mark, sure=False)


PATTERNS = (
    Pattern(Meaning.URL, r"(?i)\b(?:https?|s?ftp|file|ldaps?)://[^\s<>\"']+|\bwww\.[^\s<>\"']+\.[^\s<>\"']+", "[URL]"),
    Pattern(Meaning.EMAIL, r"[\pL\pN._%+'-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+", "[EMAIL]"),
    Pattern(Meaning.RECORD, r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "[ID]"),
    Pattern(Meaning.DEVICE, r"(?i)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", "[DEVICE]"),
    Pattern(Meaning.IP, rf"(^|[^0-9.])(?:{_OCTET}\.){{3}}{_OCTET}($|[^0-9.]|\.(?:$|[^0-9]))", "[IP]"),
    Pattern(
        Meaning.IP,
        rf"(?i)(^|[^0-9a-z:])(?:(?:{_GROUP}:){{7}}{_GROUP}|"
        rf"(?:{_GROUP}:){{1,6}}(?::{_GROUP}){{1,6}}|(?:{_GROUP}:){{2,6}}:)($|[^0-9a-z:])",
        "[IP]",
    ),
    Pattern(
        Meaning.LOCATION,
        r"-?[0-9]{1,2}\.[0-9]{4,}°?[NS]?[,;][ \t]*-?[0-9]{1,3}\.[0-9]{4,}°?[EW]?",
        "[PLACE]",
    ),
    Pattern(Meaning.ACCOUNT, r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7}(?: ?[0-9A-Z]{1,3})?\b", "[ACCOUNT]"),  # IBAN
    Pattern(Meaning.ACCOUNT, r"\b(?:[0-9]{4}[ -]){3}[0-9]{4}\b", "[ACCOUNT]"),
    Pattern(Meaning.SSN, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", "[SSN]"),
    Pattern(Meaning.PLAN, r"\b[A-Z][0-9]{9}\b", "[PLAN]"),  # the insured's number in Germany
    Pattern(Meaning.VEHICLE, r"\b[A-HJ-NPR-Z0-9]{3}[A-HJ-NPR-Z]{2}[A-HJ-NPR-Z0-9]{8}[0-9]{4}\b", "[VEHICLE]"),  # VIN
    _labelled(
        Meaning.SSN,
        "ssn|social security|soc sec|sozialversicherungs|rentenversicherungs|steuer|tax|passport|reisepass|ausweis|"
        "personalausweis|nhs",
        "[SSN]",
    ),
    _labelled(
        Meaning.MRN,
        "mrn|medical record|med rec|patienten|patient|pat|fall|aktenzeichen|akte|chart|case|encounter|visit id|"
        "hospital",
        "[MRN]",
        _LONG_VALUE,
    ),
    _labelled(
        Meaning.PLAN,
        "policy|member|subscriber|insurance|versicherten|versicherungs|kvnr|egk|medicare|medicaid|beneficiary|"
        "health plan|hicn|mbi",
        "[PLAN]",
    ),
    _labelled(Meaning.ACCOUNT, "account|acct|konto|invoice|rechnungs|iban|card", "[ACCOUNT]"),
    _labelled(
        Meaning.LICENCE,
        "licen[cs]e|lic|certificate|dea|npi|lanr|bsnr|führerschein|fuehrerschein|zertifikats?",
        "[LICENCE]",
    ),
    _labelled(Meaning.VEHICLE, "licen[cs]e plate|plate|kennzeichen|vin|fahrgestell", "[VEHICLE]", _PLATE),
    _labelled(
        Meaning.DEVICE,
        "serial|s/n|sn|serien|imei|udi|device|geräte?|geraete|pacemaker|implant|lead model",
        "[DEVICE]",
    ),
    _labelled(Meaning.FAX, "fax|telefax", "[FAX]", _DIALLED),
    _labelled(
        Meaning.PHONE,
        "tel|telephone|telefon|phone|ph|call|cell|mobile|mobil|handy|pager|ruf|rückruf|callback",
        "[PHONE]",
        _DIALLED,
    ),
    Pattern(Meaning.PHONE, r"\+[0-9]{1,3}(?:[ ./()-]{0,3}[0-9]{1,8}){2,6}\b", "[PHONE]"),
    Pattern(
        Meaning.PHONE,
        rf"{_START}(?:1[ .-])?(?:\([0-9]{{3}}\) ?|[0-9]{{3}}[ .-])[0-9]{{3}}[ .-][0-9]{{4}}\b"
        r"(?: ?(?:x|ext\.?) ?[0-9]+)?",
        "[PHONE]",
    ),
    Pattern(
        Meaning.PHONE,
        rf"{_START}(?:0[1-9][0-9]{{1,4}} ?[/-] ?[0-9]{{3,9}}(?:[ -][0-9]{{1,6}})*|"
        r"\(0[1-9][0-9]{1,4}\) ?[0-9][0-9 -]{3,}[0-9])\b",
        "[PHONE]",
    ),
    Pattern(
        Meaning.PHONE,
        rf"{_START}(?:0[1-9][0-9]{{1,4}} [0-9]{{3,8}}(?: [0-9]{{2,8}})*|00?[1-9][0-9]{{8,13}})\b",
        "[PHONE]",
    ),
    Pattern(
        Meaning.STREET,
        rf"\b[0-9]{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:\p{{Lu}}[\pL'’.-]* ){{1,3}}{_STREET_END}\b\.?"
        r"(?:,? (?:Apt|Suite|Unit|#)\.? ?[0-9A-Za-z]+)?",
        "[ADDRESS]",
    ),
    Pattern(
        Meaning.STREET,
        rf"\b\p{{Lu}}[\pL-]*{_STRASSE}[ \t]+[0-9]{{1,4}} ?[a-z]?\b|"
        rf"\b\p{{Lu}}[\pL-]+[ -](?i:{_STRASSE})[ \t]+[0-9]{{1,4}} ?[a-z]?\b",
        "[ADDRESS]",
    ),
    Pattern(Meaning.STREET, r"(?i)\b(?:p\.? ?o\.? ?box|postfach)[ \t]+[0-9]+\b", "[ADDRESS]"),
    Pattern(
        Meaning.PLACE,
        r"\b\p{Lu}[\pL'’.-]+(?: \p{Lu}[\pL'’.-]+){0,2},? [A-Z]{2},? [0-9]{5}(?:-[0-9]{4})?\b",
        "[PLACE]",
    ),
    _loose(Meaning.ZIP, r"(\b[A-Z]{2},? )[0-9]{5}(?:-[0-9]{4})?\b", "[ZIP]"),
    Pattern(
        Meaning.ZIP,
        r"\b[0-9]{5}-[0-9]{4}\b|(?i)\bzip(?: code)?[ \t:=]{1,3}[0-9]{5}\b|\bplz[ \t:=]{1,3}[0-9]{5}\b",
        "[ZIP]",
    ),
    _loose(Meaning.PLACE, r"\b(?:D-)?[0-9]{5},? (?:\p{Lu}[\pL-]+(?: am \p{Lu}\pL+| \(\pL+\))?|\[PLACE\])", "[PLACE]"),
    Pattern(Meaning.DATE, rf"\b{_YEAR}-{_MON}-{_DAY}{_CLOCK}\b", "[DATE]"),
    Pattern(Meaning.DATE, rf"\b{_YEAR}[./]{_MON}[./]{_DAY}\b{_CLOCK}", "[DATE]"),
    Pattern(
        Meaning.DATE,
        rf"\b{_DAY}[./-] ?{_MON}[./-] ?{_YEAR}\b{_CLOCK}|\b{_MON}[/-]{_DAY}[/-]{_YEAR}\b{_CLOCK}",
        "[DATE]",
    ),
    Pattern(Meaning.DATE, rf"(?i)\b{_DAY_OF}(?:{_MONTH},?[ -]?|{_GLUED}){_YEAR}\b{_CLOCK}", "[DATE]"),
    Pattern(Meaning.DATE, rf"(?i)\b{_MONTH} ?{_DAY_AFTER},? {_YEAR}\b{_CLOCK}", "[DATE]"),
    Pattern(
        Meaning.DATE,
        rf"(^|[^0-9A-Za-z.,]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
        r"(?:[0-2][0-9][0-5][0-9](?:[0-5][0-9])?(?:\.[0-9]+)?(?:[+-][0-9]{4})?)?\b",
        "[DATE]",
    ),
    _loose(Meaning.DATE, rf"(?i)\b{_MONTH},?[ -]{_YEAR}\b", "[DATE]"),
    Pattern(Meaning.DATE, r"\b[0-3][0-9][./-][0-3][0-9][./-][0-9]{2}\b", "[DATE]"),
    _loose(
        Meaning.DATE,
        rf"\b{_DAY}[./]{_MON}[./][0-9]{{2}}\b|\b{_YEAR}-{_MON}\b|\b{_MON}/{_YEAR}\b|\b{_MON}/{_DAY}/[0-9]{{2}}\b",
        "[DATE]",
    ),
    _loose(Meaning.DATE, rf"(?i)\b{_DAY_OF}{_MONTH}(?:[ '-]{{1,2}}[0-9]{{2}}\b)?|\b{_MONTH} {_DAY_AFTER}\b", "[DATE]"),
    _loose(Meaning.DATE, rf"\b{_DAY}\.{_MON}\.(?:$|[^0-9])", "[DATE] "),
    _loose(
        Meaning.TIME,
        r"\b(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?: ?[AaPp]\.?[Mm]\.?| Uhr)?\b"
        r"|(?i)\b[0-9]{1,2}(?::[0-5][0-9])? ?(?:am|pm|uhr)\b",
        "[TIME]",
    ),
    _loose(
        Meaning.AGE,
        r"(?i)\b(?:9[0-9]|1[0-4][0-9])[ -]?(?:years?|yrs?|y\.?/?o\.?|y|jahre?n?|j\.|jährig\w*)"
        r"(?:[ -]?(?:old|of age|alt))?",
        "[90+]",
    ),
    _loose(Meaning.AGE, r"((?i:\b(?:age|aged|alter|age of)[ \t:=]{1,3}))(?:9[0-9]|1[0-4][0-9])\b", "[90+]"),
    Pattern(Meaning.NAME, rf"({_TITLE}\.?[ \t]+){_FULL}", "[NAME]"),
    _loose(
        Meaning.NAME, rf"(\b(?i:patient|patientin|pt|pat\.?)[ \t]+){_CAPITAL}(?:,?[ \t]+{_CAPITAL}){{1,2}}", "[NAME]"
    ),
    _loose(Meaning.NAME, rf"({_NAMED})[\pL\pM'’.-]+(?:,?[ \t]+{_CAPITAL}){{0,3}}", "[NAME]"),
    _loose(Meaning.NAME, r"\b[\pL\pM'’-]{2,}\^[\pL\pM'’-]{2,}(?:\^[\pL\pM'’.-]*)*", "[NAME]"),
    _loose(
        Meaning.RECORD,
        r"((?i:\b(?:accession|specimen|order|auftrags?-?|proben?-?|barcode|id|identifier|ref|reference|kennung|token)"
        r"[ \t]*(?:no|nr|number|nummer|id)?[.:#=]{1,2}[ \t]*))[0-9A-Za-z-]*[0-9][0-9A-Za-z-]*",
        "[ID]",
    ),
    _loose(Meaning.RECORD, rf"{_START}[0-9]{{7,}}\b", "[NUMBER]"),
)
"""In the order in which they are looked for."""

FIRST = (Meaning.URL, Meaning.EMAIL)
"""What may hold a name: looked for before names are."""


class Patterns:
    """Some of them at once: which ones a text holds is one pass over it, and most texts hold none."""

    def __init__(self, chosen: Iterable[Pattern]) -> None:
        self._chosen = tuple(chosen)
        options = re2.Options()
        options.max_mem, options.log_errors = _MEMORY, False
        self._set = re2.Set.SearchSet(options)
        for one in self._chosen:
            self._set.Add(one.text)
        self._set.Compile()

    def found(self, text: str) -> list[Pattern]:
        """Those that the text holds, in their order. It may have no halves of surrogate pairs."""
        return [self._chosen[place] for place in sorted(self._set.Match(text) or ())]


@lru_cache(maxsize=8)
def chosen(sure: bool, but: frozenset[Meaning] = frozenset()) -> Patterns:
    """All of them, or the sure ones, but for some meanings; compiled once."""
    return Patterns(one for one in PATTERNS if (one.sure or not sure) and one.meaning not in but)
