"""HL7 timestamps as they are: a precision, perhaps an offset, and never more than was written.

Read and written as HL7 (`YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]`, chapter 2A, DTM), as ISO 8601
and by patterns. A timestamp without an offset belongs to a zone: a local time that happens twice takes the
earlier offset, with a finding; one that never happens is an error.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import enum
import re
from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo

MICROSECOND = datetime.timedelta(microseconds=1)


class Precision(enum.IntEnum):
    """How much of a timestamp is known."""

    YEAR = 4
    MONTH = 6
    DAY = 8
    HOUR = 10
    MINUTE = 12
    SECOND = 14
    FRACTION = 15


UNITS = {
    "years": Precision.YEAR,
    "months": Precision.MONTH,
    "weeks": Precision.DAY,
    "days": Precision.DAY,
    "hours": Precision.HOUR,
    "minutes": Precision.MINUTE,
    "seconds": Precision.SECOND,
}

_HL7 = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_ISO = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_PRECISIONS = tuple(Precision)


@dataclasses.dataclass(frozen=True, slots=True)
class Timestamp:
    """`local` is the clock as written, unknown parts at their lowest; `offset` in minutes, if written."""

    local: datetime.datetime
    precision: Precision
    digits: int = 0  # of the fraction of a second
    offset: int | None = None

    def hl7(self) -> str:
        """As HL7 writes it."""
        text = self.local.strftime("%Y%m%d%H%M%S").rjust(14, "0")[: min(self.precision, 14)]
        return text + self._fraction() + ("" if self.offset is None else offset_text(self.offset))

    def iso(self) -> str:
        """As ISO 8601 and FHIR write it, as precise as it is: 1970, 1970-01, 1970-01-01T10:30+01:00."""
        text = self.local.isoformat()[: {4: 4, 6: 7, 8: 10, 10: 13, 12: 16}.get(self.precision, 19)]
        return text + self._fraction() + ("" if self.offset is None else offset_text(self.offset, ":"))

    def _fraction(self) -> str:
        return f".{self.local.microsecond:06d}"[: self.digits + 1] if self.digits else ""


def offset_text(minutes: int, colon: str = "") -> str:
    """+0100, or +01:00 with a colon."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{colon}{rest:02d}"


def parse_hl7(text: str) -> Timestamp:
    """Read an HL7 DT, DTM or TS value. Raises ValueError, whose text does not repeat the value."""
    match = _HL7.fullmatch(text)
    if match is None:
        raise ValueError("is no HL7 timestamp")
    *parts, fraction, offset = match.groups()
    return build(parts, fraction, None if offset is None else _minutes(offset))


