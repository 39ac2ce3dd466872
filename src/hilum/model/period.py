"""Times that are said by a word, such as `last-week`: what they mean is told from a moment, in UTC.

A word is a time with two ends. Where it says when something begins it is the first moment of that time, where it says
when something ends it is the first moment after it: from `last-week` until `last-week` is the whole of it.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

AT = "at"
"""Key of the validation context: the moment that words are told from. Without it no word is understood."""

KNOWN = "yesterday, last-week, last-month, or last-24h and last-7d with any number"
_LAST = re.compile(r"last-([1-9][0-9]{0,3})([hd])", re.ASCII)
_DAY = datetime.timedelta(days=1)


def period(word: str, at: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime] | None:
    """The first moment of it, and the first one after it, in UTC; None: that is no such word.

    Days, weeks and months are whole ones (weeks begin on Monday, ISO 8601); hours and days with a number end at `at`.
    """
    at = at.astimezone(datetime.UTC)
    today = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if word == "yesterday":
        return today - _DAY, today
    if word == "last-week":
        monday = today - today.weekday() * _DAY
        return monday - 7 * _DAY, monday
    if word == "last-month":
        first = today.replace(day=1)
        return (first - _DAY).replace(day=1), first
    if found := _LAST.fullmatch(word):
        number = int(found[1])
        return at - (datetime.timedelta(hours=number) if found[2] == "h" else number * _DAY), at
    return None


def _begin(value: Any, info: ValidationInfo) -> Any:
    return _moment(value, info, 0)


def _end(value: Any, info: ValidationInfo) -> Any:
    return _moment(value, info, 1)


def _moment(value: Any, info: ValidationInfo, end: int) -> Any:
    at = (info.context or {}).get(AT)
    if at is None or not isinstance(value, str):
        return value
    found = period(value, at)
    if found is None and value[:1].isalpha():
        raise ValueError(f"neither a time nor a word for one: say {KNOWN}")
    return value if found is None else found[end]


Since = Annotated[datetime.datetime, BeforeValidator(_begin)]
"""When something begins: a time, or a word where the context says the moment."""

Until = Annotated[datetime.datetime, BeforeValidator(_end)]
"""When something ends: a time, or a word where the context says the moment. The moment itself is not of it."""
