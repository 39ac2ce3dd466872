"""Whether text can be read as a primitive HL7 data type (chapter 2A), true to the calendar.

Types that any text satisfies (ST, TX, FT, ID, IS, GTS, TN) have no check; tables and lengths are other rules.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable

PRIMITIVES = frozenset(
    ("ST", "TX", "FT", "ID", "IS", "NM", "SI", "SNM", "DT", "TM", "DTM", "GTS", "TN", "CM", "WD", "varies")
)
"""Data types without components."""

OPAQUE = frozenset(("CM", "WD", "varies"))
"""Of these the version defines no inside, so nothing of it is checked."""

_DATE = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})?)?")
_TIME = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.[0-9]{1,4})?)?)?(?:[+-]([0-9]{2})([0-9]{2}))?")
_STAMP = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.[0-9]{1,4})?)?)?)?)?)?"
    r"(?:[+-]([0-9]{2})([0-9]{2}))?"
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_SEQUENCE = re.compile(r"[0-9]+")
_DIGITS = re.compile(r"[+0-9]+")

Check = Callable[[str], str | None]
"""Text to what is wrong with it, or None."""


def _date(text: str) -> str | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return "not YYYY[MM[DD]]"
    return _day(*match.groups())


def _time(text: str) -> str | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return "not HH[MM[SS[.S[S[S[S]]]]]][+/-ZZZZ]"
    return _clock(*match.groups())


def _stamp(text: str) -> str | None:
    match = _STAMP.fullmatch(text)
    if match is None:
        return "not YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]"
    year, month, day, *clock = match.groups()
    return _day(year, month, day) or _clock(*clock)


def _day(year: str, month: str | None, day: str | None) -> str | None:
    if year == "0000":
        return "no such year"
    if month is None:
        return None
    if not 1 <= int(month) <= 12:
        return "no such month"
    if day is not None and not 1 <= int(day) <= calendar.monthrange(int(year), int(month))[1]:
        return "no such day in that month"
    return None


def _clock(
    hour: str | None, minute: str | None, second: str | None, offset: str | None, rest: str | None
) -> str | None:
    if hour is not None and int(hour) > 23:
        return "no such hour"
    if (minute is not None and int(minute) > 59) or (second is not None and int(second) > 59):
        return "no such minute or second"
    if offset is not None and rest is not None and (int(offset) > 14 or int(rest) > 59):
        return "no such offset from UTC"
    return None


def _number(text: str) -> str | None:
    return None if _NUMBER.fullmatch(text) else "not a number"


def _sequence(text: str) -> str | None:
    return None if _SEQUENCE.fullmatch(text) else "not a non-negative integer"


def _digits(text: str) -> str | None:
    return None if _DIGITS.fullmatch(text) else "not digits and +"


CHECKS: dict[str, Check] = {
    "DT": _date,
    "TM": _time,
    "DTM": _stamp,
    "NM": _number,
    "SI": _sequence,
    "SNM": _digits,
}
"""The data types whose text has a form."""
