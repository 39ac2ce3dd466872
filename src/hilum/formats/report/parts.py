"""A report in parts, where it has more rows than typst can set at once in bounded memory.

Nothing is left out: every row is in exactly one part, in order.
"""

from __future__ import annotations

import dataclasses

from hilum.formats.report.document import Report, Row, Section, Table

BUDGET = 24_000  # cells of a part, or what is as heavy
_TEXT = 40  # characters that weigh as much as a cell


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a table, from `start` up to but not with `stop`."""

    table: Table
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return self.rows == len(self.table.rows)


@dataclasses.dataclass(slots=True)
class Piece:
    """What a part holds of a section: `begins` where its text, figures and charts are here, too."""

    section: Section
    begins: bool
    stretches: list[Stretch] = dataclasses.field(default_factory=list)


Part = list[Piece]


def parts(report: Report, budget: int = BUDGET) -> list[Part]:
    """At least one part; only the last rows that fit go into it."""
    found: list[Part] = [[]]
    left = budget
    for section in report.sections:
        piece = Piece(section, begins=True)
        found[-1].append(piece)
        for table in section.tables:
            start = 0
            for number, row in enumerate(table.rows):
                weight = _weight(row)
                if weight > left and left < budget:
                    if number > start:
                        piece.stretches.append(Stretch(table, start, number))
                    piece = Piece(section, begins=False)
                    found.append([piece])
                    start, left = number, budget
                left -= weight
            piece.stretches.append(Stretch(table, start, len(table.rows)))
    return found


def _weight(row: Row) -> int:
    return len(row) + sum(len(value) for value in row if isinstance(value, str)) // _TEXT
