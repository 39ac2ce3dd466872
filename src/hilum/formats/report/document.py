"""What a report says, without a word on how it looks.

Times are aware; they are shown in UTC. A value that is not there is None. A percent is a share (1 is 100 %), bytes are
bytes, a duration is in seconds.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
from collections.abc import Mapping, Sequence

from hilum.errors import DataError

Value = str | int | float | bool | datetime.datetime | datetime.date | None
Row = Sequence[Value]
_SAFE = 2**53


class Kind(enum.StrEnum):
    """What a value measures, by which it is written and aligned."""

    TEXT = "text"
    NUMBER = "number"
    PERCENT = "percent"
    BYTES = "bytes"
    DURATION = "duration"
    TIME = "time"


class Tone(enum.StrEnum):
    """How good a value is. It is never told by colour alone."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    NEUTRAL = "neutral"


class ChartKind(enum.StrEnum):
    """`bar` and `stacked` go to the right, over times upwards; `column` goes upwards.

    `heat`: a strip a series, a field a label; a field's shade is its value between the least and the greatest.
    """

    BAR = "bar"
    COLUMN = "column"
    LINE = "line"
    STACKED = "stacked"
    HEAT = "heat"


class Form(enum.StrEnum):
    """`pages`: as many pages of paper as it takes. `board`: one page, however long, for a screen or a wall."""

    PAGES = "pages"
    BOARD = "board"


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One number that matters, shown large."""

    label: str
    value: Value
    kind: Kind = Kind.NUMBER
    hint: str = ""
    tone: Tone = Tone.NEUTRAL


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """`width` is its share of the room that is left when all words have theirs. `tones` marks some of its texts."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    width: float = 1.0
    tones: Mapping[str, Tone] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """`rows` are gone through several times, in order, and sliced; they need not lie in memory."""

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    note: str = ""
    empty: str = "Nothing in this period."


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """A value for each of the chart's labels; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """`x` are labels, or times in order. `unit` is what a value counts, such as messages."""

    kind: ChartKind
    title: str
    x: Sequence[str] | Sequence[datetime.datetime]
    series: tuple[Series, ...]
    unit: str = ""
    measure: Kind = Kind.NUMBER
    note: str = ""
    empty: str = "No data in this period."

    def __post_init__(self) -> None:
        for one in self.series:
            if len(one.values) != len(self.x):
                raise DataError(f"chart {self.title!r} has {len(self.x)} labels, not {len(one.values)}")

    @property
    def timed(self) -> bool:
        return bool(self.x) and isinstance(self.x[0], datetime.datetime)

    @property
    def known(self) -> list[float]:
        """Every value that is there."""
        return [value for one in self.series for value in one.values if value is not None]

    @property
    def is_empty(self) -> bool:
        return not self.known

    def table(self) -> Table:
        """Its data: a row a label, a column a series. For formats that draw nothing, and for readers who hear pages."""
        first = Column("x", "Time" if self.timed else "Label", Kind.TIME if self.timed else Kind.TEXT)
        columns = [Column(f"series_{place}", one.name, self.measure) for place, one in enumerate(self.series, 1)]
        rows = list(zip(self.x, *(one.values for one in self.series), strict=True))
        return Table(self.title, (first, *columns), rows, self.note, self.empty)


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """`text` has its paragraphs apart by an empty line."""

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, when and what that means (21 CFR 11.50(a))."""

    name: str
    time: datetime.datetime
    meaning: str


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """`id` is its own; `generator` names the software with its version; `period` is from, and up to but not with.

    The same report gives the same bytes in every format.
    """

    id: str
    title: str
    organization: str
    asked_by: str
    created: datetime.datetime
    generator: str
    sections: tuple[Section, ...] = ()
    subtitle: str = ""
    period: tuple[datetime.datetime, datetime.datetime] | None = None
    purpose: str = ""
    note: str = ""
    signatures: tuple[Signature, ...] = ()
    form: Form = Form.PAGES


def check(table: Table, row: Row, number: int) -> Row:
    """The row. Raises DataError where it has not a value a column, or one that no format can hold."""
    if len(row) != len(table.columns):
        raise DataError(f"table {table.title!r} has {len(table.columns)} columns, not {len(row)}", row=number)
    for column, value in zip(table.columns, row, strict=True):
        problem = unfit(value)
        if problem:
            raise DataError(problem, row=number, variable=column.name)
    return row


def unfit(value: Value) -> str:
    """Why no format can hold the value; empty where all can."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a report holds no NaN and no infinity"
    if isinstance(value, int) and abs(value) >= _SAFE:
        return "a whole number of 2^53 or more is not the same in every language; give it as text"
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return "a report holds no time without its time zone"
    return ""
