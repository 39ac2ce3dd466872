"""Mappings of executions: the step `map` on its own."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError, StepError
from hilum.model.configuration import Endpoint
from hilum.pipeline.mapping import compile_mapping, form_of
from hilum.sdk.registry import Registry, discover

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||4711\r"


@pytest.fixture(scope="module")
def plugins() -> Registry:
    return discover()


def compiled(plugins: Registry, document: Any, format: str = "hl7v2") -> Any:
    return compile_mapping(document, registry=plugins, format=format, timezone="UTC", where="out.data_mapping")


def test_a_message_is_mapped(plugins: Registry) -> None:
    made = compiled(plugins, {"set": {"MSH-5": "LAB"}, "copy": {"PID-18": "PID-3"}})(ADT)
    assert made.startswith(b"MSH|^~\\&|A|B|LAB|D|")
    assert b"PID|1||4711|||||||||||||||4711" in made


@pytest.mark.parametrize(
    ("document", "format", "reason"),
    [
        ({"set": {"PID-3": "x"}}, "json", "a path of JSON begins with $"),
        ({"set": {"$.a": "x"}}, "hl7v2", "not an HL7 path"),
        ({"from": "hl7v2", "to": "json"}, "hl7v2", "it makes JSON, and the partner is sent HL7 v2"),
        ({"from": "json", "set": {"$.a": "x"}}, "hl7v2", "it makes JSON, and the partner is sent HL7 v2"),
        ("orders", "hl7v2", "there is no mapping 'orders'"),
        ({"nonsense": 1}, "hl7v2", "out.data_mapping"),
        ({"set": {"PID": "x"}}, "hl7v2", "name a field of it"),
    ],
)
def test_what_is_no_mapping_is_refused(plugins: Registry, document: Any, format: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=r"out\.data_mapping") as caught:
        compiled(plugins, document, format)
    assert reason in str(caught.value)


def test_what_cannot_be_mapped_is_said(plugins: Registry) -> None:
    with pytest.raises(StepError, match=r"out\.data_mapping"):
        compiled(plugins, {"set": {"MSH-5": "LAB"}})(b"{}")


@pytest.mark.ledger_part("S3-42", "mappings of JSON, and of JSON to what a partner of HL7 v2 is sent, and back")
def test_json_is_mapped_both_ways(plugins: Registry) -> None:
    assert compiled(plugins, {"set": {"$.b": 2}}, "json")(b'{"a":1}') == b'{"a":1,"b":2}'
    to = {"from": "json", "to": "hl7v2", "set": {"MSH-9.1": "ADT"}, "compute": {"PID-3.1": "$.mrn"}}
    assert compiled(plugins, to)(b'{"mrn":"4711"}') == b"MSH|^~\\&|||||||ADT\rPID|||4711\r"
    back = compile_mapping(
        {"to": "json", "compute": {"$.code": "MSA-1"}},
        registry=plugins, format="hl7v2", timezone="UTC", where="out.response_mapping", answers=True,
    )  # fmt: skip
    assert back(b"MSH|^~\\&|\rMSA|AA|1\r") == b'{"code":"AA"}'
    with pytest.raises(ConfigError, match="what comes here is HL7 v2, not JSON"):
        compile_mapping({"from": "json"}, registry=plugins, format="hl7v2", timezone="UTC", where="x", answers=True)


@pytest.mark.parametrize(
    ("url", "options", "form"),
    [("http://x", {}, "json"), ("http://x", {"format": "hl7v2"}, "hl7v2"), ("mllp://x:1", {}, "hl7v2")],
)
def test_what_payloads_of_executions_are(plugins: Registry, url: str, options: dict[str, Any], form: str) -> None:
    endpoint = Endpoint.model_validate({"name": "out", "direction": "outbound", "url": url, **options})
    assert form_of(endpoint, plugins.connector(endpoint.scheme)) == form
