"""The functions that know dates and time zones. There is none that tells the time: routes are pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from hilum.expressions import timestamps
from hilum.expressions.functions import NUMBER, TEXT, function, integer
from hilum.expressions.timestamps import Precision, Timestamp
from hilum.expressions.values import EvaluationError, Variables, note

S = TypeVar("S")
R = TypeVar("R")
Writer = Callable[[Timestamp], str]
Reader = Callable[[str], Timestamp]


def zone(name: str) -> ZoneInfo:
    """Raises ValueError for a zone that the IANA database does not have."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"there is no time zone {name!r}") from None


def _writer(form: str) -> tuple[Writer]:
    return ({"hl7": Timestamp.hl7, "iso": Timestamp.iso}.get(form) or timestamps.pattern(form).format,)


def _reader(form: str) -> tuple[Reader]:
    known = {"hl7": timestamps.parse_hl7, "iso": timestamps.parse_iso}
    return (known.get(form) or timestamps.pattern(form).parse,)


def _zone(name: str) -> tuple[ZoneInfo]:
    return (zone(name),)


def _unit(name: str) -> tuple[str]:
    if name not in timestamps.UNITS:
        raise ValueError(f"the units are {', '.join(timestamps.UNITS)}")
    return (name,)


@function(TEXT, TEXT, result=TEXT, literal=(1,), prepare=_writer)
def date_format(value: str | None, form: Writer) -> str | None:
    """An HL7 timestamp written in another form: `iso`, or a pattern such as `dd.MM.yyyy[ HH:mm]`."""
    stamp = _read(value, timestamps.parse_hl7)
    return None if stamp is None else _attempt(form, stamp)


@function(TEXT, TEXT, result=TEXT, literal=(1,), prepare=_reader)
def date_parse(value: str | None, form: Reader) -> str | None:
    """The HL7 timestamp that text in another form (`iso` or a pattern) writes, as precise as the text."""
    stamp = _read(value, form)
    return None if stamp is None else stamp.hl7()


@function(TEXT, NUMBER, TEXT, result=TEXT, literal=(2,), prepare=_unit, zoned=True)
def date_add(value: str | None, amount: Decimal | None, unit: str, home: ZoneInfo, variables: Variables) -> str | None:
    """An HL7 timestamp so many years, months, weeks, days, hours, minutes or seconds later (-: earlier)."""
    stamp = _read(value, timestamps.parse_hl7)
    if stamp is None:
        return None
    number = integer(amount, "the amount to add")
    if timestamps.UNITS[unit] < Precision.HOUR:
        return _attempt(partial(timestamps.shift, amount=number, unit=unit), stamp).hl7()
    # hours pass on the world's clock, not on the wall's: through the zone's offset and back
    exact = _local(stamp, home, variables)
    later = _attempt(partial(timestamps.shift, amount=number, unit=unit), exact)
    if stamp.offset is not None:
        return later.hl7()
    there = _attempt(partial(timestamps.convert, zone=home), later)
    naive = dataclasses.replace(there, offset=None)
    _local(naive, home, variables)  # notes a result that happens twice
    return naive.hl7()


@function(TEXT, TEXT, result=TEXT, literal=(1,), prepare=_zone, zoned=True)
def to_zone(value: str | None, there: ZoneInfo, home: ZoneInfo, variables: Variables) -> str | None:
    """The same moment on the clocks of that zone, with the offset; a date without a time stays as it is."""
    stamp = _read(value, timestamps.parse_hl7)
    if stamp is None:
        return None
    exact = _local(stamp, home, variables)
    return _attempt(partial(timestamps.convert, zone=there), exact).hl7()


@function(TEXT, result=TEXT, zoned=True)
def with_offset(value: str | None, home: ZoneInfo, variables: Variables) -> str | None:
    """An HL7 timestamp with the offset of the source endpoint's zone, where it has a time and no offset."""
    stamp = _read(value, timestamps.parse_hl7)
    return None if stamp is None else _local(stamp, home, variables).hl7()


@function(TEXT, result=TEXT)
def without_offset(value: str | None) -> str | None:
    """An HL7 timestamp without its offset; the clock stays."""
    stamp = _read(value, timestamps.parse_hl7)
    return None if stamp is None else dataclasses.replace(stamp, offset=None).hl7()


def _read(value: str | None, reader: Reader) -> Timestamp | None:
    """Null, empty text and the HL7 null are no timestamp, and no error either."""
    if value in (None, "", '""'):
        return None
    return _attempt(reader, str(value))


def _local(stamp: Timestamp, home: ZoneInfo, variables: Variables) -> Timestamp:
    return _attempt(partial(timestamps.localize, zone=home, note=partial(note, variables)), stamp)


def _attempt(operation: Callable[[S], R], subject: S) -> R:
    """Call it; what it cannot do is this message's error, worded without the value."""
    try:
        return operation(subject)
    except ValueError as error:
        raise EvaluationError(f"a timestamp {error}") from None
