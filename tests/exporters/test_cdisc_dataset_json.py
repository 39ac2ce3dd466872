"""The exporter of Dataset-JSON: the same export gives the same bytes, and nothing is lost without a word."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import math
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from hilum.errors import ConfigError, DataError
from hilum.exporters import cdisc_dataset_json
from hilum.exporters.cdisc_dataset_json import Options, exporter
from hilum.formats.missing import special
from hilum.importers.dataset_json import DatasetJsonImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk import config
from hilum.sdk.tables import Export, Unrepresentable, schema
from hilum.sdk.testing.exporter import ExporterSuite

CREATED = datetime.datetime(2026, 3, 1, 12, 30, 5, tzinfo=datetime.UTC)
ADX = Dataset(
    "ADX",
    (
        Variable("ID", label="Subject", length=8, key=1),
        Variable("AVAL", DataType.FLOAT),
        Variable("DOSE", DataType.DECIMAL, target=DataType.DECIMAL),
        Variable("ADT", DataType.DATE, format="DATE9.", target=DataType.INTEGER),
    ),
    "Example",
)


class TestDatasetJson(ExporterSuite):
    module = cdisc_dataset_json
    options = ({}, {"form": "ndjson"}, {"form": "dsjc"})
    importer = DatasetJsonImporter
    refused = (
        (Variable("AVAL", DataType.DOUBLE), special("A")),
        (Variable("AVAL", DataType.FLOAT), math.nan),
        (Variable("AVAL", DataType.FLOAT), -math.inf),
        (Variable("ADT", DataType.DATE, target=DataType.INTEGER), 0.5),
        (Variable("ATM", DataType.TIME, target=DataType.INTEGER), -1.0),
    )


class Files(dict[str, bytes]):
    """What was written, by name, once it was closed."""

    def open(self, name: str) -> BinaryIO:
        files = self

        class File(io.BytesIO):
            def close(self) -> None:
                files[name] = self.getvalue()
                super().close()

        return File()


def batch(*rows: tuple[Any, ...]) -> pa.RecordBatch:
    wanted = schema(ADX)
    columns = list(zip(*rows, strict=True)) or [()] * len(wanted)
    return pa.record_batch([pa.array(cells, held) for cells, held in zip(columns, wanted.types, strict=True)], wanted)


def export(
    *batches: pa.RecordBatch,
    dataset: Dataset = ADX,
    rows: int | None = None,
    set_aside: Callable[[Unrepresentable], None] | None = None,
    warn: Callable[[str], None] = pytest.fail,
    **options: Any,
) -> Files:
    files = Files()
    count = sum(one.num_rows for one in batches) if rows is None else rows
    told = Export(files.open, count, CREATED, warn, set_aside)
    made = exporter(config.read(Options, options, ""), dataset, told)
    for one in batches:
        made.write(one)
    made.close()
    return files


FIRST = batch(("1", 1.5, "30.8983333232059", 19_725.0), ("", None, None, None))
SECOND = batch((None, -7.0, "0.10", 0.0))
WRITTEN = [["1", 1.5, "30.8983333232059", "2014-01-02"], ["", None, None, None], [None, -7, "0.10", "1960-01-01"]]


def test_json_is_one_object() -> None:
    files = export(FIRST, SECOND)
    assert list(files) == ["adx.json"]
    found = json.loads(files["adx.json"])
    assert found.pop("rows") == WRITTEN
    assert found == {
        "datasetJSONCreationDateTime": "2026-03-01T12:30:05Z",
        "datasetJSONVersion": "1.1.0",
        "itemGroupOID": "IG.ADX",
        "records": 3,
        "name": "ADX",
        "label": "Example",
        "columns": [
            {"itemOID": "IT.ADX.ID", "name": "ID", "label": "Subject", "dataType": "string", "length": 8,
             "keySequence": 1},
            {"itemOID": "IT.ADX.AVAL", "name": "AVAL", "label": "", "dataType": "float"},
            {"itemOID": "IT.ADX.DOSE", "name": "DOSE", "label": "", "dataType": "decimal",
             "targetDataType": "decimal"},
            {"itemOID": "IT.ADX.ADT", "name": "ADT", "label": "", "dataType": "date", "targetDataType": "integer",
             "displayFormat": "DATE9."},
        ],
    }  # fmt: skip


def test_lines_are_the_same_and_compressed_the_same_again() -> None:
    whole = json.loads(export(FIRST, SECOND)["adx.json"])
    rows = whole.pop("rows")
    lines = export(FIRST, SECOND, form="ndjson")["adx.ndjson"]
    assert [json.loads(one) for one in lines.splitlines()] == [whole, *rows]
    packed = export(FIRST, SECOND, form="dsjc")["adx.dsjc"]
    assert packed.startswith(b"\x1f\x8b")
    assert gzip.decompress(packed) == lines


@pytest.mark.parametrize("form", ["json", "ndjson", "dsjc"])
def test_the_same_export_gives_the_same_bytes(form: str) -> None:
    assert export(FIRST, SECOND, form=form) == export(FIRST, SECOND, form=form)
    together = pa.Table.from_batches([FIRST, SECOND]).combine_chunks().to_batches()
    assert export(*together, form=form) == export(FIRST, SECOND, form=form)


@pytest.mark.parametrize(("value", "said"), [(special("A"), ".A"), (math.nan, "nan"), (math.inf, "inf")], ids=str)
def test_what_cannot_be_represented_fails_or_is_set_aside(value: float, said: str) -> None:
    wrong = batch(("2", value, None, None))
    with pytest.raises(DataError) as told:
        export(FIRST, wrong)
    assert (told.value.row, told.value.variable) == (3, "AVAL")
    aside: list[Unrepresentable] = []
    files = export(FIRST, wrong, set_aside=aside.append)
    assert json.loads(files["adx.json"])["rows"][2] == ["2", None, None, None]
    assert [(one.row, one.variable, one.value) for one in aside] == [(3, "AVAL", said)]


def test_a_special_missing_date_is_refused_too() -> None:
    with pytest.raises(DataError, match="special missing") as told:
        export(batch(("2", None, None, special("Z"))))
    assert (told.value.row, told.value.variable) == (1, "ADT")


def test_another_number_of_rows_than_announced_fails() -> None:
    with pytest.raises(DataError, match="4 rows were announced, and 3 written"):
        export(FIRST, SECOND, rows=4)


def test_words_that_are_left_out_are_told() -> None:
    dataset = Dataset("ADX", ADX.variables, extra={"dataset-json.isReferenceData": "true", "odm.repeating": "Yes"})
    said: list[str] = []
    files = export(FIRST, dataset=dataset, warn=said.append)
    assert len(said) == 1
    assert "isReferenceData" in said[0]
    assert "isReferenceData" not in json.loads(files["adx.json"])


def test_another_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="form"):
        export(FIRST, form="xml")
