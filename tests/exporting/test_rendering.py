"""Pages set in a process of their own: the same bytes as here, and the same errors."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from hilum.errors import ConfigError, DataError
from hilum.exporting.rendering import rendered
from hilum.formats.report.document import Column, Form, Kind, Report, Section, Table
from hilum.formats.report.render import render

CREATED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def report(rows: Any, **more: Any) -> Report:
    columns = (Column("name", "Name"), Column("count", "Count", Kind.NUMBER))
    table = Table("A table", columns, rows)
    return Report("r1", "Title", "Org", "Ann", CREATED, "Hilum", (Section("One", tables=(table,)),), **more)


@pytest.mark.parametrize("format", ["pdf", "png", "svg", "csv", "json"])
def test_the_same_as_here(format: str) -> None:
    one = report([("Ä", 1), ("b", 2)], form=Form.BOARD if format in ("png", "svg") else Form.PAGES)
    there = [(name, b"".join(pieces)) for name, pieces in rendered(one, format)]
    here = [(name, b"".join(pieces)) for name, pieces in render(one, format)]
    assert there == here
    assert there[0][1]


def test_errors_come_through() -> None:
    with pytest.raises(DataError, match="row 2, count: a report holds no NaN"):
        list(rendered(report([("a", 1), ("b", float("nan"))]), "pdf"))
    with pytest.raises(ConfigError, match="no report is 'docx'"):
        list(rendered(report([]), "docx"))


def test_who_stops_reading_ends_the_process() -> None:
    made = rendered(report([(str(one), one) for one in range(3_000)]), "pdf")
    next(made)
    made.close()  # type: ignore[attr-defined]  # a generator
