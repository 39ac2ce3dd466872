"""A report as an Excel workbook: a sheet about it, one of its figures, one a table and chart.

Numbers and times are Excel's own, times in UTC; a text is a text, also where it begins with `=`. What Excel would not
show as it is (more than 15 digits, a time before 1900) is text.
"""

from __future__ import annotations

import datetime
import io
import itertools
import tempfile
from collections.abc import Iterator
from typing import Any

from hilum.errors import ConfigError
from hilum.formats import workbook
from hilum.formats.report import tables
from hilum.formats.report.content import Identity
from hilum.formats.report.document import Column, Kind, Report, Row, Table, Value
from hilum.formats.report.values import plain

_DIGITS, _FIRST = 10**15, 1900
_FORMATS = {
    Kind.PERCENT: "0.00%", Kind.BYTES: "#,##0", Kind.DURATION: "#,##0.000", Kind.TIME: "yyyy-mm-dd hh:mm:ss",
}  # fmt: skip
_WIDTHS = {Kind.TEXT: 28.0, Kind.TIME: 20.0}
_PRINT = {"landscape": True, "fit_to_pages": (1, 0), "repeat_rows": 0, "footer": "&L&F, &A&RPage &P of &N"}


def xlsx(report: Report, known: Identity) -> bytes:
    """The workbook. Raises ConfigError where `hilum[datasets]` is not installed."""
    try:
        from rustpy_xlsxwriter import FastExcel
    except ImportError:
        raise ConfigError("this needs more libraries: pip install 'hilum[datasets]'") from None
    target = io.BytesIO()
    with tempfile.TemporaryFile() as file:
        book, used = FastExcel(workbook.place(file), output_format="xlsx").freeze(row=1), set[str]()
        for table in tables.every(report, known):
            _sheets(book, table, used)
        book.save()
        workbook.stamped(file, target, report.created)
    return target.getvalue()


def _sheets(book: Any, table: Table, used: set[str]) -> None:
    """The table's sheet, more where it has more rows than a sheet."""
    from rustpy_xlsxwriter import Format

    heads = _heads(table)
    rows, room = iter(table.rows), workbook.ROWS - 1
    formats = {
        head: Format().set_num_format(_FORMATS[one.kind])
        for head, one in zip(heads, table.columns, strict=True) if one.kind in _FORMATS
    }  # fmt: skip
    header = Format().set_bold().set_border_bottom("thin").set_background_color("#E4EFF5").set_text_wrap()
    widths = {
        head: _WIDTHS.get(one.kind, 14.0) * max(one.width, 0.6) for head, one in zip(heads, table.columns, strict=True)
    }
    for _ in range(max(1, -(-len(table.rows) // room))):
        found: Iterator[dict[str, Any]] = (_row(heads, row) for row in itertools.islice(rows, room))
        if not table.rows:
            found = iter([dict.fromkeys(heads)])  # the library takes the names from a row
        book.sheet(
            _unused(table.title, used), found, column_formats=formats or None, header_format=header,
            column_widths=widths, page_setup=_PRINT,
        )  # fmt: skip


def _heads(table: Table) -> list[str]:
    """The columns' labels with their unit, each but once."""
    found: list[str] = []
    for one in table.columns:
        head = plain(_headed(one))
        place = 1
        while head in found:
            place += 1
            head = f"{_headed(one)} ({place})"
        found.append(str(head))
    return found


def _headed(column: Column) -> str:
    label, unit = column.label or column.name, tables.UNITS.get(column.kind)
    return f"{label} ({unit})" if unit else label


def _unused(title: str, used: set[str]) -> str:
    """A name that no sheet has yet; Excel does not tell great letters from small."""
    for number in itertools.count(1):
        name = workbook.sheet_name(str(plain(title)), number)
        if name.lower() not in used:
            used.add(name.lower())
            return name
    raise AssertionError  # there is always another number


def _row(heads: list[str], row: Row) -> dict[str, Any]:
    return {head: _cell(value) for head, value in zip(heads, row, strict=True)}


def _cell(value: Value) -> Any:
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return moment if moment.year >= _FIRST else plain(value)
    if isinstance(value, datetime.date):
        return value if value.year >= _FIRST else value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _DIGITS:
        return str(value)
    if isinstance(value, str):
        return _text(str(plain(value)))
    return value


def _text(text: str) -> str:
    """As much as a cell holds, and how much that is of it."""
    if len(text) <= workbook.TEXT // 2 or len(text.encode("utf-16-le")) // 2 <= workbook.TEXT:
        return text
    note = f" [… the first part of {len(text):,} characters; all are in the formats json and csv]"
    kept = text.encode("utf-16-le")[: 2 * (workbook.TEXT - len(note))].decode("utf-16-le", "ignore")
    return kept + note
