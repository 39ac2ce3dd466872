"""How wide the columns of a table are on paper, and where a word that is wider than its column breaks.

All is counted from the fonts' own widths, so that no text is cut off and no word breaks that had room elsewhere.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence

from hilum.formats.report import fonts, values
from hilum.formats.report.document import Column, Kind, Table, Value

SIZE = 8.0  # points
GAP = 11.0  # points between two columns
_MEASURED = 2_000  # rows whose cells are measured; the rest is much like them
_LONG = 400  # characters of a cell that are measured
_LEAST = 24.0  # points of a column
_WORD = 110.0  # points that a word has before it may break
_LINE = 210.0  # points that a text wants before it wraps
BOLD = 1.07  # how much wider than upright text
MARK = 11.0  # points that the mark of a tone has before its text
_THIN = 0.01  # a column's share at least
_AFTER = re.compile(r"(?<=[./_\-:@?&=,;|\\])(?=.)")  # where a long word is best broken


@dataclasses.dataclass(frozen=True, slots=True)
class Needs:
    """Points: `least` that every word of a column has room, `best` that nothing wraps."""

    least: float
    best: float


def needs(table: Table) -> list[Needs]:
    """What each column needs."""
    sample = list(itertools.islice(table.rows, _MEASURED))
    return [_needs(column, (row[place] for row in sample)) for place, column in enumerate(table.columns)]


def _needs(column: Column, cells: Iterable[Value]) -> Needs:
    least = max((_wide(word) for word in column.label.split()), default=0.0) * BOLD
    best = _wide(column.label) * BOLD
    for text in {values.shown(cell, column.kind) for cell in cells}:
        line = max(map(_wide, text.split("\n")), default=0.0)
        best = max(best, line)
        least = max(least, line if column.kind is not Kind.TEXT else max(map(_wide, text.split()), default=0.0))
    mark = MARK if column.tones else 0.0
    least, best = min(least, _WORD) + mark, best + mark
    return Needs(max(least, _LEAST), max(least, best, _LEAST))


def _wide(text: str) -> float:
    return fonts.width(fonts.shown(text[:_LONG]), SIZE)


def fits(wanted: Sequence[Needs], room: float) -> bool:
    """Has every word room on a page of that width?"""
    return sum(one.least for one in wanted) + GAP * (len(wanted) - 1) <= room


def widths(columns: Sequence[Column], wanted: Sequence[Needs], room: float) -> list[float]:
    """Points of each column; with their gaps they fill the room."""
    room -= GAP * (len(columns) - 1)
    least = [one.least for one in wanted]
    if sum(least) >= room:
        return [one * room / sum(least) for one in least]
    best = [min(one.best, max(_LINE, one.least)) for one in wanted]
    left, shares = room - sum(least), [max(column.width, _THIN) for column in columns]
    if sum(best) > room:
        more = [(high - low) * share for high, low, share in zip(best, least, shares, strict=True)]
        return [low + left * part / sum(more) for low, part in zip(least, more, strict=True)]
    # all have what they want, and share what is left over
    more = [high * share for high, share in zip(best, shares, strict=True)]
    return [high + (room - sum(best)) * part / sum(more) for high, part in zip(best, more, strict=True)]


def broken(text: str, room: float, size: float = SIZE, *, mono: bool = False) -> str:
    """The text with a line feed wherever a word does not fit into `room`, after a mark such as `/` if there is one."""
    if fonts.width(text, size, mono=mono) <= room:
        return text
    return "".join(_broken(part, room, size, mono) for part in re.split(r"(\s+)", text))


def _broken(word: str, room: float, size: float, mono: bool) -> str:
    if word.isspace() or fonts.width(word, size, mono=mono) <= room:
        return word
    lines, line, used = [], "", 0.0
    for piece in _pieces(word, room, size, mono):
        wide = fonts.width(piece, size, mono=mono)
        if line and used + wide > room:
            lines.append(line)
            line, used = "", 0.0
        line, used = line + piece, used + wide
    return "\n".join([*lines, line])


def _pieces(word: str, room: float, size: float, mono: bool) -> Iterable[str]:
    """Parts of a word that may begin a line; one that is too long for a line falls apart into letters."""
    for part in _AFTER.split(word):
        if fonts.width(part, size, mono=mono) <= room:
            yield part
        else:
            yield from fonts.letters(part)
