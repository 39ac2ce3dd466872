"""What the hub checks of a package by itself: keys are unique, and the data are as Define-XML says.

That a file keeps to the limits of its format is its exporter's work: it refuses what does not.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hilum.exporting.means import Watch
from hilum.exporting.tables import Opened
from hilum.formats import define

_SHOWN = 20  # rows that are named


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is error or warning; `rows` are some of those concerned, from 1."""

    path: str
    rule: str
    severity: str
    text: str
    rows: tuple[int, ...] = ()


def keys(table: Opened, watch: Watch) -> list[Finding]:
    """Rows that have the key of an earlier one; none where the data set says no key."""
    named = sorted((one for one in table.dataset.variables if one.key is not None), key=lambda one: one.key or 0)
    if not named:
        return []
    names = tuple(one.name for one in named)
    marks = []  # 8 bytes a row: that two keys of ten million have the same one by chance is one in 100,000
    for batch in table.batches(names):
        watch.check()
        marks.append(np.fromiter(map(hash, _joined(batch).to_pylist()), np.int64, batch.num_rows))
    count, rows = _again(marks)
    if not count:
        return []
    text = f"{count:,} rows have the key of an earlier one ({', '.join(names)})"
    return [Finding(table.dataset.name, "key-unique", "error", text, rows)]


def _again(marks: list[npt.NDArray[np.int64]]) -> tuple[int, tuple[int, ...]]:
    """How many marks are there before, and the first rows of them, from 1; with 16 bytes a row where there is none."""
    if not marks:
        return 0, ()
    ordered = np.concatenate(marks)
    ordered.sort()
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    if not (count := len(repeated)):
        return 0, ()
    repeated = np.unique(repeated)
    seen, shown, start = np.zeros(len(repeated), bool), list[int](), 1
    for batch in marks:
        places = np.minimum(np.searchsorted(repeated, batch), len(repeated) - 1)
        concerned = np.flatnonzero(repeated[places] == batch)
        places = places[concerned]
        later = np.ones(len(places), bool)
        later[np.unique(places, return_index=True)[1]] = False
        shown += (concerned[later | seen[places]] + start).tolist()
        if len(shown) >= _SHOWN:
            break
        seen[places] = True
        start += len(batch)
    return count, tuple(shown[:_SHOWN])


def defined(text: bytes, observed: Sequence[define.Observed]) -> list[Finding]:
    """Where the data are not as a Define-XML file says."""
    found = define.check(define.read(text), observed)
    return [Finding(one.path, one.rule, one.severity, one.text) for one in found]


def told(found: Sequence[Finding], datasets: Sequence[str]) -> dict[str, Any]:
    """All of it as JSON: what was checked, and what came of it."""
    counts = Counter(one.severity for one in found)
    return {
        "checked": ["limits of the data format", "keys are unique", "define.xml and the data agree", "code lists"],
        "datasets": list(datasets),
        "counts": {"error": counts["error"], "warning": counts["warning"]},
        "findings": [dataclasses.asdict(one) for one in found],
    }


def _joined(batch: pa.RecordBatch) -> pa.Array:
    """A row's key as one text: each part with its length before it, so that no two keys have the same one.

    A missing value has the length "-".
    """
    parts = []
    for column in batch.columns:
        text = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
        length = pc.fill_null(pc.cast(pc.binary_length(text), pa.string()), "-")
        parts += [length, pc.fill_null(text, "")]
    return pc.binary_join_element_wise(*parts, ":")
