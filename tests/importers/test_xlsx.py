"""XLSX: each sheet a table, typed by its cells."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest
from rustpy_xlsxwriter import FastExcel, Format

from hilum.errors import DataError, FormatError
from hilum.importers import xlsx as xlsx_importer
from hilum.importers.xlsx import XlsxImporter
from hilum.model.dataset import DataType
from hilum.sdk.testing.importer import ImporterSuite


class TestXlsx(ImporterSuite):
    module = xlsx_importer
    broken = 50

    def good(self) -> dict[str, bytes]:
        data = io.BytesIO()
        FastExcel(data).sheet("One", [{"A": 1, "B": "x"}, {"A": None, "B": True}]).sheet("Two", [{"C": 1.5}]).save()
        return {"good.xlsx": data.getvalue()}


ROWS = [
    {"N": 1, "F": 1.5, "B": True, "S": "007", "M": 1, "D": datetime.date(2014, 1, 31),
     "T": datetime.datetime.fromisoformat("2014-01-31T08:30"), "P": datetime.date(2014, 1, 31), "L": 1.5, "E": None},
    {"N": None, "F": 2, "B": None, "S": "x", "M": "x", "D": None,
     "T": datetime.datetime.fromisoformat("2014-01-31"), "P": "2014-02", "L": ".A", "E": None},
]  # fmt: skip


def book(path: Path, *sheets: tuple[str, list[dict[str, Any]]]) -> Path:
    made = FastExcel(path)
    for name, rows in sheets:
        made.sheet(name, rows, column_formats={"D": Format().set_num_format("yyyy-mm-dd")} if "D" in rows[0] else None)
    made.save()
    return path


def test_a_column_has_the_type_of_its_cells(read: Any, tmp_path: Path) -> None:
    ((dataset, table),) = read(XlsxImporter, book(tmp_path / "b.xlsx", ("Lab data", ROWS)))
    assert dataset.name == "Lab data"
    assert {one.name: str(one.type) for one in dataset.variables} == {
        "N": "integer", "F": "double", "B": "boolean", "S": "string", "M": "string", "D": "date", "T": "datetime",
        "P": "date", "L": "double", "E": "string",
    }  # fmt: skip
    found = table.to_pydict()
    assert found.pop("L")[0] == 1.5
    assert found == {
        "N": [1, None], "F": [1.5, 2.0], "B": [True, None], "S": ["007", "x"], "M": ["1", "x"],
        "D": ["2014-01-31", None], "T": ["2014-01-31T08:30:00", "2014-01-31T00:00:00"],
        "P": ["2014-01-31", "2014-02"], "E": [None, None],
    }  # fmt: skip


def test_every_sheet_is_a_table(read: Any, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", ("One", [{"A": 1}]), ("Two", [{"B": "x"}]))
    assert [one.name for one, _ in read(XlsxImporter, path)] == ["One", "Two"]
    assert [one.name for one, _ in read(XlsxImporter, path, sheets=["Two"])] == ["Two"]
    with pytest.raises(FormatError, match="no sheet 'Three'"):
        read(XlsxImporter, path, sheets=["Three"])


def test_names_and_values_may_begin_further_down(read: Any, tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", ("S", [{"title": None, "x": None}, {"title": "A", "x": "B"},
                                            {"title": "label", "x": "label"}, {"title": 1, "x": 2}]))  # fmt: skip
    ((_, table),) = read(XlsxImporter, path, header_row=3, first_row=5)
    assert table.to_pylist() == [{"A": 1, "B": 2}]


def test_what_is_wrong_has_a_place(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    path.write_bytes(b"no zip")
    with pytest.raises(FormatError, match="no XLSX"):
        read(XlsxImporter, path)
    with pytest.raises(FileNotFoundError):
        read(XlsxImporter, tmp_path / "none.xlsx")
    book(path, ("S", [{"A": 1, "B": 2}, {"A": "x", "B": 1}]))
    with pytest.raises(DataError, match="row 2, A: this is no integer"):
        read(XlsxImporter, path, types={"A": "integer"})
    with pytest.raises(DataError, match="C: types names a variable that no sheet has"):
        read(XlsxImporter, path, types={"C": "integer"})
    with pytest.raises(FormatError, match="has no row 9"):
        read(XlsxImporter, path, header_row=9)
    book(path, ("S", [{"A": 1, "B": 2}, {"A": None, "B": 1}, {"A": 1, "B": 1}]))
    with pytest.raises(DataError, match="column 1 of sheet 'S' has no name"):
        read(XlsxImporter, path, header_row=3)
    with pytest.raises(DataError, match="1: two columns of sheet 'S' have this name"):
        read(XlsxImporter, path, header_row=4)


def test_whole_numbers_beyond_what_a_float_tells_keep_what_excel_kept(read: Any, tmp_path: Path) -> None:
    ((dataset, table),) = read(XlsxImporter, book(tmp_path / "b.xlsx", ("S", [{"A": 1e300}, {"A": 1}])))
    assert dataset.variables[0].type is DataType.DOUBLE
    assert table.column("A").to_pylist() == [1e300, 1.0]
