"""CSV and TSV: nothing of a value is lost, and what is wrong is named by row and column."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.errors import DataError, FormatError
from hilum.exporters.csv import CsvExporter
from hilum.formats.missing import letters
from hilum.importers import csv as csv_importer
from hilum.importers.csv import CsvImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Export, schema
from hilum.sdk.testing.importer import ImporterSuite


class TestCsv(ImporterSuite):
    module = csv_importer
    bad = (b"", b"\0", bytes(range(256)) * 4)  # any other text is a table of names

    def good(self) -> dict[str, bytes]:
        text = b'A,"B ""x""",C\r\n1,"\xc3\xa4, \n",\r\n,"",2014-01-01\r\n-5,.A,2014-02\r\n'
        return {"good.csv": text, "good.tsv": text.replace(b",", b"\t")}


TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(",;\"\r\n\t'=+-@")), max_size=8)


def column(read: Any, tmp_path: Path, *cells: str) -> tuple[DataType, list[Any]]:
    path = tmp_path / "one.csv"
    path.write_text("V,W\n" + "".join(f"{cell},x\n" for cell in cells), newline="")
    ((dataset, table),) = read(CsvImporter, path)
    return dataset.variables[0].type, table.column("V").to_pylist()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (("1", "-2", "", "0"), DataType.INTEGER, [1, -2, None, 0]),
        (("007", "1"), DataType.STRING, ["007", "1"]),
        (("+1",), DataType.STRING, ["+1"]),
        (("1", "x"), DataType.STRING, ["1", "x"]),
        (("1", '""'), DataType.STRING, ["1", ""]),
        (("1", " 2"), DataType.STRING, ["1", " 2"]),
        (("9223372036854775807",), DataType.INTEGER, [2**63 - 1]),
        (("9223372036854775808", "1"), DataType.DECIMAL, ["9223372036854775808", "1"]),
        (("1.5", "2", "-3e4", ".5"), DataType.DOUBLE, [1.5, 2.0, -30_000.0, 0.5]),
        (("0.30000000000000004",), DataType.DOUBLE, [0.1 + 0.2]),
        (("0.3000000000000000401", "1"), DataType.DECIMAL, ["0.3000000000000000401", "1"]),
        (("9007199254740993", "0.5"), DataType.DECIMAL, ["9007199254740993", "0.5"]),
        (("0." + "0" * 400 + "1",), DataType.DECIMAL, ["0." + "0" * 400 + "1"]),
        (("1e999",), DataType.STRING, ["1e999"]),
        (("1e-999",), DataType.STRING, ["1e-999"]),
        (("nan", "inf"), DataType.DOUBLE, None),
        (("NaN",), DataType.STRING, ["NaN"]),
        (("true", "", "false"), DataType.BOOLEAN, [True, None, False]),
        (("true", "TRUE"), DataType.STRING, ["true", "TRUE"]),
        (("2014-01-31", "2014-02"), DataType.DATE, ["2014-01-31", "2014-02"]),
        (("2014-01", "2014-02"), DataType.STRING, ["2014-01", "2014-02"]),
        (("2014-13-01",), DataType.STRING, ["2014-13-01"]),
        (("2014-01-31T08:30:00.25Z", "2014-01-31T08:30"), DataType.DATETIME, None),
        (("08:30", "23:59:59.5"), DataType.TIME, ["08:30", "23:59:59.5"]),
        (("24:00",), DataType.STRING, ["24:00"]),
        (("", ""), DataType.STRING, [None, None]),
        ((".A", ".B"), DataType.STRING, [".A", ".B"]),
        (("NA", "null", "None"), DataType.STRING, ["NA", "null", "None"]),
    ],
)
def test_a_type_keeps_every_value(read: Any, tmp_path: Path, cells: Any, kind: DataType, values: Any) -> None:
    found, held = column(read, tmp_path, *cells)
    assert found is kind
    if values is not None:
        assert held == values


def test_letters_among_numbers_are_special_missing_values(read: Any, tmp_path: Path) -> None:
    kind, held = column(read, tmp_path, "1", ".A", "", "._")
    assert kind is DataType.DOUBLE
    assert held[0] == 1.0
    assert held[2] is None
    assert letters(np.array([held[1], held[3]])).tolist() == [ord("A"), ord("_")]


