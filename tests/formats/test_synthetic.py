"""A payload that a test made says so, and one that is to be sent for a test is made to say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.formats import hl7v2, synthetic

LABELLED = {"resourceType": "Patient", "meta": {"security": [synthetic.LABEL]}}


def header(processing: str) -> str:
    return f"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|M1|{processing}|2.5\rPID|1||4711"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (header("T"), True), (header("D"), True), (header("T^A"), True), (header("P"), False), (header(""), False),
        (header("TX"), False), (header("T").replace("\r", "\n"), True), ("MSH", False), ("MSH|", False), ("T", False),
        (None, False), (["T"], False), (LABELLED, True), ({"resourceType": "Patient"}, False),
        ({"meta": {"security": [synthetic.LABEL]}}, False), ({"resourceType": "Patient", "meta": "HTEST"}, False),
        ({"resourceType": "Patient", "meta": {"security": [{"code": "R"}]}}, False),
    ],
)  # fmt: skip
def test_it_says_so_itself(data: Any, wanted: bool) -> None:
    assert synthetic.says(data) is wanted


@pytest.mark.parametrize("processing", ["P", "", "P^A", "TX"])
def test_hl7_gets_its_processing_id_and_nothing_else(processing: str) -> None:
    before = header(processing).encode() + b"\r"
    marked = synthetic.mark(before)
    assert hl7v2.Message.parse(marked)["MSH-11.1"] == "T"
    mode = "^A" if processing.endswith("^A") else ""
    assert marked == before.replace(f"|{processing}|2.5".encode(), f"|T{mode}|2.5".encode())
    assert synthetic.mark(marked) == marked


@pytest.mark.parametrize("body", [b"", b"a,b", b"[1]", b'{"a":1}', b"{", header("D").encode(), b"<Patient/>"])
def test_what_has_its_mark_or_no_place_for_one_stays_as_it_is(body: bytes) -> None:
    assert synthetic.mark(body) == body


def test_a_header_that_cannot_be_read_is_not_sent_unmarked() -> None:
    with pytest.raises(FormatError):
        synthetic.mark(b"MSH")


def test_fhir_gets_a_label_beside_those_it_has() -> None:
    patient = {"resourceType": "Patient", "meta": {"versionId": "1", "security": [{"code": "R"}]}}
    found = json.loads(synthetic.mark(json.dumps(patient).encode()))
    assert found == {**patient, "meta": {"versionId": "1", "security": [{"code": "R"}, synthetic.LABEL]}}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}, {"fullUrl": "x"}]}
    found = json.loads(synthetic.mark(json.dumps(bundle).encode()))
    assert synthetic.says(found)
    assert synthetic.says(found["entry"][0]["resource"])
    assert json.loads(synthetic.mark(json.dumps(found).encode())) == found
