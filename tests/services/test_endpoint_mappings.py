"""What `hilum check` says of mappings: of routes' steps and of endpoints, typed by what their messages are."""

from __future__ import annotations

import pytest

from hilum.model import document
from hilum.sdk.registry import discover
from hilum.services.configuration import compile_all

TEXT = """
version: 1
organization: demo
environment: development
integrations:
  - name: api
    protocol: rest_api
    endpoints:
      - {name: in, direction: inbound, url: "http://127.0.0.1:8080/", format: json}
      - name: out
        direction: outbound
        url: "http://127.0.0.1:8081/"
        data_mapping: DATA
        response_mapping: RESPONSE
routes:
  - {name: r, from: api/in, steps: [STEP], to: [api/out]}
"""
GOOD = {
    "DATA": "{set: {$.a: 1}, examples: [{input: {}, expected: {a: 1}}]}",
    "RESPONSE": "{compute: {$.id: 'number($.id)'}}",
    "STEP": "map: {set: {$.seen: true}, examples: [{input: {b: 1}, expected: {seen: true, b: 1}}]}",
}


def problems(**changes: str) -> tuple[str, ...]:
    text = TEXT
    for name, value in {**GOOD, **changes}.items():
        text = text.replace(name, value)
    return compile_all(document.load(text, "hub.yaml"), discover(), environ={}, folder=None).problems


@pytest.mark.ledger_part("S2-122", "hilum check refuses a path of another format, with its place")
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "STEP",
            "map: {set: {PID-3: x}}",
            "routes[r].steps[0].map.set.PID-3: PID-3: a path of JSON begins with $ or @ (character 1)",
        ),
        (
            "DATA",
            "{set: {PID-3: x}}",
            "api/out.data_mapping.set.PID-3: PID-3: a path of JSON begins with $ or @ (character 1)",
        ),
        ("DATA", "{to: hl7v2}", "api/out.data_mapping: it makes HL7 v2, and the partner is sent JSON"),
        ("RESPONSE", "{from: hl7v2}", "api/out.response_mapping.from: what comes here is JSON, not HL7 v2"),
        (
            "DATA",
            "{set: {$.a: 1}, examples: [{input: {}, expected: {$.a: 2}}]}",
            "api/out.data_mapping.examples[0]: $.a is 1, not 2",
        ),
        (
            "STEP",
            "map: {set: {$.a: 1}, examples: [{input: {}, expected: {a: 2}}]}",
            "routes[r].steps[0].map.examples[0]: $['a'] is 1, not 2",
        ),
    ],
)
def test_what_is_refused(name: str, value: str, told: str) -> None:
    assert problems(**{name: value}) == (told,)


def test_what_is_fine() -> None:
    assert problems() == ()
    assert problems(DATA="orders") == (), "a stored one is known to the hub alone"
