"""The importer of Dataset-JSON: one table a file, in any form, whatever the file is called."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import DataError, FormatError
from hilum.importers import dataset_json
from hilum.importers.dataset_json import Options, importer
from hilum.model.dataset import DataType
from hilum.sdk.tables import BATCH, schema
from hilum.sdk.testing.importer import ImporterSuite

WORDS: dict[str, Any] = {
    "datasetJSONCreationDateTime": "2026-03-01T12:30:05",
    "datasetJSONVersion": "1.1.0",
    "studyOID": "S.1",
    "itemGroupOID": "IG.ADX",
    "records": 2,
    "name": "ADX",
    "label": "Example",
    "columns": [
        {"itemOID": "IT.ADX.ID", "name": "ID", "label": "Subject", "dataType": "string", "length": 8},
        {"itemOID": "IT.ADX.ADT", "name": "ADT", "label": "Date", "dataType": "date", "targetDataType": "integer"},
    ],
}
ROWS = [["1", "2014-01-02"], ["", None]]
LINES = "".join(json.dumps(one) + "\n" for one in [WORDS, *ROWS]).encode()
FILES = {".json": json.dumps({**WORDS, "rows": ROWS}).encode(), ".ndjson": LINES, ".dsjc": gzip.compress(LINES)}


class TestDatasetJson(ImporterSuite):
    module = dataset_json
    bad = (*ImporterSuite.bad, b"[]", b'[{"ID": "1"}]', b'{"ID": "1"}\n', b'{"rows": []}', gzip.compress(b"{}"))

    def good(self) -> dict[str, bytes]:
        return {f"adx{form}": data for form, data in FILES.items()}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("suffix", importer.suffixes)
def test_the_content_tells_the_form(form: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"adx{suffix}"
    path.write_bytes(FILES[form])
    (table,) = importer(Options()).tables(path)
    assert (table.dataset.name, table.dataset.label) == ("ADX", "Example")
    assert table.dataset.extra["dataset-json.studyOID"] == "S.1"
    first, second = table.dataset.variables
    assert (first.name, first.label, first.length, first.oid) == ("ID", "Subject", 8, "IT.ADX.ID")
    assert (second.type, second.target, second.counted) == (DataType.DATE, DataType.INTEGER, True)
    (batch,) = table.batches
    assert batch.schema == schema(table.dataset)
    assert batch.to_pydict() == {"ID": ["1", ""], "ADT": [19725.0, None]}


def test_tables_that_are_listed_can_be_read_later(tmp_path: Path) -> None:
    path = tmp_path / "adx.json"
    path.write_bytes(FILES[".json"])
    tables = list(importer(Options()).tables(path))
    assert [one.num_rows for table in tables for one in table.batches] == [2]


def test_batches_have_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "adx.ndjson"
    path.write_bytes(json.dumps(WORDS | {"records": 200_000}).encode() + b'\n["1",null]' * 200_000)
    (table,) = importer(Options()).tables(path)
    sizes = [one.num_rows for one in table.batches]
    assert sum(sizes) == 200_000
    assert max(sizes) <= BATCH


def test_it_takes_dataset_json_alone() -> None:
    assert all(importer.recognises(data[:200]) for data in FILES.values())
    assert not importer.recognises(b'[{"ID": "1"}]')
    assert not importer.recognises(b'{"ID": "1"}\n{"ID": "2"}\n')
    assert not importer.recognises(gzip.compress(b'{"ID": "1"}\n'))


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    path = tmp_path / "adx.ndjson"
    path.write_bytes(b'{"ID": "1"}\n')
    with pytest.raises(FormatError, match="datasetJSONVersion is missing"):
        list(importer(Options()).tables(path))
    path.write_bytes(LINES + b'["3", 5]\n')
    (table,) = importer(Options()).tables(path)
    with pytest.raises(DataError) as told:
        list(table.batches)
    assert told.value.row == 3
    path.unlink()
    with pytest.raises(OSError, match="adx"):
        list(importer(Options()).tables(path))
