"""Dates in text, however they are written: their year alone, or the same date some days earlier; and ages.

What can be shifted is written without doubt: ISO 8601 (CDISC's partial dates too), HL7's digits, `31.01.2014`,
`31JAN2014`, `31-Jan-2014`. `01/02/2014` is two different days on two sides of an ocean, and is not shifted.

A partial date moves as its middle does: `2014-05` as May 15 and `2014` as July 1, cut to what it said. The difference
of two partial dates can therefore be off by one of their last unit. What has no year moves nowhere and is left out.
"""

from __future__ import annotations

import datetime

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify.profile import OVER

OLD = f"{OVER}+"
"""Stands for a year that says that somebody is older than 89."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR = "((?:1[5-9]|2[01])[0-9]{2})"
_ISO = re2.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?([T -].*)?")
_DURATION = re2.compile(r"P[0-9A-Z.,]+")
_DIGITS = re2.compile(r"([0-9]{4})([0-9]{2})(?:([0-9]{2})([0-9]{2,6}(?:\.[0-9]+)?)?)?([+-][0-9]{4})?")
_GERMAN = re2.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})( .*)?")
_SAS = re2.compile(rf"(?i)([0-9]{{1,2}})([- ]?)({'|'.join(_MONTHS)})([- ]?)([0-9]{{4}})([: ].*)?")
_LEADING = re2.compile(rf"\s*{_YEAR}(?:$|[^0-9]|(?:0[1-9]|1[0-2])(?:$|[^0-9]|[0-3][0-9]))")
_IN_ORDER = re2.compile(rf"[0-3]?[0-9][-./ ][01]?[0-9][-./ ]{_YEAR}(?:$|[^0-9])")
_LETTERS = re2.compile(r"\pL+")
_SAID = """
    a above adolescent adolescents adult adults age aged ages and alt bis child children day days elderly erwachsen
    erwachsene erwachsener geriatric group infant infants jahr jahre jahren jugendlich jugendliche kind kinder m mo
    monate month months n neonate neonates newborn newborns of old older or over p paediatric pediatric preterm senior
    senioren säugling t tage than to toddler toddlers unknown under unter up w weeks woche wochen y year years yo young
    younger yr yrs über und"""
_IN_A_YEAR = {
    1.0: "years year y yr yrs jahre a",
    12.0: "months month mo monate",
    52.0: "weeks week wk wochen",
    365.0: "days day d tage",
    8_760.0: "hours hour h stunden",
}
_UNITS = {word: number for number, words in _IN_A_YEAR.items() for word in words.split()}
_AGE_WORDS = frozenset(_SAID.split())
_FIGURE = re2.compile(r"[0-9]+(?:[.,][0-9]+)?")
_INSIDE = re2.compile(rf"(?:^|[^0-9]){_YEAR}(?:$|[^0-9])")


def year(text: str, oldest: int) -> str | None:
    """The year of a date, `90+` where it is `oldest` or before; None where the text says none, or more than one."""
    found = _LEADING.match(text) or _IN_ORDER.search(text)
    if found is not None:
        return capped(int(found.group(1)), oldest)
    years = set(_INSIDE.findall(text))
    return capped(int(years.pop()), oldest) if len(years) == 1 else None


def capped(found: int, oldest: int) -> str:
    """A year as text, `90+` where it is `oldest` or before."""
    return OLD if found <= oldest else f"{found:04}"


def ninety(unit: str) -> float:
    """90 years in a unit, `years` where it is none that is known; rounded down, so that what may be 90 years is."""
    return OVER * _UNITS.get(unit.strip().casefold(), 1.0)


def age(text: str) -> str | None:
    """An age or a group of ages in words: `95` and `>=90` are `90+`, `85-94` is `85+`; None for what is none."""
    if not _AGE_WORDS.issuperset(_LETTERS.findall(text.lower())):
        return None
    numbers = [float(found.replace(",", ".")) for found in _FIGURE.findall(text)]
    if not numbers or max(numbers) < OVER:
        return text
    return OLD if min(numbers) >= OVER - 1 else f"{min(numbers):g}+"


def shifted(text: str, days: int) -> str | None:
    """The same date, written the same way, that many days later; None where that cannot be told."""
    text = text.strip()
    start, slash, end = text.partition("/")
    if not slash:
        return _shifted(text, days)
    if not (_ISO.fullmatch(start) or _ISO.fullmatch(end)):
        return None
    parts = [one if _DURATION.fullmatch(one) else _shifted(one, days) for one in (start, end)]
    return None if None in parts else f"{parts[0]}/{parts[1]}"


def _shifted(text: str, days: int) -> str | None:
    try:
        if found := _ISO.fullmatch(text):
            return _iso(days, *found.groups())
        if found := _DIGITS.fullmatch(text):
            year, month, day, clock, zone = found.groups()
            moved = _moved(year, month, day, days).isoformat().replace("-", "")
            return moved[: 8 if day else 6] + (clock or "") + (zone or "")
        if found := _GERMAN.fullmatch(text):
            day, month, year, clock = found.groups()
            moved = _moved(year, month, day, days).isoformat()
            return f"{moved[8:]}.{moved[5:7]}.{moved[:4]}{clock or ''}"
        if found := _SAS.fullmatch(text):
            return _named(days, *found.groups())
    except (ValueError, OverflowError):
        return None  # no such day, or one before the year 1
    return None


def _iso(days: int, year: str, month: str | None, day: str | None, rest: str | None) -> str | None:
    rest = rest or ""
    if day is None and rest:  # 2014---15: its month is unknown, so only the year moves; of 2014-W05 nothing
        return _iso(days, year, None, None, None) if month is None and rest.startswith("---") else None
    if rest.startswith("-"):
        return None
    moved = _moved(year, month, day, days)
    return moved.isoformat()[: 4 if month is None else 7 if day is None else 10] + rest


def _named(days: int, day: str, before: str, month: str, after: str, year: str, rest: str | None) -> str:
    moved = _moved(year, str(_MONTHS.index(month.lower()) + 1), day, days)
    name = _MONTHS[moved.month - 1]
    name = name.upper() if month.isupper() else name if month.islower() else name.title()
    return f"{moved.day:02}{before}{name}{after}{moved.year:04}{rest or ''}"


def _moved(year: str, month: str | None, day: str | None, days: int) -> datetime.date:
    middle = datetime.date(int(year), int(month or 7), int(day or (15 if month else 1)))
    return middle + datetime.timedelta(days)
