"""What the hub checks of a package by itself: keys are unique, and the data are as Define-XML says.

That a file keeps to the limits of its format is its exporter's work: it refuses what does not.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.exporting.means import Watch
from hilum.exporting.tables import Opened
from hilum.formats import define

_SHOWN = 20  # rows that are named
_BETWEEN = "\x1f"


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
    whole = np.concatenate(marks) if marks else np.zeros(0, np.int64)
    order = np.argsort(whole, kind="stable")
    again = np.sort(order[1:][whole[order][1:] == whole[order][:-1]])
    if not len(again):
        return []
    text = f"{len(again):,} rows have the key of an earlier one ({', '.join(names)})"
    return [Finding(table.dataset.name, "key-unique", "error", text, tuple(int(row) + 1 for row in again[:_SHOWN]))]


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
    """A row's key as one text; a missing value is told from an empty one."""
    columns = [
        pc.fill_null(column if pa.types.is_string(column.type) else pc.cast(column, pa.string()), "\x00")
        for column in batch.columns
    ]
    return pc.binary_join_element_wise(*columns, _BETWEEN)
