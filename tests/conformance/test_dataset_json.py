"""CDISC's own Dataset-JSON files: all are read, and written again they say the same."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import jsonschema_rs
import pyarrow as pa
import pytest

from hilum.errors import DataError, FormatError
from hilum.exporters import cdisc_dataset_json, sas_xpt_v5
from hilum.importers import dataset_json, sas_xpt
from hilum.model.dataset import Dataset
from hilum.sdk.tables import Export, Table
from hilum.sdk.testing.exporter import write

FORMS = ("json", "ndjson", "dsjc")
CORPUS = (
    Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "cdisc" / "dataset-json"
)
FILES = sorted(CORPUS.glob("[as]d*m/*.json"))
SCHEMA = CORPUS / "schema" / "dataset.schema.json"
CREATED = "datasetJSONCreationDateTime"
CHANGED = {CREATED, "sourceSystem.name", "sourceSystem.version"}  # by whoever made one form of another

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
each_form = pytest.mark.parametrize("form", FORMS)

pytestmark = pytest.mark.skipif(not FILES, reason=f"corpus absent: {CORPUS} (HILUM_CORPUS)")


def table(path: Path) -> Table:
    (found,) = dataset_json.importer(dataset_json.Options()).tables(path)
    return found


def export(dataset: Dataset, rows: pa.Table, form: str, created: str) -> bytes:
    stream = io.BytesIO()
    stream.close = lambda: None  # type: ignore[method-assign]  # it is looked at when it is closed
    told = Export(lambda _: stream, rows.num_rows, datetime.datetime.fromisoformat(created), pytest.fail)
    made = cdisc_dataset_json.exporter(cdisc_dataset_json.Options.model_validate({"form": form}), dataset, told)
    for batch in rows.to_batches(max_chunksize=100):
        made.write(batch)
    made.close()
    return stream.getvalue()


def value(data: bytes, form: str) -> Any:
    """The file as one object, as the standard library reads it."""
    if form == "json":
        return json.loads(data)
    words, *rows = map(json.loads, (gzip.decompress(data) if form == "dsjc" else data).splitlines())
    return {**words, "rows": rows}


def test_the_corpus_has_tabulations_and_analyses() -> None:
    assert len(FILES) >= 10
    assert {path.parent.name for path in FILES} == {"adam", "sdtm"}


@each_file
def test_the_three_forms_of_a_data_set_are_the_same(path: Path) -> None:
    assert all(dataset_json.importer.recognises(path.with_suffix(f".{form}").read_bytes()[:4_096]) for form in FORMS)
    tables = [table(path.with_suffix(f".{form}")) for form in FORMS]
    rows = [pa.Table.from_batches(one.batches) for one in tables]
    assert rows[0].num_rows == json.loads(path.read_bytes())["records"]
    assert rows[0].equals(rows[1])
    assert rows[0].equals(rows[2])
    for one in tables[1:]:
        assert one.dataset.variables == tables[0].dataset.variables
        assert (one.dataset.name, one.dataset.label) == (tables[0].dataset.name, tables[0].dataset.label)
        others = one.dataset.extra.items() ^ tables[0].dataset.extra.items()
        assert {key.removeprefix("dataset-json.") for key, _ in others} <= CHANGED


@each_file
@each_form
@pytest.mark.ledger_part("S0-24", "Dataset-JSON 1.1 read and written")
def test_a_file_that_is_read_and_written_says_the_same(path: Path, form: str) -> None:
    official = value(path.with_suffix(f".{form}").read_bytes(), form)
    found = table(path.with_suffix(f".{form}"))
    made = value(export(found.dataset, pa.Table.from_batches(found.batches), form, official[CREATED]), form)
    written, created = (datetime.datetime.fromisoformat(one.pop(CREATED)) for one in (made, official))
    assert written == created
    assert made == official
    assert typed(made["rows"]) == typed(official["rows"])


def typed(rows: list[list[Any]]) -> list[list[str]]:
    """The cells with their types, numbers being one: 1 and 1.0 are the same, 1 and true are not."""
    return [["number" if type(one) in (int, float) else type(one).__name__ for one in row] for row in rows]


@each_file
@each_form
@pytest.mark.ledger_part("S0-24", "Dataset-JSON 1.1 is valid by CDISC's schema")
def test_what_is_written_is_valid_by_the_official_schema(path: Path, form: str) -> None:
    official = jsonschema_rs.validator_for(json.loads(SCHEMA.read_bytes()))
    found = table(path)
    made = value(export(found.dataset, pa.Table.from_batches(found.batches), form, "2026-03-01T00:00:00+00:00"), form)
    assert [error.message for error in official.iter_errors(made)] == []
    del made["records"]
    assert not official.is_valid(made)


def broken(path: Path) -> dict[str, tuple[bytes, int]]:
    """Files that are wrong in one way each, and the row where they are."""
    whole = json.loads(path.read_bytes())
    rows = whole["rows"]
    last = len(rows)

    def made(changed: list[Any], **words: Any) -> bytes:
        return json.dumps({**whole, **words, "rows": changed}).encode()

    return {
        "extra cell": (made([*rows[:-1], [*rows[-1], "more"]]), last),
        "too few cells": (made([*rows[:-1], rows[-1][:-1]]), last),
        "wrong type": (made([*rows[:-1], [{}, *rows[-1][1:]]]), last),
        "more records": (made(rows[:-1]), last),
        "fewer records": (made([*rows, rows[0]]), last + 1),
        "truncated": (path.read_bytes().rstrip()[:-6], last),
        "not JSON": (path.read_bytes().rstrip()[:-3] + b", 'x']]}", last),
    }


@each_file
def test_a_broken_file_is_told_with_its_row(path: Path, tmp_path: Path) -> None:
    names = table(path).dataset.names
    for reason, (data, row) in broken(path).items():
        (tmp_path / "x.json").write_bytes(data)
        with pytest.raises(DataError) as told:
            list(table(tmp_path / "x.json").batches)
        assert told.value.row == row, reason
        if reason in ("extra cell", "too few cells", "wrong type"):
            assert told.value.variable == names[0 if reason == "wrong type" else -1]


@each_form
def test_a_file_that_is_cut_anywhere_is_told(form: str, tmp_path: Path) -> None:
    data = (CORPUS / "sdtm" / f"suppec.{form}").read_bytes().rstrip(b"\n")
    for length in range(0, len(data), 11):
        (tmp_path / "x").write_bytes(data[:length])
        with pytest.raises((FormatError, DataError)):
            list(table(tmp_path / "x").batches)


@each_file
@pytest.mark.ledger_part("S0-24", "SAS transport becomes the Dataset-JSON that CDISC made of it")
def test_sas_transport_becomes_the_official_rows(path: Path) -> None:
    (found,) = sas_xpt.importer(sas_xpt.Options()).tables(path.with_suffix(".xpt"))  # type: ignore[call-arg]  # defaults
    made = value(export(found.dataset, pa.Table.from_batches(found.batches), "json", "2026-03-01T00:00:00Z"), "json")
    official = json.loads(path.read_bytes())
    assert made["rows"] == official["rows"]
    assert typed(made["rows"]) == typed(official["rows"])
    for word in ("name", "itemGroupOID", "records"):
        assert made[word] == official[word]
    dates = [one["name"] for one in official["columns"] if "targetDataType" in one]
    assert [one["name"] for one in made["columns"] if "targetDataType" in one] == dates
    assert [one["itemOID"] for one in made["columns"]] == [one["itemOID"] for one in official["columns"]]


@each_file
@pytest.mark.ledger_part("S0-24", "Dataset-JSON becomes the SAS transport that CDISC made it of")
def test_dataset_json_becomes_the_official_transport(path: Path) -> None:
    (sas,) = sas_xpt.importer(sas_xpt.Options()).tables(path.with_suffix(".xpt"))  # type: ignore[call-arg]  # defaults
    found = table(path.with_suffix(".ndjson"))
    variables = tuple(  # a date's text has no length in Dataset-JSON, and SAS's is not always the planned one
        dataclasses.replace(one, length=other.length)
        for one, other in zip(found.dataset.variables, sas.dataset.variables, strict=True)
    )
    dataset = dataclasses.replace(found.dataset, variables=variables)
    (made,) = write(sas_xpt_v5.exporter, dataset, list(found.batches)).values()
    assert observations(made) == observations(path.with_suffix(".xpt").read_bytes())


def observations(data: bytes) -> bytes:
    """All that follows the header of the observations."""
    _, header, found = data.partition(b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!")
    assert header
    return found
