"""Whatever is written and whatever comes: set then get, what is not named stays, and clear errors alone."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ConfigError, FormatError, StepError
from hilum.formats.json_document import JsonDocument, equal
from hilum.sdk import config
from hilum.sdk.contracts import StepContext, Work
from hilum.steps.map import Map

BODIES = (b'{"a": 1, "items": [{"a": "x"}, 2, null], "b": {"a": true}}', b"MSH|^~\\&|A\rPID|1||4711~0815\r")


def step(values: dict[str, Any], format: str = "json") -> Map:
    where = "routes[r].steps[0].map"
    return Map(config.read(Map.Config, values, where), StepContext("Europe/Berlin", where, str, format=format))


NAMES = st.sampled_from(["a", "b", "c d", "é", "'", "0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
KEYS = st.lists(NAMES | st.integers(-2, 2), max_size=4)


def path_of(keys: list[str | int]) -> str:
    return "$" + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in keys)


@pytest.mark.ledger_part("S2-123", "any path and value: what was set is read, what was not named stays")
@settings(max_examples=300, deadline=None)
@given(VALUES, KEYS, VALUES)
def test_set_then_get_and_what_is_not_named_stays(document: Any, keys: list[str | int], value: Any) -> None:
    path = path_of(keys)
    work = Work(json.dumps(document).encode(), "json")
    try:
        step({"set": {path: value}}).run(work)
    except StepError:
        assert equal(json.loads(json.dumps(document)), document)
        return
    made = JsonDocument.parse(work.body).root
    here, there = document, made
    for key in keys:
        if isinstance(key, str):
            assert {name: one for name, one in there.items() if name != key} == {
                name: one for name, one in (here or {}).items() if name != key
            }
            here = (here or {}).get(key)
        else:
            at = key if key >= 0 else key + len(here or [])
            others = [one for number, one in enumerate(there) if number != at]
            assert others == [one for number, one in enumerate(here or []) if number != at]
            here = here[at] if here and at < len(here) else None
            key = at
        there = there[key]
    assert equal(there, value)


PIECES = st.sampled_from(
    [
        "$",
        "@",
        ".a",
        ".items",
        "[0]",
        "[*]",
        "..",
        "[?@.a",
        "==",
        "'x'",
        "]",
        "(",
        ")",
        "upper(",
        "PID-3",
        " & ",
        "1",
        "[",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("".join), st.binary(max_size=40))
def test_bad_paths_and_bodies_are_clear_errors(path: str, source: str, body: bytes) -> None:
    for format in ("json", "hl7v2"):
        for values in (
            {"set": {path: "x"}},
            {"compute": {"$.a": source}},
            {"remove": [path]},
            {"copy": {path: source}},
            {"each": [{"in": path, "where": source, "do": {"set": {"@.a": "x"}}}]},
        ):
            places = []
            try:
                made = step(values, format)
                for one in (body, *BODIES):
                    with contextlib.suppress(StepError, FormatError):
                        made.run(Work(one, format))
            except ConfigError as error:
                places.append(error.where)
            assert all(one.startswith("routes[r].steps[0].map.") for one in places)
