"""Routes of JSON: every step knows what format its messages have, also after a map that makes another one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.model.message import Disposition

BODY = json.dumps(
    {"kind": "order", "patient": {"mrn": "4711", "family": "Doe"}, "items": [{"code": "GLU"}, {"code": "HB"}]}
).encode()
TO_HL7 = {"map": {"to": "hl7v2", "copy": {"PID-3.1": "$.patient.mrn"}, "set": {"MSH-9.1": "ORM", "MSH-10": "1"}}}


@pytest.mark.ledger_part("S2-123", "filter, lookup, map and redact on JSON, and from JSON to HL7 v2 and on")
def test_a_route_from_json_to_hl7(compiled: Any) -> None:
    steps = [
        {"filter": {"where": "$.kind == 'order'"}},
        {"lookup": {"path": "$.items[*].code", "table": {"GLU": "2345-7", "HB": "718-7"}, "into": "@.loinc"}},
        {"redact": {"mask": ["$.patient.family"]}},
        {"map": {"set": {"$.seen": True}}},
        {"map": {**TO_HL7["map"], "each": [
            {"in": "$.items[*]", "into": "OBX[*]", "do": {"compute": {"OBX-3.1": "@.loinc", "OBX-3.2": "@.code"}}}]}},
        {"filter": {"where": "MSH-9.1 == 'ORM'"}},
        {"map": {"set": {"PID-5.1": "X"}}},
    ]  # fmt: skip
    pipeline = compiled(steps, format="json", to=("ward/out",))
    routed, traces = pipeline.rehearse(BODY)
    assert routed.disposition is Disposition.DELIVERING, routed.reason
    (output,) = routed.outputs
    assert output.body == b"MSH|^~\\&||||||||ORM|1\rPID|||4711||X\rOBX|||2345-7^GLU\rOBX|||718-7^HB\r".replace(
        b"||||||||ORM", b"|||||||ORM"
    )
    assert output.key == "4711", "the lane's key is read from what is sent"
    assert json.loads(traces[3].output[0])["patient"]["family"] == "****"
    assert pipeline.run(b'{"kind":"other"}').disposition is Disposition.FILTERED
    failed = pipeline.run(b'{"kind":"order","items":[{"code":"ZZ"}]}')
    assert failed.disposition is Disposition.ERROR
    assert failed.reason == "steps[1].lookup: $.items[*].code: the code is not in the table"


@pytest.mark.ledger_part("S2-122", "a path of another format is refused with the step's place")
@pytest.mark.parametrize(
    ("steps", "format", "where", "reason"),
    [
        ([{"filter": {"where": "MSH-9.1 == 'ADT'"}}], "json", "steps[0].filter.where", "MSH-9.1 is a path of HL7 v2"),
        ([{"filter": {"where": "$.a == 'ADT'"}}], "hl7v2", "steps[0].filter.where", "$.a is a path of JSON"),
        ([TO_HL7, {"filter": {"where": "$.a"}}], "json", "steps[1].filter.where", "HL7 v2 is read here"),
        ([{"lookup": {"path": "PV1-2", "table": {}}}], "json", "steps[0].lookup.path", "a path of JSON begins with $"),
        ([{"lookup": {"path": "$.a", "table": {}}}], "hl7v2", "steps[0].lookup.path", "not an HL7 path"),
        ([{"lookup": {"path": "$.a[*]", "into": "$.b", "table": {}}}], "json", "steps[0].lookup.into", "begin with @"),
        ([{"redact": {"mask": ["PID-3"]}}], "json", "steps[0].redact.mask[0]", "a path of JSON begins with $"),
        ([{"split": {"by": "OBR"}}], "json", "steps[0].split", "works on HL7 v2 alone"),
        ([{"validate": {}}], "json", "steps[0].validate", "works on HL7 v2 alone"),
        ([{"map": {"use": "m"}}], "json", "steps[0].map.use.set.PID-3", "a path of JSON begins with $"),
        ([{"map": {"use": "n"}}], "hl7v2", "steps[0].map.use.from", "what comes here is HL7 v2, not JSON"),
    ],
)
def test_what_a_step_cannot_read(compiled: Any, steps: list[Any], format: str, where: str, reason: str) -> None:
    mappings = {
        "m": {"version": 1, "document": {"set": {"PID-3": "x"}}},
        "n": {"version": 1, "document": {"from": "json", "set": {"$.a": 1}}},
    }
    with pytest.raises(ConfigError) as caught:
        compiled(steps, format=format, mappings=mappings)
    assert [one.where for one in caught.value.problems] == [f"routes[r].{where}"]
    assert reason in str(caught.value)


def test_a_lane_is_keyed_by_what_is_sent(compiled: Any) -> None:
    pipeline = compiled([], format="json", to=("ward/out",), key="$.patient.mrn")
    assert pipeline.run(BODY).outputs[0].key == "4711"
    assert [pipeline.run(body).outputs[0].key for body in (b"{}", b'{"patient":{"mrn":{}}}', b"x")] == [None] * 3
    for format, key, reason in (
        ("json", "PID-3.1", "PID-3.1 is no path of JSON"),
        ("hl7v2", "$.patient.mrn", "is no path of HL7 v2"),
        ("json", "$..mrn", "name one place"),
        ("json", "$.(", "expected a name"),
    ):
        with pytest.raises(ConfigError, match=r"ward/out\.lane\.key") as caught:
            compiled([], format=format, to=("ward/out",), key=key)
        assert reason in str(caught.value)


def test_what_fails_is_an_error_that_repeats_nothing(compiled: Any) -> None:
    pipeline = compiled([{"map": {"compute": {"$.x": "number($.patient.family)"}}}], format="json")
    for body, reason in (
        (BODY, "steps[0].map: compute.$.x: a value is no number"),
        (b'{"secret":', "steps[0].map: no JSON: Expecting value (line 1, column 11)"),
    ):
        routed = pipeline.run(body)
        assert (routed.disposition, routed.outputs, routed.reason) == (Disposition.ERROR, (), reason)


def test_redact_masks_all_that_is_in_it(compiled: Any) -> None:
    steps = [{"redact": {"mask": ["$.patient", "$.items[*].code"], "remove": ["$..kind"], "with": "-"}}]
    made = compiled(steps, format="json").run(BODY).outputs[0].body
    assert json.loads(made) == {"patient": {"mrn": "-", "family": "-"}, "items": [{"code": "-"}, {"code": "-"}]}


def test_a_script_is_given_the_document(compiled: Any) -> None:
    files = {
        "a.py": "def transform(document):\n    document.root['seen'] = True\n",
        "b.py": "def transform(document):\n    return None if document.root.get('seen') else False\n",
    }
    steps = [{"script": {"file": "a.py"}}, {"script": {"file": "b.py"}}]
    routed = compiled(steps, format="json", materials=files).run(b'{"a":1}')
    assert [one.body for one in routed.outputs] == [b'{"a":1,"seen":true}']


def test_a_format_that_nobody_knows_is_what_the_rules_say(compiled: Any) -> None:
    steps = [{"map": {"from": "json", "set": {"$.a": 1}}}, {"filter": {"where": "$.a == 1"}}]
    assert compiled(steps, format="bytes").run(b"{}").outputs[0].body == b'{"a":1}'
