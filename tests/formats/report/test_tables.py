"""CSV and XLSX of a report: the same figures as its JSON, and no text that a spreadsheet runs."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from hilum.errors import ConfigError
from hilum.formats import workbook
from hilum.formats.report.document import Column, Figure, Kind, Report, Section, Table
from hilum.formats.report.render import MEDIA_TYPES, file_name, render

Make = Callable[..., Report]


def files(report: Report, kind: str) -> dict[str, bytes]:
    return {name: b"".join(pieces) for name, pieces in render(report, kind)}


def content(report: Report) -> dict[str, Any]:
    (data,) = files(report, "json").values()
    return json.loads(data)["content"]  # type: ignore[no-any-return]  # an object


def lines(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def as_csv(value: Any, found: str) -> Any:
    """What a cell of CSV has to be for a value of JSON; a number only has to be the same number."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return found if float(found) == value else value
    text = "" if value is None else value
    return f"'{text}" if text[:1] and text[0] in "=+-@\t\r\n" else text


def same_csv(found: list[list[str]], wanted: list[list[Any]]) -> bool:
    return [len(row) for row in found] == [len(row) for row in wanted] and all(
        cell == as_csv(value, cell) for row, values in zip(found, wanted, strict=True)
        for cell, value in zip(row, values, strict=True)
    )  # fmt: skip


