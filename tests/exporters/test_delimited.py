"""CSV and TSV: what another reader finds in them, and that no cell is run as a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.exporters.csv import CsvExporter
from hilum.exporters.tsv import TsvExporter
from hilum.formats import delimited
from hilum.formats.missing import special
from hilum.model.dataset import Dataset, DataType, Variable

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-x"]
HARMLESS = ["-5", "+1.5e3", "-.5", "a=1", "'", "'quoted'", "", "1-2"]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def test_every_type_is_text_that_reads_back(write: Any, every: Any) -> None:
    dataset, batch = every
    lines = list(csv.reader(io.StringIO(write(CsvExporter, dataset, batch).decode(), newline="")))
    assert lines[0] == list(dataset.names)
    assert lines[1][:8] == [
        "plain", "https://example.org/?a=1", "0", "1.50", "1", "0.30000000000000004", "true", "2014-01-31",
    ]  # fmt: skip
    assert lines[4][0] == 'a "quoted", text;\r\nand\ttabs'
    assert [line[4] for line in lines[1:]] == ["1", "-2.5", "", ".A", "._", "1e+300"]
    assert [line[10] for line in lines[1:]] == ["2014-01-02", "1960-01-01", "", "1959-12-31", ".B", "2014-10-04"]
    assert lines[2][11] == "1960-01-01T00:00:00.5"


def test_duckdb_tells_missing_from_empty(write: Any, every: Any, tmp_path: Path) -> None:
    dataset, batch = every
    path = tmp_path / "all.csv"
    path.write_bytes(write(CsvExporter, dataset, batch, formulas="keep"))
    found = duckdb.sql(f"SELECT TEXT, LINK FROM read_csv('{path}', all_varchar=true, allow_quoted_nulls=false)")
    assert found.fetchall() == list(
        zip(batch.column("TEXT").to_pylist(), batch.column("LINK").to_pylist(), strict=True)
    )


@pytest.mark.ledger_part("S1-27", "CSV and TSV are formula-injection safe")
@pytest.mark.parametrize("kind", [CsvExporter, TsvExporter])
def test_no_cell_begins_a_formula(write: Any, table: Any, kind: Any) -> None:
    dataset, batch = table(FORMULAS + HARMLESS)
    delimiter = "," if kind is CsvExporter else "\t"
    text = io.StringIO(write(kind, dataset, batch).decode(), newline="")
    found = [row[0] for row in csv.reader(text, delimiter=delimiter)][1:]
    assert found == [f"'{formula}" for formula in FORMULAS] + HARMLESS
    assert delimited.unguarded(pa.array(found)).to_pylist() == FORMULAS + HARMLESS


def test_keep_leaves_formulas_and_the_guard_leaves_numbers(write: Any, table: Any) -> None:
    dataset, batch = table(["=1+1"])
    assert write(CsvExporter, dataset, batch, formulas="keep") == b'"V"\r\n"=1+1"\r\n'
    dataset, batch = table([-1.5, float("-inf")], DataType.DOUBLE)
    assert write(CsvExporter, dataset, batch) == b'"V"\r\n-1.5\r\n-inf\r\n'


def test_names_are_guarded_too(write: Any) -> None:
    dataset = Dataset("T", (Variable("=evil()"),))
    batch = pa.record_batch([pa.array(["x"])], names=["=evil()"])
    assert write(TsvExporter, dataset, batch) == b'"\'=evil()"\n"x"\n'


@given(st.lists(st.one_of(st.none(), TEXTS, st.sampled_from(FORMULAS)), max_size=8))
def test_the_guard_is_reversible(values: list[str | None]) -> None:
    column = pa.array(values, pa.string())
    guarded = delimited.guarded(column)
    assert delimited.unguarded(guarded).equals(column)
    sliced = pa.array(["=x", *values], pa.string()).slice(1)
    assert delimited.guarded(sliced).equals(guarded)


def test_the_options_of_the_text(write: Any, table: Any) -> None:
    dataset, batch = table([special("A"), 1.0, None], DataType.DOUBLE)
    assert write(CsvExporter, dataset, batch, bom=True, line_ending="lf") == b'\xef\xbb\xbf"V"\n".A"\n"1"\n\n'
    assert write(CsvExporter, dataset, batch, header=False, special_missing="empty") == b'\r\n"1"\r\n\r\n'
    two = Dataset("T", (Variable("A"), Variable("B")))
    rows = pa.record_batch([pa.array(["x;y"]), pa.array([""])], names=["A", "B"])
    assert write(CsvExporter, two, rows, delimiter=";") == b'"A";"B"\r\n"x;y";""\r\n'
    assert write(TsvExporter, two, rows) == b'"A"\t"B"\n"x;y"\t""\n'


def test_a_count_without_a_text_is_refused_with_its_row(write: Any, table: Any) -> None:
    dataset, batch = table([0.0, 0.5], DataType.DATE, target=DataType.INTEGER)
    with pytest.raises(DataError, match="row 2, V: this count of SAS is no date"):
        write(CsvExporter, dataset, batch)
    aside: list[Any] = []
    assert write(CsvExporter, dataset, batch, set_aside=aside) == b'"V"\r\n"1960-01-01"\r\n\r\n'
    assert [(one.row, one.variable, one.value) for one in aside] == [(2, "V", "0.5")]


def test_the_bytes_do_not_depend_on_the_batches(write: Any, every: Any) -> None:
    dataset, batch = every
    parts = [batch.slice(0, 1), batch.slice(1, 0), batch.slice(1, 3), batch.slice(4)]
    whole = write(CsvExporter, dataset, batch)
    assert csv_cells(write(CsvExporter, dataset, *parts)) == csv_cells(whole)
    assert write(CsvExporter, dataset, batch) == whole


def csv_cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))
