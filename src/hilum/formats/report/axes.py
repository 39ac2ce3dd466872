"""Where the ticks of a chart's axes are, and what they say."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from hilum.formats.report import fonts
from hilum.formats.report.document import Chart

_TICKS = 5
_ROOM = 58.0  # points that a tick along the bottom has at least
_SIZE = 8.0
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS = (
    1, 5, 15, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 600)


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    low: float
    high: float
    ticks: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Along:
    """The axis at the bottom: where each label is, how far they are apart, and what is told where."""

    low: float
    high: float
    step: float
    places: tuple[float, ...]
    ticks: Mapping[float, str]


def scale(known: Iterable[float], *, nought: bool = True) -> Scale:
    """From a round number to another, with about five ticks at round numbers; with `nought` it is among them.

    Without, it is all the same unless what is known is far from it and close together.
    """
    known = list(known) or [0.0]
    low, high = min(known), max(known)
    if nought or low <= 0 <= high or high - low > max(abs(low), abs(high)) / 2 or low == high:
        low, high = min(0.0, low), max(0.0, high)
    if low == high:
        high = 1.0
    step = _round((high - low) / _TICKS, whole=all(float(one).is_integer() for one in known))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def _round(step: float, *, whole: bool) -> float:
    """The next of 1, 2, 2.5, 5, 10 … that is not less; of the whole ones where `whole`."""
    power = 10.0 ** math.floor(math.log10(step))
    found = [float(f"{part * power:.12g}") for part in (1, 2, 2.5, 5, 10) if part * power >= step * (1 - 1e-9)]
    return next((one for one in found if one.is_integer()), 1.0) if whole else found[0]


def along(chart: Chart, width: float) -> Along:
    """Times where they are; labels in even steps."""
    if chart.timed:
        return _times(cast(Sequence[datetime.datetime], chart.x), width)
    count = len(chart.x)
    every = max(1, math.ceil(count * _ROOM / width))
    room = width / max(1, math.ceil(count / every)) - 4
    ticks = {
        place + 0.5: fonts.cut(fonts.shown(str(chart.x[place])[:500]), room, _SIZE) for place in range(0, count, every)
    }
    return Along(0.0, float(count), 1.0, tuple(place + 0.5 for place in range(count)), ticks)


def _times(times: Sequence[datetime.datetime], width: float) -> Along:
    places = tuple(one.timestamp() for one in times)
    gaps = [after - before for before, after in itertools.pairwise(places) if after > before]
    step = min(gaps, default=float(_DAY))
    low, high = min(places), max(places)
    most = max(2, int(width / _ROOM))
    if low == high:
        told = f"{times[0].astimezone(datetime.UTC):%d %b %H:%M}"
        return Along(low - step / 2, high + step / 2, step, places, {low: told})
    return Along(low - step / 2, high + step / 2, step, places, _told(low, high, most))


def _told(low: float, high: float, most: int) -> Mapping[float, str]:
    """At most so many round times in UTC, and their words."""
    for step in _STEPS:
        first = math.ceil(low / step) * step
        if (high - first) / step < most:
            return {at: _word(at, step) for at in _steps(first, high, step)}
    for months in _MONTHS:
        found = list(_months(low, high, months))
        if len(found) <= most:
            break
    return {at.timestamp(): f"{at:%Y}" if months >= 12 else f"{at:%b %Y}" for at in found}


def _steps(first: float, high: float, step: int) -> list[float]:
    return [first + number * step for number in range(int((high - first) // step) + 1)]


def _word(at: float, step: int) -> str:
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    if step >= _DAY or (step >= _MINUTE and at % _DAY == 0):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}" if step >= _MINUTE else f"{moment:%H:%M:%S}"


def _months(low: float, high: float, step: int) -> Iterable[datetime.datetime]:
    begin = datetime.datetime.fromtimestamp(low, datetime.UTC)
    number = begin.year * 12 + begin.month - 1
    number -= number % step
    while True:
        moment = datetime.datetime(number // 12, number % 12 + 1, 1, tzinfo=datetime.UTC)
        if moment.timestamp() > high:
            return
        if moment.timestamp() >= low:
            yield moment
        number += step
