"""XLSX: what calamine finds in the workbook, and what Excel could not show."""

from __future__ import annotations

import datetime
import io
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from hilum.errors import DataError
from hilum.exporters import xlsx
from hilum.exporters import xlsx as xlsx_exporter
from hilum.exporters.xlsx import XlsxExporter
from hilum.formats import workbook
from hilum.formats.missing import special
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite


class TestXlsx(ExporterSuite):
    module = xlsx_exporter
    options = ({}, {"labels": "row"}, {"labels": "note", "variables": False})
    refused = (
        (Variable("V"), "x" * 32_768),
        (Variable("V", DataType.DOUBLE), float("nan")),
        (Variable("V", DataType.DATE, target=DataType.INTEGER), 0.5),
    )


def sheet(data: bytes, name: str) -> list[list[Any]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_name(name).to_python(skip_empty_area=False)


def test_every_type_is_a_cell_of_its_kind(write: Any, every: Any) -> None:
    dataset, batch = every
    rows = sheet(write(XlsxExporter, dataset, batch.slice(0, 2), batch.slice(2)), "ALL")
    assert rows[0] == list(dataset.names)
    columns = dict(zip(dataset.names, zip(*rows[1:], strict=True), strict=True))
    assert columns["TEXT"] == tuple(one or "" for one in batch.column("TEXT").to_pylist())
    assert columns["WHOLE"] == (0, str(-(2**63)), str(2**63 - 1), "", 7, 42)
    assert columns["EXACT"] == (1.5, -0.1, "123456789012345678901234567890.5", "", 0, 10)
    assert columns["SINGLE"] == (1, -2.5, "", ".A", "._", 1e300)
    assert columns["REAL"] == (0.1 + 0.2, 1e-7, 0, 5e-324, "", ".Z")
    assert columns["YES"] == (True, False, "", True, True, False)
    day = datetime.date
    assert columns["DTC"] == (day(2014, 1, 31), "2014-02", "1850-05-05", "", "2014", day(2016, 2, 29))
    assert columns["STAMP"][0] == datetime.datetime.fromisoformat("2014-01-31T08:30")
    assert columns["STAMP"][1:] == ("2014-01-31T08:30", "", "2014-01-31T08:30:00.25", "2014-01-31T08:30:00Z", "")
    assert columns["DT"] == (day(2014, 1, 2), day(1960, 1, 1), "", day(1959, 12, 31), ".B", day(2014, 10, 4))


def test_a_second_sheet_describes_the_variables(write: Any, every: Any) -> None:
    dataset, batch = every
    rows = sheet(write(XlsxExporter, dataset, batch), "variables")
    about = dict(zip(rows[0], rows[1], strict=True))
    assert (about["name"], about["type"], about["label"]) == ("TEXT", "string", "A text, with ünïcode")
    assert (about["length"], about["format"], about["key"]) == (40, "$40.", 1)
    assert len(rows) == 1 + len(dataset.variables)
    book = CalamineWorkbook.from_filelike(io.BytesIO(write(XlsxExporter, dataset, batch, variables=False)))
    assert book.sheet_names == ["ALL"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "@x", "_x0041_", " padded ", "\x01", "1", "{=1}", "http://x.org"])
def test_text_stays_text(write: Any, table: Any, text: str) -> None:
    data = write(XlsxExporter, *table([text]))
    assert sheet(data, "T")[1] == [text]
    assert b"<f" not in zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")


def test_labels_as_a_row_or_as_notes(write: Any) -> None:
    dataset = Dataset("T", (Variable("V", DataType.INTEGER, label="The value"), Variable("W")))
    assert sheet(write(XlsxExporter, dataset, labels="row"), "T") == [["V", "W"], ["The value", ""]]
    parts = zipfile.ZipFile(io.BytesIO(write(XlsxExporter, dataset, labels="note")))
    assert b"The value" in parts.read("xl/comments1.xml")


def test_no_rows_keep_the_names(write: Any, every: Any) -> None:
    assert sheet(write(XlsxExporter, every[0]), "ALL")[0] == list(every[0].names)


def test_what_a_cell_cannot_hold_is_refused(write: Any, table: Any) -> None:
    dataset, batch = table(["x" * 32_767, "🌱" * 16_384])
    with pytest.raises(DataError, match="row 2, V: a cell of Excel has 32767 characters"):
        write(XlsxExporter, dataset, batch)
    aside: list[Any] = []
    found = sheet(write(XlsxExporter, dataset, batch, set_aside=aside), "T")
    assert found[1] == ["x" * 32_767]
    assert [one.row for one in aside] == [2]
    with pytest.raises(DataError, match="row 3, V: Excel has no NaN"):
        write(XlsxExporter, *table([special("A"), None, float("inf")], DataType.DOUBLE))
    wide = Dataset("T", tuple(Variable(f"V{number}") for number in range(16_385)))
    with pytest.raises(DataError, match="16384 columns"):
        write(XlsxExporter, wide)


def test_rows_go_on_on_the_next_sheet(write: Any, table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, batch = table([str(number) for number in range(10)])
    monkeypatch.setattr(xlsx.workbook, "ROWS", 5)
    data = write(XlsxExporter, dataset, batch.slice(0, 7), batch.slice(7), labels="row", variables=False)
    names = CalamineWorkbook.from_filelike(io.BytesIO(data)).sheet_names
    assert names == ["T", "T (2)", "T (3)", "T (4)"]
    values = [row[0] for name in names for row in sheet(data, name)[2:]]
    assert values == batch.column("V").to_pylist()


def test_the_same_rows_give_the_same_bytes(write: Any, every: Any) -> None:
    data = write(XlsxExporter, *every)
    assert data == write(XlsxExporter, *every)
    parts = zipfile.ZipFile(io.BytesIO(data))
    assert parts.testzip() is None
    assert parts.read("docProps/core.xml").count(b">2026-01-02T03:04:05Z<") == 2


def test_nothing_lies_in_the_temporary_folder_under_a_name(
    write: Any, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seen: list[Any] = []

    def place(file: Any) -> Any:
        seen.append(list(tmp_path.iterdir()))
        return given(file)

    def stamped(source: Any, *others: Any) -> None:
        seen.append(list(tmp_path.iterdir()))
        seen.append(os.fstat(source.fileno()))
        real(source, *others)

    given, real = workbook.place, workbook.stamped
    monkeypatch.setattr(workbook, "place", place)
    monkeypatch.setattr(workbook, "stamped", stamped)
    whole = write(XlsxExporter, *table(["Miller"]))
    (before, after, status) = seen
    assert (before, after) == ([], [])
    assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    assert status.st_size > 1_000
    monkeypatch.setattr(workbook, "place", lambda file: file)  # a system that has no such path
    assert write(XlsxExporter, *table(["Miller"])) == whole


def test_rows_wait_sealed(table: Any) -> None:
    waiting, (_, batch) = xlsx._Waiting(), table(["Miller" * 50])
    waiting.put(batch)
    waiting.put(batch.slice(0, 0))
    assert [one.num_rows for one in waiting.batches()] == [1, 0]
    waiting._file.seek(0)
    lying = waiting._file.read()
    assert lying
    assert b"Miller" not in lying
    waiting.close()


@pytest.mark.parametrize(
    ("name", "number", "found"),
    [("LB", 1, "LB"), ("a/b[c]:*?\\", 1, "a_b_c_____"), ("x" * 40, 2, "x" * 27 + " (2)"), ("'", 1, "data")],
)
def test_sheet_names(name: str, number: int, found: str) -> None:
    assert workbook.sheet_name(name, number) == found
