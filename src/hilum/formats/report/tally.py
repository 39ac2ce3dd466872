"""Rows of a data set counted into a chart, batch by batch; what is kept is as large as the chart.

A number is counted into steps of 1, 2, 10, 20 … that become wider as the numbers need; a date by day, month or year; a
text by itself. A special missing value of SAS counts as missing.
"""

from __future__ import annotations

import datetime
import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import ConfigError
from hilum.formats import cells
from hilum.formats.report.document import Chart, ChartKind, Series
from hilum.formats.report.values import number
from hilum.model.dataset import CALENDAR, NUMERIC, Dataset, DataType, Variable

GROUPS = 30  # that a chart shows; the smaller ones become one
_LINES = 6  # series, likewise
_KEPT = 10_000  # different texts, pairs of them with a series
_STEPS, _DATES = 48, 92
_CANDIDATES = 8  # variables that are counted where none was asked for
MISSING, OTHERS = "(missing)", "others"
_REST: Any = object()  # stands for all that are not shown by themselves; a text may be called `others`
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")

Key = tuple[Any, str]  # a text, the number of a step or the beginning of a date; and its series


class Tally:
    """Rows by `x` and `series`: how many, or the sum or mean of `y`.

    Raises ConfigError for a variable that is not there or no number, and for one with too many different texts. With
    `most`, more of them than these only make it `over`, and nothing is counted any more.
    """

    def __init__(
        self, dataset: Dataset, x: str, y: str | None = None, series: str | None = None, measure: str = "count",
        most: int | None = None,
    ) -> None:  # fmt: skip
        self.x, self.y = _variable(dataset, x, "x"), None if y is None else _variable(dataset, y, "y")
        self.series = None if series is None else _variable(dataset, series, "series")
        if self.y is not None and self.y.type not in NUMERIC:
            raise ConfigError(f"{self.y.name} is no number", where="options.y")
        if (measure == "count") != (self.y is None):
            raise ConfigError("sum and mean are of a variable, a count is not", where="options.measure")
        self.measure, self.over, self._most = measure, False, most
        self._counts: dict[Key, int] = defaultdict(int)
        self._sums: dict[Key, float] = defaultdict(float)
        self._names = list(dataset.names)
        self._step, self._letters = 0.0, 10

    @property
    def groups(self) -> set[Any]:
        """What was found of `x`, without what is missing."""
        return {x for x, _ in self._counts if x is not None}

    @property
    def _numeric(self) -> bool:
        return self.x.type in NUMERIC

    def add(self, batch: pa.RecordBatch) -> None:
        """Count rows."""
        if self.over or not batch.num_rows:
            return
        column = batch.column(self._names.index(self.x.name))
        keys = self._steps(column) if self._numeric else self._texts(self.x, column)
        lines = pa.nulls(len(column), pa.string())
        if self.series is not None:
            lines = self._texts(self.series, batch.column(self._names.index(self.series.name)))
        table = pa.table({"x": keys, "s": lines})
        wanted: list[Any] = [([], "count_all")]
        if self.y is not None:
            table = table.append_column("y", _known(batch.column(self._names.index(self.y.name))))
            wanted = [("y", "count"), ("y", "sum")]
        for row in table.group_by(["x", "s"], use_threads=False).aggregate(wanted).to_pylist():
            key = (row["x"], row["s"] if row["s"] is not None else MISSING if self.series else "")
            self._counts[key] += row["count_all" if self.y is None else "y_count"]
            self._sums[key] += row.get("y_sum") or 0.0
        self._bound()

    def chart(self, kind: ChartKind | None = None, title: str = "") -> Chart:
        """What was counted; `kind` None: the one that suits `x`."""
        told = self.x.label or self.x.name
        both = f" and {self.series.label or self.series.name}" if self.series else ""
        lines = _largest(self._by(1), _LINES)
        suits = ChartKind.COLUMN if self._numeric or self.x.type in CALENDAR else ChartKind.BAR
        if kind is None:
            kind = ChartKind.STACKED if len(lines) > 1 and self.measure != "mean" and suits is ChartKind.BAR else suits
        places, labels, notes = self._places()
        rest = [line for line in self._by(1) if line not in lines]
        within = {line: rest if line is _REST else [line] for line in lines}
        series = tuple(
            Series(OTHERS if line is _REST else line or told, [self._value(place, within[line]) for place in places])
            for line in lines
        )
        unit = "rows" if self.y is None else f"{self.measure} of {self.y.name}"
        if self._numeric and places:
            unit += f", {self.x.name} in steps of {number(self._step)}"
        return Chart(kind, title or f"{_word(self)} by {told}{both}", labels, series, unit=unit, note="; ".join(notes))

    def _places(self) -> tuple[list[Sequence[Any]], Sequence[Any], list[str]]:
        """What is shown side by side, each with the keys in it; their labels; and what is to be said."""
        gone = sum(count for (x, _), count in self._counts.items() if x is None)
        notes = [f"{gone:,} rows have no {self.x.name}"] if gone and self.x.type not in {DataType.STRING} else []
        if self._numeric:
            found = sorted(self.groups)
            every = list(range(int(found[0]), int(found[-1]) + 1)) if found else []
            return [[one] for one in every], [number(_tidy(one * self._step)) for one in every], notes
        if self.x.type in CALENDAR:
            days = {one: _moment(one, self._letters) for one in sorted(self.groups)}
            bad = sum(count for (x, _), count in self._counts.items() if x is not None and days[x] is None)
            notes += [f"{bad:,} rows have no whole date"] if bad else []
            whole = {one: day for one, day in days.items() if day is not None}
            return [[one] for one in whole], list(whole.values()), notes
        sizes = self._by(0)
        shown = _largest(sizes, GROUPS)
        places: list[Sequence[Any]] = [[one] for one in shown if one is not _REST]
        labels = [MISSING if one is None else one for (one,) in places]
        if len(places) < len(sizes):
            places.append([one for one in sizes if one not in shown])
            labels.append(f"{OTHERS} ({len(places[-1]):,})")
        return places, labels, notes

    def _by(self, side: int) -> dict[Any, int]:
        sizes: dict[Any, int] = defaultdict(int)
        for key, count in self._counts.items():
            sizes[key[side]] += count
        return sizes

    def _value(self, place: Sequence[Any], lines: Sequence[str]) -> float | None:
        keys = [(x, line) for x in place for line in lines if (x, line) in self._counts]
        count, total = sum(self._counts[key] for key in keys), math.fsum(self._sums[key] for key in keys)
        if self.measure == "count":
            return count
        return (total if self.measure == "sum" else total / count) if count else None

    def _steps(self, column: pa.Array) -> pa.Array:
        """The number of the step that each value lies in."""
        known = _known(column)
        values = pc.drop_null(known).to_numpy(zero_copy_only=False)
        if not self._step and len(values):
            width = float(values.max()) / _STEPS - float(values.min()) / _STEPS
            self._step = _round(width, whole=self.x.type is DataType.INTEGER)
        if len(values):
            self._widen(float(values.min()), float(values.max()))
        whole = np.floor(known.fill_null(0.0).to_numpy(zero_copy_only=False) / (self._step or 1.0))
        return pa.array(whole, pa.float64(), mask=pc.is_null(known).to_numpy(zero_copy_only=False))

    def _widen(self, low: float, high: float) -> None:
        """Make the steps wider until all of them are few enough: what was counted falls into the wider ones."""
        while True:
            ends = low / self._step, high / self._step
            if all(map(math.isfinite, ends)):
                found = [*self.groups, *map(math.floor, ends)]
                if max(found) - min(found) < _STEPS * 2:
                    return
            factor = 2 if f"{self._step:e}"[0] == "1" else 5
            self._step = _tidy(self._step * factor)
            self._merge(lambda x, by=factor: None if x is None else math.floor(x / by))

    def _texts(self, variable: Variable, column: pa.Array) -> pa.Array:
        text = cells.text(column, variable, _ignore, 0, letters=False)
        if variable is self.x and variable.type in CALENDAR:
            return pc.utf8_slice_codeunits(text, 0, self._letters)
        return text

    def _bound(self) -> None:
        if self.x.type in CALENDAR:
            while len(self.groups) > _DATES and self._letters > 4:
                self._letters = 7 if self._letters == 10 else 4
                self._merge(lambda x: x if x is None else x[: self._letters])
        elif self._most is not None and not self._numeric and len(self.groups) > self._most:
            self.over = True
            self._merge(lambda _: None)
        if len(self._counts) > _KEPT:
            name = self.x.name if self.series is None else f"{self.x.name} with {self.series.name}"
            raise ConfigError(f"{name} has more different values than a chart can count", where="options.x")

    def _merge(self, change: Callable[..., Any]) -> None:
        counts, sums = self._counts, self._sums
        self._counts, self._sums = defaultdict(int), defaultdict(float)
        for (x, s), count in counts.items():
            self._counts[change(x), s] += count
            self._sums[change(x), s] += sums[x, s]