def as_excel(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.endswith("Z") and value[4:5] == "-":
        moment = datetime.datetime.fromisoformat(value[:-1])
        return moment if moment.time() != datetime.time() else moment.date()  # as calamine reads midnight
    return value


@pytest.mark.ledger_part("S1-14", "CSV with the figures of JSON, for every report type")
def test_csv_has_the_figures_of_json(samples: Mapping[str, Report]) -> None:
    for report in samples.values():
        made, told = files(report, "csv"), content(report)
        assert next(iter(made)).endswith("-00-about.csv")
        about = dict(lines(next(iter(made.values())))[1:])
        assert about["Title"] == report.title
        assert about["Created"] == "2026-12-01T07:30:12Z"
        (document,) = files(report, "json").values()
        assert about["SHA-256 of the content"] == json.loads(document)["sha256"]
        rest = list(made.values())[1:]
        figures = [one for section in told["sections"] for one in section["figures"]]
        if figures:
            assert same_csv([row[2:3] for row in lines(rest.pop(0))[1:]], [[one["value"]] for one in figures])
        for section in told["sections"]:
            for chart in section["charts"]:
                wanted = list(zip(chart["x"], *(one["values"] for one in chart["series"]), strict=True))
                assert same_csv(lines(rest.pop(0))[1:], [list(row) for row in wanted])
            for table in section["tables"]:
                head, *rows = lines(rest.pop(0))
                assert head == [one["name"] for one in table["columns"]]
                assert same_csv(rows, table["rows"])
        assert not rest


@pytest.mark.ledger_part("S1-14", "XLSX with the figures of JSON, for every report type")
def test_xlsx_has_the_figures_of_json(samples: Mapping[str, Report]) -> None:
    for report in samples.values():
        (data,) = files(report, "xlsx").values()
        book, told = CalamineWorkbook.from_filelike(io.BytesIO(data)), content(report)
        sheets = [book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names]
        about = {row[0]: row[1] for row in sheets.pop(0)[1:]}
        assert about["Requested by"] == report.asked_by
        assert about["Report"] == report.id
        if any(section["figures"] for section in told["sections"]):
            figures = [one["value"] for section in told["sections"] for one in section["figures"]]
            assert [row[2] for row in sheets.pop(0)[1:]] == [as_excel(one) for one in figures]
        for section in told["sections"]:
            for chart in section["charts"]:
                rows = list(zip(chart["x"], *(one["values"] for one in chart["series"]), strict=True))
                assert sheets.pop(0)[1:] == [[as_excel(value) for value in row] for row in rows]
            for table in section["tables"]:
                head, *found = sheets.pop(0)
                assert len(head) == len(table["columns"])
                assert found == [[as_excel(value) for value in row] for row in table["rows"]]
        assert not sheets


def test_no_cell_is_a_formula(make: Make) -> None:
    columns = (Column("=1+1", "=1+1"), Column("b", "-b", Kind.NUMBER))
    table = Table("=cmd|' /C calc'!A0", columns, [("=1+1", -5), ("@x", -0.5), ("+1", 3), ("\tx", None)])
    report = dataclasses.replace(
        make("=Title", Section("S", figures=(Figure("=1", -3),), tables=(table,))), asked_by="=me"
    )
    made = files(report, "csv")
    for data in made.values():
        for cell in (cell for row in lines(data) for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t"))
            assert not cell.startswith("-") or cell in {"-5", "-0.5", "-3"}
    (book,) = files(report, "xlsx").values()
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        assert not any(b"<f" in parts.read(name) for name in parts.namelist() if "/sheet" in name)
    found = CalamineWorkbook.from_filelike(io.BytesIO(book))
    assert found.get_sheet_by_index(2).to_python(skip_empty_area=False)[1:] == [
        ["=1+1", -5],
        ["@x", -0.5],
        ["+1", 3],
        ["\tx", ""],
    ]


def test_what_a_sheet_and_a_cell_cannot_hold(make: Make) -> None:
    old = datetime.datetime(1850, 5, 5, tzinfo=datetime.UTC)
    table = Table("same", (Column("a", "A"), Column("b", "A", Kind.TIME), Column("c", "a (UTC)")),
                  [("🌱" * 20_000, old, 10**15), (None, None, True)])  # fmt: skip
    (data,) = files(
        make("T", Section("S", tables=(table, dataclasses.replace(table, title="SAME"), table))), "xlsx"
    ).values()
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    assert book.sheet_names == ["About", "same", "SAME (2)", "same (3)"]
    head, first, second = book.get_sheet_by_index(1).to_python(skip_empty_area=False)
    assert head == ["A", "A (UTC)", "a (UTC)"]
    assert len(str(first[0]).encode("utf-16-le")) // 2 == 32_767
    assert "the first part of 20,000 characters" in str(first[0])
    assert first[1:] == ["1850-05-05T00:00:00Z", "1000000000000000"]
    assert second == ["", "", True]


def test_a_workbook_is_made_in_a_file_without_a_name(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real, seen = workbook.stamped, list[Any]()

    def stamped(source: Any, *others: Any) -> None:
        seen.extend([os.fstat(source.fileno()), list(tmp_path.iterdir())])
        real(source, *others)

    monkeypatch.setattr(workbook, "stamped", stamped)
    files(make("T"), "xlsx")
    status, there = seen
    assert (status.st_nlink, stat.S_IMODE(status.st_mode), there) == (0, 0o600, [])
    assert status.st_size > 1_000


def test_a_workbook_says_when_it_was_made(samples: Mapping[str, Report]) -> None:
    (data,) = files(samples["uptime"], "xlsx").values()
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert parts.testzip() is None
        assert parts.read("docProps/core.xml").count(b">2026-12-01T07:30:12Z<") == 2
    assert files(samples["uptime"], "xlsx") == files(samples["uptime"], "xlsx")


@pytest.mark.parametrize(
    ("title", "name"),
    [("Audit trail", "audit-trail"), ("Größe & Übersicht!", "groe-ubersicht"), ("../../etc", "etc"), ("审计", "report"),
     ("", "report"), ("x" * 99, "x" * 60)],
)  # fmt: skip
def test_file_names(title: str, name: str) -> None:
    assert file_name(title) == name


def test_a_format_that_is_none(make: Make) -> None:
    with pytest.raises(ConfigError, match="no report is 'docx'; it can be csv, json, pdf, png, svg, xlsx"):
        list(render(make("T"), "docx"))
    for kind, media in MEDIA_TYPES.items():
        assert "/" in media
        assert all(name.endswith(f".{kind}") for name in files(make("T"), kind))