def parse_iso(text: str) -> Timestamp:
    """Read an ISO 8601 date or date and time in its extended form, as FHIR uses it. Raises ValueError."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("is no ISO 8601 timestamp")
    *parts, fraction, offset = match.groups()
    return build(parts, fraction, None if offset is None else _minutes(offset))


def build(parts: list[str | None], fraction: str | None, offset: int | None) -> Timestamp:
    """A timestamp of its digits: year, month, day, hour, minute, second, None from where it is unknown."""
    given = [int(part) for part in parts if part is not None]
    known = _PRECISIONS[len(given) - 1]
    year, month, day, hour, minute, second = given + [1, 1, 1, 0, 0, 0][len(given) :]
    micros = int((fraction or "0").ljust(6, "0"))
    try:
        local = datetime.datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - a local time
    except ValueError:
        raise ValueError("is no date and time of the calendar") from None
    if offset is not None and known < Precision.HOUR:
        raise ValueError("has an offset, but no time")
    return Timestamp(local, Precision.FRACTION if fraction else known, len(fraction or ""), offset)


def _minutes(text: str) -> int:
    if text == "Z":
        return 0
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError("has an offset that no place has")
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)


def localize(stamp: Timestamp, zone: ZoneInfo, note: Callable[[str], None]) -> Timestamp:
    """The same with the offset of `zone`, where it has a time and no offset of its own.

    A time that the clocks show twice takes the earlier offset and is noted. Raises ValueError for one that
    they skip.
    """
    if stamp.offset is not None or stamp.precision < Precision.HOUR:
        return stamp
    first, second = (stamp.local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    offset = first or datetime.timedelta()
    if first != second:
        if _exists(stamp.local, zone, offset):
            note(f"a local time happens twice in {zone.key}; the earlier offset was taken")
        else:
            raise ValueError(f"is a local time that {zone.key} skips")
    return dataclasses.replace(stamp, offset=round(offset / datetime.timedelta(minutes=1)))


def _exists(local: datetime.datetime, zone: ZoneInfo, offset: datetime.timedelta) -> bool:
    moment = (local - offset).replace(tzinfo=datetime.UTC)
    return moment.astimezone(zone).replace(tzinfo=None, fold=0) == local


def convert(stamp: Timestamp, zone: ZoneInfo) -> Timestamp:
    """The same moment as the clocks of `zone` show it; without a time or an offset it stays as it is.

    Raises ValueError where an hour without minutes would have to be shifted by a part of an hour.
    """
    if stamp.offset is None or stamp.precision < Precision.HOUR:
        return stamp
    try:
        moment = (stamp.local - datetime.timedelta(minutes=stamp.offset)).replace(tzinfo=datetime.UTC)
        local = moment.astimezone(zone)
    except OverflowError:
        raise ValueError("is too near the calendar's end") from None
    offset = round((local.utcoffset() or datetime.timedelta()) / datetime.timedelta(minutes=1))
    if stamp.precision is Precision.HOUR and (offset - stamp.offset) % 60:
        raise ValueError("is known to the hour only, and the shift is not a whole hour")
    return dataclasses.replace(stamp, local=local.replace(tzinfo=None, fold=0), offset=offset)


def shift(stamp: Timestamp, amount: int, unit: str) -> Timestamp:
    """`amount` units later on the same clock; a month's or year's missing day becomes its last.

    Raises ValueError for a unit finer than the precision, and beyond the years 1 to 9999.
    """
    if UNITS[unit] > stamp.precision:
        raise ValueError(f"is not precise enough to add {unit}")
    try:
        if unit in ("years", "months"):
            months = stamp.local.year * 12 + stamp.local.month - 1 + amount * (12 if unit == "years" else 1)
            year, month = months // 12, months % 12 + 1
            last = calendar.monthrange(year, month)[1]
            local = stamp.local.replace(year=year, month=month, day=min(stamp.local.day, last))
        else:
            local = stamp.local + datetime.timedelta(**{unit: amount})
    except (OverflowError, ValueError, IndexError):
        raise ValueError("would leave the calendar") from None
    return dataclasses.replace(stamp, local=local)


MAX_PATTERN = 100  # characters
MAX_OPTIONS = 8  # brackets: reading tries each of them present and absent
_PART = re.compile(r"yyyy|MM|dd|HH|mm|ss|S{1,6}|XXX|XX|'(?:[^']|'')*'|\[|\]|[^A-Za-z'\[\]]")
_PARTS = {"yyyy": 0, "MM": 1, "dd": 2, "HH": 3, "mm": 4, "ss": 5}
_WRITES = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


class Pattern:
    """A written form such as `dd.MM.yyyy[ HH:mm[:ss]]`; what stands in brackets is left out where unknown.

    `yyyy MM dd HH mm ss`, `S` to `SSSSSS` digits of a fraction, `XX` +0100, `XXX` +01:00; letters in quotes.
    Raises ValueError where the pattern cannot be read.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN or text.count("[") > MAX_OPTIONS:
            raise ValueError(f"a pattern has at most {MAX_PATTERN} characters and {MAX_OPTIONS} brackets")
        tokens = []
        at = depth = 0
        regex = ""
        while at < len(text):
            match = _PART.match(text, at)
            if match is None:
                raise ValueError(f"a pattern has no {text[at]!r}: letters go in quotes, brackets in pairs")
            token = match[0]
            depth += {"[": 1, "]": -1}.get(token, 0)
            if depth < 0 or (token in tokens and token in _PARTS):
                raise ValueError(f"{token} has no place here")
            regex += _regex(token)
            tokens.append(token)
            at = match.end()
        if depth or "yyyy" not in tokens:
            raise ValueError("a pattern names at least yyyy, and each [ has its ]")
        self._tokens = tokens
        self._regex = re.compile(regex, re.ASCII)

    def parse(self, text: str) -> Timestamp:
        """Read text of this form. Raises ValueError."""
        match = self._regex.fullmatch(text)
        if match is None:
            raise ValueError("is not written as the pattern says")
        found = match.groupdict()
        parts = [found.get(name) for name in _PARTS]
        known = next((at for at, part in enumerate(parts) if part is None), 6)
        if any(part is not None for part in parts[known:]):
            raise ValueError("lacks a part before one that it has")
        fraction = found.get("fraction") if known == 6 else None
        offset = found.get("offset")
        return build(parts[:known], fraction, None if offset is None else _minutes(offset))

    def format(self, stamp: Timestamp) -> str:
        """Write `stamp` in this form. Raises ValueError where the pattern needs more than is known."""
        pieces: list[str] = []
        open_at: list[int] = []
        skipping = 0
        for token in self._tokens:
            if token == "[":  # noqa: S105 - a bracket, no password
                open_at.append(len(pieces))
                skipping += skipping > 0
            elif token == "]":  # noqa: S105 - as above
                open_at.pop()
                skipping -= skipping > 0
            elif not skipping:
                piece = _write(token, stamp)
                if piece is not None:
                    pieces.append(piece)
                elif open_at:
                    del pieces[open_at[-1] :]
                    skipping = 1
                else:
                    raise ValueError("is not precise enough for the pattern")
        return "".join(pieces)


@lru_cache(maxsize=512)
def pattern(text: str) -> Pattern:
    """A Pattern, read once. Raises ValueError."""
    return Pattern(text)


def _regex(token: str) -> str:
    if token in _PARTS:
        return f"(?P<{token}>[0-9]{{{len(token)}}})"
    if token[0] == "S":
        return f"(?P<fraction>[0-9]{{{len(token)}}})"
    if token[0] == "X":
        return r"(?P<offset>[+-]\d\d" + (":" if len(token) == 3 else "") + r"\d\d)"
    return {"[": "(?:", "]": ")?"}.get(token) or re.escape(_literal(token))


def _write(token: str, stamp: Timestamp) -> str | None:
    if token in _PARTS:
        known = stamp.precision >= _PRECISIONS[_PARTS[token]]
        return stamp.local.strftime(_WRITES[token]).rjust(len(token), "0") if known else None
    if token[0] == "S":
        return f"{stamp.local.microsecond:06d}"[: len(token)] if len(token) <= stamp.digits else None
    if token[0] == "X":
        return None if stamp.offset is None else offset_text(stamp.offset, ":" if len(token) == 3 else "")
    return _literal(token)


def _literal(token: str) -> str:
    return token[1:-1].replace("''", "'") if token[0] == "'" and len(token) > 1 else token
