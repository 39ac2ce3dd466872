"""SAS's dates, datetimes and times, which are counts, as ISO 8601 text and back, a column at a time.

A date counts days from 1960-01-01, a datetime seconds from its midnight, a time seconds from any midnight; none has a
time zone. Seconds may have a fraction: its text has as many digits as tell the float, so that nothing is lost both
ways. What has no text (a fraction of a day, a time of 24 hours and more, a year outside of 1582 to 9999, a NaN), and
text that is no complete value or has a time zone, comes back as null, and its position beside it.
Source: SAS 9.4 Language Reference, "About SAS Date, Time, and Datetime Values"; ISO 8601-1:2019.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.model.dataset import DataType

Positions = list[int]  # from 0, in order
Column = np.ndarray[Any, np.dtype[Any]]

DAY = 86_400  # seconds
_EPOCH = 3_653  # days from 1960-01-01 to 1970-01-01
_FIRST, _END = -138_061, 2_936_550  # days of 1582-01-01 and 10000-01-01

_EXACT = Context(prec=400)  # the digits of any float and more

_DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]+)?)?"
_SHAPE = {DataType.DATE: _DATE, DataType.TIME: _TIME, DataType.DATETIME: f"{_DATE}T{_TIME}"}


def iso(counts: pa.DoubleArray, kind: DataType) -> tuple[pa.StringArray, Positions]:
    """The text of each count, such as 2014-01-02, 2014-01-02T08:30:00.25 or 08:30:00; nulls stay nulls."""
    given = counts.is_valid().to_numpy(zero_copy_only=False)
    values = counts.fill_null(0).to_numpy()
    with np.errstate(invalid="ignore"):  # a NaN is in no range
        fits = given & _fits(values, kind)
    values = np.where(fits, values, 0.0)
    whole = np.floor(values).astype(np.int64)
    if kind is DataType.DATE:
        texts = _days(whole)
    else:
        times = pa.array((whole % DAY).astype(np.int32), pa.time32("s")).cast(pa.string())
        texts = times if kind is DataType.TIME else pc.binary_join_element_wise(_days(whole // DAY), times, "T")
        texts = _with_fractions(texts, values, whole)
    return pc.if_else(pa.array(fits), texts, None), np.flatnonzero(given & ~fits).tolist()


def counts(texts: pa.StringArray, kind: DataType) -> tuple[pa.DoubleArray, Positions]:
    """The count of each text; nulls stay nulls. A time may end with its minutes."""
    given = texts.is_valid().to_numpy(zero_copy_only=False)
    shaped = pc.match_substring_regex(texts, f"^(?:{_SHAPE[kind]})$").fill_null(False)
    fits = shaped.to_numpy(zero_copy_only=False).copy()
    chosen = texts.filter(shaped)
    if kind is DataType.TIME:
        found, right = _seconds(chosen), np.ones(len(chosen), bool)
    else:
        found, right = _day_counts(pc.utf8_slice_codeunits(chosen, 0, 10))
        if kind is DataType.DATETIME:
            found = _seconds(pc.utf8_slice_codeunits(chosen, 11), found * DAY)
    values = np.zeros(len(texts))
    values[fits] = found
    fits[fits] = right
    return pa.array(values, mask=~fits), np.flatnonzero(given & ~fits).tolist()


def _fits(values: Column, kind: DataType) -> Column:
    unit = 1 if kind is DataType.DATE else DAY
    least, end = (0, DAY) if kind is DataType.TIME else (_FIRST * unit, _END * unit)
    fits: Column = (values >= least) & (values < end)
    return fits & (values == np.floor(values)) if kind is DataType.DATE else fits


def _days(counted: Column) -> pa.StringArray:
    return pa.array((counted - _EPOCH).astype(np.int32), pa.date32()).cast(pa.string())


def _with_fractions(texts: pa.StringArray, values: Column, whole: Column) -> pa.StringArray:
    """Fractions are exact decimal arithmetic on the fewest digits that tell the float; few columns have any."""
    broken = values != whole
    if not broken.any():
        return texts
    endings = np.full(len(values), "", object)
    endings[broken] = [
        f"{_EXACT.subtract(Decimal(repr(value)), second):f}"[1:].rstrip("0")
        for value, second in zip(values[broken].tolist(), whole[broken].tolist(), strict=True)
    ]
    return pc.binary_join_element_wise(texts, pa.array(endings, pa.string()), "")


def _digits(texts: pa.StringArray, width: int) -> Column:
    """The first `width` characters of each text, which are ASCII, as numbers from 0 to 9 where they are digits."""
    cut = pc.utf8_slice_codeunits(texts, 0, width).cast(pa.binary()).cast(pa.binary(width))
    raw = np.frombuffer(cut.buffers()[1] or b"", np.uint8)[cut.offset * width : (cut.offset + len(cut)) * width]
    digits: Column = raw.reshape(-1, width).astype(np.int64) - ord("0")
    return digits


def _day_counts(texts: pa.StringArray) -> tuple[Column, Column]:
    """Days from 1960, and whether the month has that day and SAS that year."""
    digits = _digits(texts, 10)
    year = digits[:, :4] @ np.array([1000, 100, 10, 1])
    month = ((year - 1970) * 12 + digits[:, 5:7] @ np.array([10, 1]) - 1).astype("datetime64[M]")
    day = digits[:, 8:10] @ np.array([10, 1])
    start, after = month.astype("datetime64[D]").astype(np.int64), (month + 1).astype("datetime64[D]").astype(np.int64)
    found = start + day - 1 + _EPOCH
    return found, (day <= after - start) & (found >= _FIRST)


def _seconds(texts: pa.StringArray, midnight: Column | int = 0) -> Column:
    """Seconds of each time of day, from its midnight on."""
    to_minutes = pc.equal(pc.utf8_length(texts), 5)
    digits = _digits(pc.if_else(to_minutes, pc.binary_join_element_wise(texts, ":00", ""), texts), 8)
    whole = midnight + digits[:, [0, 1, 3, 4, 6, 7]] @ np.array([36_000, 3_600, 600, 60, 10, 1])
    found: Column = whole.astype(np.float64)
    broken = np.flatnonzero(pc.greater(pc.utf8_length(texts), 8).to_numpy(zero_copy_only=False))
    endings = pc.utf8_slice_codeunits(texts.take(pa.array(broken)), 8).to_pylist()
    found[broken] = [
        float(_EXACT.add(Decimal(f"0{ending}"), second))
        for second, ending in zip(whole[broken].tolist(), endings, strict=True)
    ]
    return found
