"""A report as nothing but tables: what it is, its figures, its tables and the data of its charts; and these as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hilum.formats import csv_table
from hilum.formats.report.content import Identity
from hilum.formats.report.document import Column, Kind, Report, Row, Table
from hilum.formats.report.values import plain

_ROWS = 500  # of a piece


def about(report: Report, known: Identity) -> Table:
    """Who made what, of which time, when and by what, and by which hash it is known."""
    start, end = report.period or (None, None)
    rows: list[Row] = [
        ("Title", report.title), ("Subtitle", report.subtitle), ("Organization", report.organization),
        ("Period from", start), ("Period to (not included)", end), ("Requested by", report.asked_by),
        ("Created", report.created), ("Purpose", report.purpose), ("Note", report.note), ("Report", known.id),
        ("SHA-256 of the content", known.sha256), ("Made by", known.generator),
    ]  # fmt: skip
    for one in report.signatures:
        rows += [("Signed by", one.name), ("Signed at", one.time), ("Meaning of the signature", one.meaning)]
    kept = [row for row in rows if row[1] not in (None, "")]
    return Table("About", (Column("name", "What"), Column("value", "Value", width=3)), kept)


def figures(report: Report) -> Table:
    """Every figure of every section."""
    columns = (
        Column("section", "Section"), Column("figure", "Figure"), Column("value", "Value"),
        Column("measure", "Measure"), Column("hint", "Hint"), Column("tone", "Tone"),
    )  # fmt: skip
    rows = [
        (section.title, one.label, one.value, one.kind.value, one.hint, one.tone.value)
        for section in report.sections for one in section.figures
    ]  # fmt: skip
    return Table("Figures", columns, rows)


def every(report: Report, known: Identity) -> Iterator[Table]:
    """All of it, in order."""
    yield about(report, known)
    found = figures(report)
    if found.rows:
        yield found
    for section in report.sections:
        yield from (chart.table() for chart in section.charts)
        yield from section.tables


def csv(report: Report, known: Identity) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A file a table: what its name ends with, and its pieces. The first line has the columns' names."""
    for number, table in enumerate(every(report, known)):
        name = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")[:40].rstrip("-") or "table"
        yield f"{number:02}-{name}", _lines(table)


def _lines(table: Table) -> Iterator[bytes]:
    yield csv_table.lines([[one.name for one in table.columns]])
    waiting: list[list[object]] = []
    for row in table.rows:
        waiting.append([_cell(value) for value in map(plain, row)])
        if len(waiting) == _ROWS:
            yield csv_table.lines(waiting)
            waiting.clear()
    yield csv_table.lines(waiting)


def _cell(value: str | int | float | bool | None) -> object:
    return str(value).lower() if isinstance(value, bool) else value


# the kinds whose unit a number of a spreadsheet does not show
UNITS = {Kind.BYTES: "bytes", Kind.DURATION: "seconds", Kind.TIME: "UTC"}
