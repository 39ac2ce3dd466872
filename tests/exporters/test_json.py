"""JSON and NDJSON: what other readers find in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.exporters import json as json_exporter
from hilum.exporters.json import JsonExporter
from hilum.exporters.ndjson import NdjsonExporter
from hilum.formats import json_rows
from hilum.formats.missing import special
from hilum.model.dataset import DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite


class TestJson(ExporterSuite):
    module = json_exporter
    options = ({}, {"special_missing": "null"})
    refused = (
        (Variable("V", DataType.DATE, target=DataType.INTEGER), 0.5),
        (Variable("V", DataType.DOUBLE), float("inf")),
    )


def test_an_array_and_lines_have_the_same_objects(write: Any, every: Any) -> None:
    dataset, batch = every
    objects = json.loads(write(JsonExporter, dataset, batch.slice(0, 2), batch.slice(2)))
    assert objects == [json.loads(line) for line in write(NdjsonExporter, dataset, batch).splitlines()]
    for name in ("TEXT", "LINK", "WHOLE", "EXACT", "YES", "DTC", "STAMP", "CLOCK"):
        assert [one[name] for one in objects] == batch.column(name).to_pylist()
    assert [one["SINGLE"] for one in objects] == [1.0, -2.5, None, ".A", "._", 1e300]
    assert [one["DT"] for one in objects] == ["2014-01-02", "1960-01-01", None, "1959-12-31", ".B", "2014-10-04"]
    assert list(objects[0]) == list(dataset.names)


def test_no_rows_are_an_empty_array(write: Any, every: Any) -> None:
    dataset, batch = every
    assert json.loads(write(JsonExporter, dataset)) == []
    assert json.loads(write(JsonExporter, dataset, batch.slice(0, 0))) == []
    assert write(NdjsonExporter, dataset) == b""


def test_duckdb_reads_it(write: Any, every: Any, tmp_path: Path) -> None:
    dataset, batch = every
    path = tmp_path / "all.ndjson"
    path.write_bytes(write(NdjsonExporter, dataset, batch))
    found = duckdb.sql(f"SELECT TEXT, WHOLE, YES FROM read_json('{path}')").fetchall()
    wanted = [batch.column(name).to_pylist() for name in ("TEXT", "WHOLE", "YES")]
    assert found == list(zip(*wanted, strict=True))


def test_what_is_no_number_is_refused(write: Any, table: Any) -> None:
    dataset, batch = table([special("A"), float("nan"), float("inf"), None, 1.0], DataType.DOUBLE)
    with pytest.raises(DataError, match="row 2, V: JSON has no NaN"):
        write(NdjsonExporter, dataset, batch)
    aside: list[Any] = []
    text = write(NdjsonExporter, dataset, batch, set_aside=aside, special_missing="null")
    assert [json.loads(line)["V"] for line in text.splitlines()] == [None, None, None, None, 1]
    assert [one.row for one in aside] == [2, 3]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=12)), min_size=1, max_size=8))
def test_any_text_comes_back(values: list[str | None]) -> None:
    found = json_rows.quoted(pa.array(values, pa.string())).to_pylist()
    assert [None if one is None else json.loads(one) for one in found] == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_float_comes_back_to_its_last_bit(write: Any, table: Any, values: list[float]) -> None:
    dataset, batch = table(values, DataType.DOUBLE)
    text = write(NdjsonExporter, dataset, batch)
    assert [float(json.loads(line)["V"]).hex() for line in text.splitlines()] == [
        # -0 is an integer to Python's reader, and has no sign there
        abs(value).hex() if value == 0 else value.hex() for value in values
    ]  # fmt: skip
