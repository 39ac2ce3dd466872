"""FHIR Bulk Data: a file a resource type, and a manifest that counts them; what is no resource is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from hilum.errors import ConfigError, DataError
from hilum.exporters import fhir_ndjson
from hilum.exporters.fhir_ndjson import FhirNdjsonExporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Export, Unrepresentable
from hilum.sdk.testing.exporter import CREATED, ExporterSuite, rows, write
from hilum.store.listings import LISTINGS, Window

PAYLOAD = Window(1, 1, payload=True)
EXECUTIONS = Dataset("executions", LISTINGS["executions"].columns(PAYLOAD))
MESSAGES = Dataset("messages", LISTINGS["messages"].columns(PAYLOAD))
ANSWERS = Dataset("executions", (Variable("id"), Variable("response")))
PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Müller"}]}
OBSERVATION = {"resourceType": "Observation", "id": "o1"}
OUTCOME = {"resourceType": "OperationOutcome", "issue": []}


def bundle(*resources: Any) -> dict[str, Any]:
    entries = [{"fullUrl": "urn:x", "resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def answers(*found: Any) -> pa.RecordBatch:
    texts = [None if one is None else one if isinstance(one, str) else json.dumps({"data": one}) for one in found]
    return rows(ANSWERS, {"id": [None] * len(texts), "response": texts})


def bodies(*found: str | bytes) -> pa.RecordBatch:
    values: dict[str, list[Any]] = {name: [None] * len(found) for name in MESSAGES.names}
    values["body"] = [one if isinstance(one, str) else None for one in found]
    values["body_base64"] = [base64.b64encode(one).decode() if isinstance(one, bytes) else None for one in found]
    return rows(MESSAGES, values)


def exported(*found: Any, **how: Any) -> dict[str, bytes]:
    return write(FhirNdjsonExporter, ANSWERS, [answers(*found)], **how)


def lines(data: bytes) -> list[Any]:
    assert data.endswith(b"\n")
    return [json.loads(one) for one in data.splitlines()]


class TestFhirNdjson(ExporterSuite):
    module = fhir_ndjson
    dataset: ClassVar[Dataset] = ANSWERS
    values: ClassVar[Mapping[str, Sequence[Any]]] = {
        "id": ["a", "b"], "response": [json.dumps(bundle(PATIENT, OBSERVATION)), json.dumps({"data": PATIENT})]
    }  # fmt: skip

    def test_no_rows_are_a_file_too(self) -> None:
        """Which files there are depends on the rows; the manifest is always there."""
        assert list(self.files({}, answers())) == ["manifest.json"]
        assert self.kind.packed


@pytest.mark.ledger_part("S1-27", "fhir-ndjson: a file a resource type")
@pytest.mark.ledger_part("S1-19", "FHIR Bulk Data style: NDJSON a type, with its manifest")
def test_a_file_a_type_and_a_manifest() -> None:
    second = PATIENT | {"id": "p2"}
    files = exported(bundle(PATIENT, OBSERVATION, bundle(second)), OBSERVATION, OUTCOME)
    assert list(files) == ["Observation.ndjson", "OperationOutcome.ndjson", "Patient.ndjson", "manifest.json"]
    assert lines(files["Patient.ndjson"]) == [PATIENT, second]
    assert lines(files["Observation.ndjson"]) == [OBSERVATION, OBSERVATION]
    assert json.loads(files["manifest.json"]) == {
        "transactionTime": "2026-01-02T03:04:05+00:00",
        "request": "/api/v1/exports/data",
        "requiresAccessToken": False,
        "output": [
            {"type": "Observation", "url": "Observation.ndjson", "count": 2},
            {"type": "Patient", "url": "Patient.ndjson", "count": 2},
        ],
        "deleted": [],
        "error": [{"type": "OperationOutcome", "url": "OperationOutcome.ndjson", "count": 1}],
    }


def test_the_manifest_says_what_asked_for_it() -> None:
    files = exported(options={"request": "https://hub.example/x"})
    assert json.loads(files["manifest.json"])["request"] == "https://hub.example/x"


def test_the_records_of_the_hub_fit() -> None:
    values: dict[str, list[Any]] = {name: [None] for name in EXECUTIONS.names}
    told = {"status": 200, "headers": {}, "data": PATIENT, "processedData": OBSERVATION, "success": True}
    values["response"] = [json.dumps(told)]
    batch = rows(EXECUTIONS, values)
    assert lines(write(FhirNdjsonExporter, EXECUTIONS, [batch])["Patient.ndjson"]) == [PATIENT]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"data": {"pid": 1}, "processedData": PATIENT}, "Patient"),
        ({"data": json.dumps(PATIENT)}, "Patient"),
        ({"data": "<Patient/>", "processedData": OBSERVATION}, "Observation"),
        (PATIENT, "Patient"),
    ],
)
def test_where_the_resource_of_an_answer_is(told: Any, kind: str) -> None:
    assert list(exported(json.dumps(told))) == [f"{kind}.ndjson", "manifest.json"]


def test_decimals_and_order_of_messages_are_kept() -> None:
    text = '{ "resourceType":"Observation","value":6.30,\n"a":12345678901234567890.10, "z":"ü\\n\\u2028" }'
    wide = '{"resourceType":"Patient","x":"ä"}'.encode("utf-16")
    files = write(FhirNdjsonExporter, MESSAGES, [bodies(text, wide)])
    assert files["Observation.ndjson"] == (
        '{"resourceType":"Observation","value":6.30,"a":12345678901234567890.10,"z":"ü\\n\u2028"}\n'.encode()
    )
    assert files["Patient.ndjson"] == '{"resourceType":"Patient","x":"ä"}\n'.encode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("MSH|^~\\&|LAB\r", "no JSON"),
        ("<Patient/>", "no JSON"),
        ("", "no JSON"),
        ("[]", "no FHIR resource"),
        ('"Patient"', "no FHIR resource"),
        ("{}", "no FHIR resource"),
        ('{"resourceType":"../../etc/x"}', "no FHIR resource"),
        ('{"resourceType":"manifest"}', "no FHIR resource"),
        ('{"resourceType":["Patient"]}', "no FHIR resource"),
        (json.dumps(bundle(PATIENT, {"id": "x"})), "no FHIR resource"),
        (json.dumps(bundle(PATIENT, None)), "no FHIR resource"),
        ('{"resourceType":"Bundle","entry":{}}', "entries of a Bundle"),
        ('{"resourceType":"Bundle","entry":[1]}', "entries of a Bundle"),
        ('{"resourceType":"Patient","resourceType":"X"}', "a member twice"),
        ('{"resourceType":"Patient","a":' + "[" * 200 + "]" * 200 + "}", "within one another"),
        (b"\xff\xff", "no JSON"),
    ],
)
def test_what_is_no_resource_is_refused_whole(body: str | bytes, why: str) -> None:
    batch = bodies(json.dumps(OBSERVATION), body)
    with pytest.raises(DataError, match=why) as caught:
        write(FhirNdjsonExporter, MESSAGES, [batch])
    name = "body" if isinstance(body, str) else "body_base64"
    assert (caught.value.row, caught.value.variable) == (2, name)
    aside: list[Unrepresentable] = []
    files = write(FhirNdjsonExporter, MESSAGES, [batch], aside=aside)
    assert [(one.row, one.variable) for one in aside] == [(2, name)]
    assert list(files) == ["Observation.ndjson", "manifest.json"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "there is no response"),
        ('{"data": null, "success": false}', "the answer is no FHIR resource"),
        ('{"data": {"base64": "AA=="}}', "the answer is no FHIR resource"),
        ('{"data": "text"}', "the answer is no FHIR resource"),
        ("[1]", "no FHIR resource"),
    ],
)
def test_an_answer_that_is_no_resource_is_refused(answer: str | None, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        exported(PATIENT, answer)
    assert (caught.value.row, caught.value.variable) == (2, "response")


def test_a_row_without_a_body_is_refused() -> None:
    with pytest.raises(DataError, match="row 1, body: there is no body"):
        write(FhirNdjsonExporter, MESSAGES, [rows(MESSAGES, {name: [None] for name in MESSAGES.names})])
    broken = rows(MESSAGES, {name: ["[gone]" if name == "body_base64" else None] for name in MESSAGES.names})
    with pytest.raises(DataError, match="row 1, body_base64: this is no Base64"):
        write(FhirNdjsonExporter, MESSAGES, [broken])


def test_entries_without_a_resource_are_told() -> None:
    said: list[str] = []
    answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": {"status": "201"}}] * 3}
    assert list(exported(answer, warnings=said)) == ["manifest.json"]
    assert said == ["entries of Bundles that hold no resource were passed over (3)"]


def test_types_have_a_bound() -> None:
    kinds = [{"resourceType": f"T{chr(65 + one // 26)}{chr(65 + one % 26)}"} for one in range(501)]
    assert len(exported(*kinds[:500])) == 501
    with pytest.raises(DataError, match="row 501, response: with this there are more than 500 resource types"):
        exported(*kinds)


def test_more_than_memory_holds_keeps_its_order() -> None:
    """Lines beyond 8 MiB go through the sealed file, more than once."""
    many = [{"resourceType": ("Patient", "Basic")[one % 2], "id": str(one), "x": "y" * 4_000} for one in range(6_000)]
    files = write(FhirNdjsonExporter, ANSWERS, [answers(*many[:1_000]), answers(*many[1_000:])])
    for name, first in (("Patient", 0), ("Basic", 1)):
        assert [one["id"] for one in lines(files[f"{name}.ndjson"])] == [str(one) for one in range(first, 6_000, 2)]
    assert [one["count"] for one in json.loads(files["manifest.json"])["output"]] == [3_000, 3_000]


def test_one_file_is_open_at_a_time() -> None:
    opened: list[str] = []

    class File:
        def __init__(self, name: str) -> None:
            assert not opened, f"{opened} is open yet"
            opened.append(name)

        def __enter__(self) -> File:
            return self

        def __exit__(self, *_: object) -> None:
            opened.clear()

        def write(self, data: bytes) -> None:
            assert data

    used = FhirNdjsonExporter(fhir_ndjson.Options(), ANSWERS, Export(File, 3, CREATED))  # type: ignore[arg-type]  # all it needs
    used.write(answers(PATIENT, OBSERVATION, PATIENT))
    used.close()
    assert not opened


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset("DM", (Variable("USUBJID"),)),
        Dataset("executions", LISTINGS["executions"].columns(Window(1, 1))),
        Dataset("messages", (Variable("body"),)),
        Dataset("x", (Variable("response", DataType.DOUBLE),)),
    ],
)
def test_another_table_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="takes the records `executions` or `messages` with payload"):
        write(FhirNdjsonExporter, dataset, [])
