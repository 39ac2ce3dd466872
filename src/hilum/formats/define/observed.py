"""What the rows of a data set show of its variables: lengths, digits, forms of dates, values while they are few."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hilum.formats.plain_xml import unfit
from hilum.model.dataset import CALENDAR, Dataset, DataType, Variable

_LONGEST = 200  # characters of a value that is kept
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?"
_COMPLETE = {DataType.DATE: f"^{_DATE}$", DataType.TIME: f"^{_TIME}$", DataType.DATETIME: f"^{_DATE}T{_TIME}$"}
_CUT_DATE = r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?"
_CUT_TIME = r"[0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
_PARTIAL = {
    DataType.DATE: f"^{_CUT_DATE}$", DataType.TIME: f"^{_CUT_TIME}$",
    DataType.DATETIME: f"^({_CUT_DATE}|{_DATE}T{_CUT_TIME})$",
}  # fmt: skip


class Form(enum.IntEnum):
    """How much of dates and times there is, the least complete of a variable."""

    COMPLETE = 0
    PARTIAL = 1  # their ends are left out: 2014-05
    OTHER = 2  # anything else


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A variable's values. `length`: characters of the longest text, digits of the longest number; 0: there is none.

    `digits`: the most digits behind a point. `values`: all of them, sorted; None where they are too many, too long, or
    none that XML can hold. A boolean is 1 or 0. `missing`: has a row none, or an empty text?
    """

    length: int = 0
    digits: int = 0
    form: Form = Form.COMPLETE
    values: tuple[str, ...] | None = ()
    missing: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """A data set, how many rows it has, and what was seen of its variables, by name."""

    dataset: Dataset
    rows: int
    variables: Mapping[str, Seen]


class Observer:
    """Sees a data set batch by batch. At most `most` values of a variable are kept."""

    def __init__(self, dataset: Dataset, most: int = 2_000) -> None:
        self._dataset = dataset
        self._rows = 0
        self._columns = {one.name: _Column(one, most) for one in dataset.variables}

    def see(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        for one, column in zip(self._columns.values(), batch.columns, strict=True):
            one.see(column)

    @property
    def observed(self) -> Observed:
        return Observed(self._dataset, self._rows, {name: one.seen for name, one in self._columns.items()})


def observe(dataset: Dataset, batches: Iterable[pa.RecordBatch], most: int = 2_000) -> Observed:
    """All of a data set."""
    observer = Observer(dataset, most)
    for batch in batches:
        observer.see(batch)
    return observer.observed


class _Column:
    def __init__(self, variable: Variable, most: int) -> None:
        self._variable, self._most = variable, most
        self._length = self._digits = 0
        self._form = Form.COMPLETE
        self._missing = False
        self._values: set[str] | None = set()

    @property
    def seen(self) -> Seen:
        values = None if self._values is None else tuple(sorted(self._values, key=self._order))
        return Seen(self._length, self._digits, self._form, values, self._missing)

    def see(self, column: pa.Array) -> None:
        found = pc.drop_null(pc.unique(column))
        self._missing = self._missing or column.null_count > 0
        if pa.types.is_floating(found.type):
            self._missing = self._missing or bool(pc.any(pc.is_nan(found)).as_py())
            found = found.filter(pc.is_finite(found))
        elif pa.types.is_string(found.type):
            self._missing = self._missing or bool(pc.any(pc.equal(found, "")).as_py())
        if not len(found):
            return
        if pa.types.is_boolean(found.type):
            found = pc.cast(found, pa.int8())  # as files have it that know numbers and text alone
        texts = found if pa.types.is_string(found.type) else pc.cast(found, pa.string())
        if self._variable.numeric or self._variable.type is DataType.DECIMAL:
            texts = pc.replace_substring_regex(texts, "^-0$", "0")
            self._numbers(texts)
        else:
            self._length = max(self._length, pc.max(pc.utf8_length(texts)).as_py())
        if self._variable.type in CALENDAR and not self._variable.counted:
            self._calendar(texts)
        self._keep(texts)

    def _numbers(self, texts: pa.Array) -> None:
        """Digits of numbers, as they are without an exponent."""
        odd = pc.match_substring_regex(texts, "[eE]")
        plain = texts.filter(pc.invert(odd))
        if pc.any(odd).as_py():
            written = [f"{Decimal(one):f}" for one in texts.filter(odd).to_pylist()]
            plain = pa.concat_arrays([plain, pa.array(written, pa.string())])
        digits = pc.utf8_length(pc.replace_substring_regex(plain, "[^0-9]", ""))
        self._length = max(self._length, pc.max(digits).as_py())
        behind = pc.utf8_length(pc.replace_substring_regex(plain, r"^[^.]*\.?", ""))
        self._digits = max(self._digits, pc.max(behind).as_py())

    def _calendar(self, texts: pa.Array) -> None:
        kind = self._variable.type
        texts = texts.filter(pc.not_equal(texts, ""))
        for form, shapes in ((Form.COMPLETE, _COMPLETE), (Form.PARTIAL, _PARTIAL)):
            if pc.all(pc.match_substring_regex(texts, shapes[kind])).as_py() is not False:
                self._form = max(self._form, form)
                return
        self._form = Form.OTHER

    def _keep(self, texts: pa.Array) -> None:
        if self._values is None:
            return
        texts = texts.filter(pc.not_equal(texts, ""))
        long = pc.any(pc.greater(pc.utf8_length(texts), _LONGEST)).as_py()
        if len(texts) > self._most or long or unfit(texts):
            self._values = None
            return
        self._values |= set(texts.to_pylist())
        if len(self._values) > self._most:
            self._values = None

    def _order(self, text: str) -> Any:
        return (float(text), text) if self._variable.numeric else text