def test_a_type_is_that_of_the_whole_file(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.tsv"
    path.write_text("V\tW\n" + "1\tx\n" * 1_500_000 + "A\tx\n")
    ((dataset, table),) = read(CsvImporter, path)
    assert dataset == Dataset("long", (Variable("V"), Variable("W")))
    assert table.num_rows == 1_500_001
    assert max(len(chunk) for chunk in table.column("V").chunks) <= 65_536


def test_types_may_be_given(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("A,B,C,D\n1,2,3,4\n.Z,1.50,2014,true\n")
    types = {"A": "float", "B": "decimal", "C": "date", "D": "string"}
    ((dataset, table),) = read(CsvImporter, path, types=types)
    assert [str(one.type) for one in dataset.variables] == list(types.values())
    assert table.column("B").to_pylist() == ["2", "1.50"]
    assert letters(table.column("A").to_numpy()).tolist() == [0, ord("Z")]
    with pytest.raises(DataError, match="row 2, A: this is no integer"):
        read(CsvImporter, path, types=types | {"A": "integer"})
    with pytest.raises(DataError, match="row 1, D: this is no boolean"):
        read(CsvImporter, path, types=types | {"D": "boolean"})
    with pytest.raises(DataError, match="E: types names a variable"):
        read(CsvImporter, path, types={"E": "date"})


@pytest.mark.parametrize(
    ("data", "config", "error", "said"),
    [
        (b"", {}, FormatError, "the file is empty"),
        (b"A,A\n1,2\n", {}, DataError, "A: two columns have this name"),
        (b"A,\n1,2\n", {}, DataError, "column 2 has no name"),
        (b"A,B\n1,2\n3\n", {}, DataError, "row 2, B: 1 cells, but 2 variables"),
        (b'A,B\n"1\n1",2\n3,4,5\n', {}, DataError, "row 2: 3 cells, but 2 variables"),
        (b"1,2\n3\n", {"header": False}, DataError, "row 2, V2: 1 cells, but 2 variables"),
        (b"A,B\n1,2\n3,\xff\n", {}, DataError, "row 2, B: a byte is no utf-8"),
        (b"A,\xff\n1,2\n", {}, FormatError, "no text, or in another encoding"),
        (b"A,\0\n1,2\n", {}, FormatError, "no text, or in another encoding"),
        (b"A,B\n\x81,2\n", {"encoding": "cp1252"}, DataError, "row 1, A: a byte is no cp1252"),
        (b'A,B\n1,2\n3,"4\n5,6\n', {}, DataError, "row 2: a quote is not closed"),
    ],
)
def test_what_is_wrong_has_a_place(
    read: Any, tmp_path: Path, data: bytes, config: Any, error: type[Exception], said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    with pytest.raises(error, match=said):
        read(CsvImporter, path, **config)


def test_errors_hold_no_value(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("A,B\nSMITH^JOHN\n")
    with pytest.raises(DataError) as error:
        read(CsvImporter, path)
    assert "SMITH" not in str(error.value)


def test_a_file_that_is_not_there_is_the_disk_s_error(read: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(CsvImporter, tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("encoding", "config"),
    [("utf-8", {}), ("utf-8-sig", {}), ("utf-16", {}), ("utf-16-le", {"encoding": "utf-16"}), ("cp1252", None)],
)
def test_encodings(read: Any, tmp_path: Path, encoding: str, config: Any) -> None:
    path = tmp_path / "text.csv"
    path.write_bytes('NÄME,B\r\n"é\r\n€",1\r\n'.encode(encoding))
    ((dataset, table),) = read(CsvImporter, path, **({"encoding": encoding} if config is None else config))
    assert dataset.names == ("NÄME", "B")
    assert table.column(0).to_pylist() == ["é\r\n€"]


def test_delimiters_and_one_column(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "semi.csv"
    path.write_text("A;B\n1,5;x\n")
    ((_, table),) = read(CsvImporter, path, delimiter=";")
    assert table.to_pylist() == [{"A": "1,5", "B": "x"}]
    path.write_text("A\n1\n\n2\n")
    ((_, table),) = read(CsvImporter, path)
    assert table.column("A").to_pylist() == [1, None, 2]
    path.write_text("A,B\n")
    ((dataset, table),) = read(CsvImporter, path)
    assert dataset.names == ("A", "B")
    assert table.num_rows == 0


@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), TEXTS), st.one_of(st.none(), TEXTS)), max_size=6),
    delimiter=st.sampled_from([",", ";", "|"]),
    ending=st.sampled_from(["crlf", "lf"]),
    bom=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(
    read: Any, tmp_path: Path, rows: list[tuple[str | None, ...]], delimiter: str, ending: str, bom: bool
) -> None:
    dataset = Dataset("t", (Variable("A"), Variable("=B")))
    batch = pa.record_batch([pa.array([row[n] for row in rows], pa.string()) for n in (0, 1)], schema=schema(dataset))
    path = tmp_path / "t.csv"
    export = Export(lambda _: path.open("wb"), len(rows), None)  # type: ignore[arg-type] - CSV has no time in it
    one = CsvExporter(CsvExporter.Config(delimiter=delimiter, line_ending=ending, bom=bom), dataset, export)
    one.write(batch)
    one.close()
    types = {"A": "string", "=B": "string"}
    ((found, table),) = read(CsvImporter, path, delimiter=delimiter, formulas="guarded", types=types)
    assert found == dataset
    assert [tuple(row.values()) for row in table.to_pylist()] == rows


@given(st.lists(st.text(st.sampled_from("0123456789.-+eE:TZ A_naif"), max_size=9), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_inference_never_loses(read: Any, tmp_path: Path, cells: list[str]) -> None:
    """Whatever the type, the value says what the text said."""
    path = tmp_path / "t.csv"
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["V", "W"], *([cell, "x"] for cell in cells)])
    path.write_text(text.getvalue(), newline="")
    ((dataset, table),) = read(CsvImporter, path)
    held = table.column("V").to_pylist()
    if dataset.variables[0].type is DataType.DOUBLE:
        for cell, value in zip(cells, held, strict=True):
            assert value != value or float(cell) == value
    elif dataset.variables[0].type is DataType.BOOLEAN:
        assert [str(one).lower() for one in held] == cells
    else:
        assert [str(one) for one in held] == cells
