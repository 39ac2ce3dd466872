"""Whole columns of a table, changed as a rule says: each distinct text once, and counts by arithmetic.

A null stays a null, and a special missing value of SAS stays one wherever the column stays a column of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.formats import sas_time
from hilum.formats.deidentify import dates, places
from hilum.formats.deidentify.profile import OVER
from hilum.model.dataset import DataType

_ISO = r"^(?:1[5-9]|2[0-9])[0-9]{2}-[0-9]{2}(?:$|[^0-9])"
_FULL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?$"
_NOTHING = pa.scalar(None, pa.string())


def each(column: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    """A text column with each distinct value changed once."""
    encoded = pc.dictionary_encode(column)
    changed = pa.array([change(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return changed.take(encoded.indices)


def as_text(column: pa.Array) -> pa.Array:
    """Numbers as people write ids and codes: 4711 and not 4711.0; what is missing as null."""
    if pa.types.is_string(column.type):
        return column
    if not pa.types.is_floating(column.type):
        return pc.cast(column, pa.string())
    column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
    return pc.replace_substring_regex(pc.cast(column, pa.string()), r"\.0$", "")


def years(column: pa.Array, kind: DataType | None, oldest: int) -> pa.Array:
    """The year of each date as text, `90+` up to `oldest`, null where there is none; of counts with their `kind`."""
    if kind is None:
        texts = as_text(column)
        iso = pc.match_substring_regex(texts, _ISO)  # nearly every date there is, told without looking at each
        heads = pc.if_else(iso, pc.utf8_slice_codeunits(texts, 0, 4), texts)
        return each(heads, lambda text: dates.year(text, oldest))
    texts, _ = sas_time.iso(_floats(column), kind)
    return each(pc.utf8_slice_codeunits(texts, 0, 4), lambda text: dates.year(text, oldest))


def _floats(column: pa.Array) -> pa.Array:
    return column if pa.types.is_float64(column.type) else pc.cast(column, pa.float64(), safe=False)


def ages(column: pa.Array, units: pa.Array | None) -> pa.Array:
    """Ages, of 90 years and more as 90 in their unit, in text as `90+`."""
    if pa.types.is_string(column.type):
        return each(column, dates.age)
    limits: Any = float(OVER)
    if units is not None:
        known = pc.cast(each(units, lambda text: str(dates.ninety(text))), pa.float64())
        limits = pc.fill_null(known, float(OVER)).to_numpy(zero_copy_only=False)
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):  # a special missing value is no age
        over = (values >= limits) & column.is_valid().to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(over), pa.array(np.broadcast_to(limits, len(values))).cast(column.type), column)


def zips(column: pa.Array, countries: pa.Array | None, sparse: frozenset[str]) -> pa.Array:
    """The first three digits of ZIP codes; null for what is none, and where the row's country is another one."""
    texts = as_text(column)
    if not pa.types.is_string(column.type):  # a number has lost its zeros
        width = pc.if_else(pc.greater(pc.utf8_length(texts), 5), 9, 5)
        texts = pc.if_else(pc.equal(width, 9), pc.utf8_lpad(texts, 9, "0"), pc.utf8_lpad(texts, 5, "0"))
    found = each(texts, lambda text: places.zip3(text, sparse))
    if countries is None:
        return found
    here = each(as_text(countries), lambda text: "" if places.in_united_states(text) else None)
    return pc.if_else(pc.or_(pc.is_valid(here), pc.is_null(countries)), found, _NOTHING)


def codes(column: pa.Array, code: Callable[[str], str]) -> pa.Array:
    """A code for each id; blank ones stay blank."""
    return each(as_text(column), lambda text: code(text) if text.strip() else text)


def shifted(column: pa.Array, kind: DataType | None, days: pa.Array, oldest: int | None) -> pa.Array:
    """Dates moved by each row's `days` (null where it has no subject, and then the date is missing).

    `kind` where they are counts. With `oldest`: births of people over 89 are missing too.
    """
    if kind is not None:
        return _shifted_counts(_floats(column), kind, days, oldest).cast(column.type)
    texts = as_text(column)
    moved = _shifted_texts(texts, days)
    if oldest is not None:
        old = each(texts, lambda text: "" if dates.year(text, oldest) == dates.OLD else None)
        moved = pc.if_else(pc.is_valid(old), _NOTHING, moved)
    if pa.types.is_string(column.type):
        return moved
    number = moved.cast(column.type)
    return pc.if_else(pc.is_nan(column), column, number) if pa.types.is_floating(column.type) else number


def _shifted_counts(column: pa.Array, kind: DataType, days: pa.Array, oldest: int | None) -> pa.Array:
    """A special missing value has no date to move, and stays, whoever the row is of."""
    if kind is DataType.TIME:
        return column
    unit = sas_time.DAY if kind is DataType.DATETIME else 1
    moved = pc.add(column, pc.multiply(pc.cast(days, pa.float64()), float(unit)))
    if oldest is not None:
        last = (np.datetime64(f"{oldest + 1:04}-01-01") - np.datetime64("1960-01-01")).astype(int) * unit
        moved = pc.if_else(pc.less(column, float(last)), pa.scalar(None, pa.float64()), moved)
    return pc.if_else(pc.is_nan(column), column, moved)


def _shifted_texts(column: pa.Array, days: pa.Array) -> pa.Array:
    full = pc.match_substring_regex(column, _FULL)
    counts, _ = sas_time.counts(pc.utf8_slice_codeunits(pc.if_else(full, column, _NOTHING), 0, 10), DataType.DATE)
    moved, _ = sas_time.iso(pc.add(counts, pc.cast(days, pa.float64())), DataType.DATE)
    whole = pc.binary_join_element_wise(moved, pc.utf8_slice_codeunits(column, 10), "")
    rest = pc.and_(pc.is_valid(column), pc.and_(pc.is_valid(days), pc.is_null(counts)))
    rest = pc.fill_null(rest, False)
    if not pc.any(rest).as_py():
        return whole
    done: dict[tuple[str, int], str | None] = {}
    pairs = zip(column.filter(rest).to_pylist(), days.filter(rest).to_pylist(), strict=True)
    texts = [done[pair] if pair in done else done.setdefault(pair, dates.shifted(*pair)) for pair in pairs]
    return pc.replace_with_mask(whole, rest, pa.array(texts, pa.string()))
