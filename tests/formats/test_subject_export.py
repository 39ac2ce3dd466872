"""Exports about a person: what a document and its tables look like, and that no cell becomes a formula."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest

from hilum.formats.subject_export import DELIVERIES, EVENTS, EXECUTIONS, FORMATS, MESSAGES, CsvExport, JsonExport

RECORD: dict[str, Any] = {
    "id": "m1", "control_id": "=cmd|' /C calc'!A0", "note": "-1", "attributes": {"file": "a,b"}, "ack": "AA",
    "body": 'MSH|^~\\&|"A"\rPID|Mü\r', "origin": None,
    "deliveries": [{"number": 1, "state": "delivered", "attempts": [{"number": 1, "detail": "@x"}, {"number": 2}]}],
}  # fmt: skip
EVENT = {"id": "e1", "action": "message.show", "actor": {"kind": "user", "id": "u1", "name": ""}}


def filled(format: str, records: list[dict[str, Any]], events: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    made = FORMATS[format](stream, {"patient": "4711", "messages_found": len(records)})
    for part in made.parts:
        made.begin(part)
        for one in {EVENTS: events, EXECUTIONS: []}.get(part, records):
            made.add([one])
    made.end()
    return stream.getvalue()


def tables(content: bytes) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        return {
            name: list(csv.DictReader(io.StringIO(found.read(name).decode(), newline=""))) for name in found.namelist()
        }


def test_json_has_everything_as_it_is() -> None:
    found = json.loads(filled("json", [RECORD, RECORD], [EVENT]))
    assert found == {
        "patient": "4711", "messages_found": 2, MESSAGES: [RECORD, RECORD], EXECUTIONS: [], EVENTS: [EVENT]
    }  # fmt: skip
    assert JsonExport.parts == (MESSAGES, EXECUTIONS, EVENTS)


@pytest.mark.parametrize("format", ["json", "csv"])
def test_nothing_is_a_whole_file_too(format: str) -> None:
    content = filled(format, [], [])
    if format == "json":
        nothing = {MESSAGES: [], EXECUTIONS: [], EVENTS: []}
        assert json.loads(content) == {"patient": "4711", "messages_found": 0, **nothing}
    else:
        assert {name: rows for name, rows in tables(content).items() if rows}.keys() == {"about.csv"}


def test_tables_refer_to_each_other() -> None:
    found = tables(filled("csv", [RECORD], [EVENT]))
    assert [*found] == ["about.csv", *(f"{part}.csv" for part in CsvExport.parts)]
    (one,) = found["messages.csv"]
    assert (one["id"], one["body"], one["origin"]) == ("m1", RECORD["body"], "")
    assert json.loads(one["attributes"]) == {"file": "a,b"}
    (way,) = found[f"{DELIVERIES}.csv"]
    assert (way["message"], way["number"], way["attempts"]) == ("m1", "1", "2")
    assert [(each["message"], each["delivery"], each["number"]) for each in found["attempts.csv"]] == [
        ("m1", "1", "1"), ("m1", "1", "2")
    ]  # fmt: skip
    (event,) = found["audit_events.csv"]
    assert (event["actor"], json.loads(event["document"])) == ("u1", EVENT)


def test_no_cell_is_a_formula() -> None:
    found = tables(filled("csv", [RECORD], []))
    (one,) = found["messages.csv"]
    assert (one["control_id"], one["note"]) == (f"'{RECORD['control_id']}", "'-1")
    assert found["attempts.csv"][0]["detail"] == "'@x"


def test_text_that_is_no_unicode_is_replaced() -> None:
    odd = {**RECORD, "control_id": "a\udcff"}
    assert b"a?" in filled("json", [odd], [])
    assert tables(filled("csv", [odd], []))["messages.csv"][0]["control_id"] == "a?"


def test_one_that_failed_can_be_ended() -> None:
    made = CsvExport(io.BytesIO(), {"patient": "4711"})
    made.begin(MESSAGES)
    made.end()
