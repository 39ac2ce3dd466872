"""Values as people read them, and as machines do."""

from __future__ import annotations

import datetime
import decimal

from hilum.formats.report.document import Kind, Value

MISSING = "–"
_STEPS = ("B", "kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def shown(value: Value, kind: Kind) -> str:
    """As people read it: grouped digits, units, times in UTC."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return f"{value.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return value
    return _NUMBERS.get(kind, number)(value)


def plain(value: Value) -> str | int | float | bool | None:
    """As machines read it: times as ISO 8601 in UTC."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat().removesuffix("+00:00") + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half of a surrogate pair has no UTF-8
    return value


def number(value: float) -> str:
    """At most three decimals, more where nothing would be left of the number."""
    if isinstance(value, int):
        return f"{value:,}"
    if value and abs(value) < 0.0005:  # what three decimals make of it is 0
        return f"{value:.3g}"
    if abs(value) >= 1e15:  # a float keeps no digits beyond
        return f"{value:.6g}"
    return _trimmed(f"{value:,.3f}") if value else "0"


def percent(value: float) -> str:
    """With two decimals, cut off and not rounded: what is less than all is never shown as 100 %."""
    exact = decimal.Decimal(repr(float(value))) * 100
    cut = exact.quantize(decimal.Decimal("0.01"), decimal.ROUND_DOWN)
    if cut == 0 and exact:
        return "< 0.01 %" if exact > 0 else "> -0.01 %"
    return f"{_trimmed(f'{cut:,f}')} %"


def size(value: float) -> str:
    """Bytes in steps of a thousand."""
    rest, place = float(value), 0
    while abs(rest) >= 999.5 and place < len(_STEPS) - 1:  # what is shown as 1,000
        rest, place = rest / 1000, place + 1
    digits = f"{rest:,.0f}" if not place or abs(rest) >= 99.95 else _trimmed(f"{rest:.1f}")
    return f"{digits} {_STEPS[place]}"


def duration(value: float) -> str:
    """Seconds in the two largest units that matter."""
    sign, rest = ("-", -value) if value < 0 else ("", value)
    if rest < 0.9995:  # what is shown as 1,000 ms
        return f"{sign}{_trimmed(f'{rest * 1000:.1f}') if rest < 0.01 else f'{rest * 1000:.0f}'} ms"
    if rest < 59.95:  # what is shown as 60 s
        return f"{sign}{_trimmed(f'{rest:.1f}')} s"
    whole = round(rest)
    if whole < _HOUR:
        return f"{sign}{whole // _MINUTE} min {whole % _MINUTE:02} s"
    whole = round(rest / _MINUTE)
    if whole * _MINUTE < _DAY:
        return f"{sign}{whole // 60} h {whole % 60:02} min"
    whole = round(rest / _HOUR)
    return f"{sign}{whole // 24:,} d {whole % 24:02} h"


def _trimmed(digits: str) -> str:
    """Without zeros at the end of a fraction."""
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


_NUMBERS = {Kind.PERCENT: percent, Kind.BYTES: size, Kind.DURATION: duration}
