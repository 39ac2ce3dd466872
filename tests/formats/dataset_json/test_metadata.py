"""The object before the rows: every word is kept, and what is wrong is named."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.formats.dataset_json import metadata
from hilum.model.dataset import Dataset, DataType, Variable

CREATED = datetime.datetime(2026, 3, 1, 12, 30, 5, tzinfo=datetime.UTC)

EVERYTHING: dict[str, Any] = {
    "datasetJSONCreationDateTime": "2026-03-01T12:30:05Z",
    "datasetJSONVersion": "1.1.0",
    "fileOID": "org.example.file",
    "dbLastModifiedDateTime": "2026-02-28T00:00:00.5+01:00",
    "originator": "Sponsor",
    "sourceSystem": {"name": "Software", "version": "1.0"},
    "studyOID": "S.1",
    "metaDataVersionOID": "MDV.1",
    "metaDataRef": "define.xml",
    "itemGroupOID": "IG.ADLB",
    "records": 7,
    "name": "ADLB",
    "label": "Laboratory",
    "columns": [
        {"itemOID": "IT.ADLB.USUBJID", "name": "USUBJID", "label": "Subject", "dataType": "string", "length": 11,
         "keySequence": 1},
        {"itemOID": "IT.ADLB.ADT", "name": "ADT", "label": "Date", "dataType": "date", "targetDataType": "integer",
         "displayFormat": "DATE9.", "keySequence": 2},
        {"itemOID": "IT.ADLB.AVAL", "name": "AVAL", "label": "", "dataType": "decimal", "targetDataType": "decimal"},
        *({"itemOID": kind, "name": f"V{number}", "label": kind, "dataType": kind} for number, kind in
          enumerate(["integer", "float", "double", "boolean", "datetime", "date", "time", "URI"])),
    ],
}  # fmt: skip


def test_every_word_is_kept_in_the_order_of_the_standard() -> None:
    dataset, records = metadata.read(EVERYTHING)
    made = metadata.write(dataset, records, CREATED)
    assert made == EVERYTHING
    assert list(made) == list(EVERYTHING)
    assert [list(one) for one in made["columns"]] == [list(one) for one in EVERYTHING["columns"]]
    assert metadata.unwritten(dataset) == []


def test_the_models_words_are_the_models() -> None:
    dataset, _ = metadata.read(EVERYTHING)
    assert (dataset.name, dataset.label) == ("ADLB", "Laboratory")
    assert dataset.extra["dataset-json.sourceSystem.version"] == "1.0"
    assert dataset.extra["dataset-json.datasetJSONCreationDateTime"] == "2026-03-01T12:30:05Z"
    assert dataset.variables[0] == Variable(
        "USUBJID", DataType.STRING, "Subject", length=11, key=1, oid="IT.ADLB.USUBJID"
    )
    assert dataset.variables[1].counted
    assert dataset.variables[1].format == "DATE9."


def test_words_that_the_standard_has_not_are_kept_and_not_written() -> None:
    words = EVERYTHING | {"isReferenceData": False, "vendor": {"a": [1]}, "none": None}
    words["columns"] = [EVERYTHING["columns"][0] | {"origin": "CRF"}]
    dataset, _ = metadata.read(words)
    assert dataset.extra["dataset-json.isReferenceData"] == "false"
    assert dataset.extra["dataset-json.vendor"] == '{"a": [1]}'
    assert dataset.variables[0].extra == {"dataset-json.origin": "CRF"}
    assert metadata.unwritten(dataset) == ["isReferenceData", "vendor", "USUBJID.origin"]
    made = metadata.write(dataset, 7, CREATED)
    assert list(made) == list(EVERYTHING)
    assert made["columns"] == EVERYTHING["columns"][:1]


def test_a_data_set_of_elsewhere_gets_what_must_be_there() -> None:
    dataset = Dataset("DM", (Variable("AGE", DataType.DECIMAL, extra={"xpt.type": "1"}),), extra={"odm.oid": "x"})
    made = metadata.write(
        dataset, 0, datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    )
    assert made == {
        "datasetJSONCreationDateTime": "2026-01-01T00:00:00+01:00",
        "datasetJSONVersion": "1.1.0",
        "itemGroupOID": "IG.DM",
        "records": 0,
        "name": "DM",
        "label": "",
        "columns": [
            {"itemOID": "IT.DM.AGE", "name": "AGE", "label": "", "dataType": "decimal", "targetDataType": "decimal"}
        ],
    }
    assert metadata.unwritten(dataset) == []


@pytest.mark.parametrize("version", ["1.1", "1.1.0", "1.1.12"])
def test_versions_of_1_1_are_read(version: str) -> None:
    assert metadata.read(EVERYTHING | {"datasetJSONVersion": version})[1] == 7


@pytest.mark.parametrize("word", ["datasetJSONVersion", "itemGroupOID", "records", "name", "label", "columns"])
def test_a_word_that_must_be_there_is_missed(word: str) -> None:
    words = {name: value for name, value in EVERYTHING.items() if name != word}
    with pytest.raises(FormatError, match=f"{word} is missing"):
        metadata.read(words)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"datasetJSONVersion": "1.0.0"}, "datasetJSONVersion is '1.0.0'"),
        ({"datasetJSONVersion": "1.1.0.0"}, "datasetJSONVersion is"),
        ({"datasetJSONVersion": 1.1}, "datasetJSONVersion is no text"),
        ({"records": -1}, "records is no whole number from 0"),
        ({"records": True}, "records is no whole number"),
        ({"records": "7"}, "records is no whole number"),
        ({"name": ""}, "name is missing"),
        ({"label": ["x"]}, "label is no text"),
        ({"columns": {}}, "columns is missing or empty"),
        ({"columns": ["USUBJID"]}, "column 1 is no object"),
        ({"sourceSystem": "SAS"}, "sourceSystem is no object"),
        ({"sourceSystem": {"name": "SAS"}}, "version is missing"),
        ({"originator": "\ud800"}, "surrogate"),
    ],
)
def test_a_wrong_word_is_named(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        metadata.read(EVERYTHING | changed)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dataType": "text"}, r'column 2: dataType "text" is none of string, integer'),
        ({"dataType": None}, "column 2: dataType null is none of"),
        ({"dataType": ["date"]}, "column 2: dataType"),
        ({"targetDataType": "float"}, 'column 2: targetDataType "float" is none of integer, decimal'),
        ({"length": 0}, "column 2: length is no whole number from 1"),
        ({"length": 1.5}, "column 2: length"),
        ({"keySequence": 0}, "column 2: keySequence"),
        ({"itemOID": ""}, "column 2: itemOID is missing"),
        ({"label": None}, "column 2: label is missing"),
        ({"name": "USUBJID"}, "two columns have one name"),
    ],
)
def test_a_wrong_word_of_a_column_is_named(changed: dict[str, Any], reason: str) -> None:
    columns = [EVERYTHING["columns"][0], EVERYTHING["columns"][1] | changed]
    with pytest.raises(FormatError, match=reason):
        metadata.read(EVERYTHING | {"columns": columns})