class Choice:
    """Counts by several variables and keeps what makes the best chart.

    The first variable with a code list or with few different texts; else the first number; else the first date.
    """

    def __init__(self, dataset: Dataset) -> None:
        coded = [one for one in dataset.variables if one.code_list]
        texts = [one for one in dataset.variables if one.type is DataType.STRING and one not in coded]
        rest = [one for one in dataset.variables if one.type in NUMERIC and one not in coded]
        dates = [one for one in dataset.variables if one.type in CALENDAR and one.type is not DataType.TIME]
        wanted = [*coded[:_CANDIDATES], *texts[:_CANDIDATES], *rest[:1], *dates[:1]] or list(dataset.variables[:1])
        self._found = [Tally(dataset, one.name, most=GROUPS) for one in wanted]
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count rows."""
        self._rows += batch.num_rows
        for one in self._found:
            one.add(batch)

    def chart(self, kind: ChartKind | None = None, title: str = "") -> Chart:
        for few in (2, 1):
            for one in self._found:
                if not one.over and len(one.groups) >= few:
                    return one.chart(kind, title)
        rows = Series("rows", [self._rows] if self._rows else [])
        return Chart(kind or ChartKind.BAR, title or "Rows", ["all"] if self._rows else [], (rows,), unit="rows")


def _variable(dataset: Dataset, name: str, option: str) -> Variable:
    for one in dataset.variables:
        if one.name == name:
            return one
    raise ConfigError(f"data set {dataset.name} has no variable {name!r}", where=f"options.{option}")


def _word(tally: Tally) -> str:
    if tally.y is None:
        return "Rows"
    return f"{tally.measure.capitalize()} of {tally.y.label or tally.y.name}"


def _largest(sizes: dict[Any, int], most: int) -> list[Any]:
    """All of them by their size; where they are too many, `_REST` stands for the smaller ones."""
    found = sorted(sizes, key=lambda one: (-sizes[one], one is None, str(one)))
    return found if len(found) <= most else [*found[: most - 1], _REST]


def _known(column: pa.Array) -> pa.Array:
    """Numbers, with null for what is none."""
    values = pc.cast(column, pa.float64())
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))


def _round(step: float, *, whole: bool) -> float:
    """The next of 1, 2, 10, 20 … that is not less."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    found = next(part * power for part in (1, 2, 10) if part * power >= step)
    return _tidy(max(found, 1.0) if whole else found)


def _tidy(value: float) -> float:
    """Without what binary fractions add to a decimal one."""
    return float(f"{value:.12g}")


def _moment(text: str, letters: int) -> datetime.datetime | None:
    """The day, or the first one of a month or year; None where the text is not that whole."""
    if len(text) != letters or not _DATE.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text + "-01-01"[: 10 - letters]).replace(tzinfo=datetime.UTC)
    except ValueError:  # no such day
        return None


def _ignore(row: int, variable: str, value: object, reason: str) -> None:
    """A count of SAS that is no date: it counts as missing."""
