"""A map's rules on JSON, between JSON and HL7 v2, and which paths are refused where."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest

from hilum.errors import ConfigError, FormatError, StepError
from hilum.formats.hl7v2 import Message
from hilum.sdk import config
from hilum.sdk.contracts import StepContext, Work
from hilum.steps.map import Map

ORDER: dict[str, Any] = {
    "id": "o-1",
    "status": "new",
    "urgent": True,
    "patient": {"mrn": "4711", "name": {"family": "Doe", "given": ["Jane", "Q"]}, "born": "1970-01-01"},
    "items": [
        {"code": "GLU", "value": 5.5, "unit": "mmol/L", "secret": "x"},
        {"code": "HB", "value": "high"},
        {"code": "K", "value": 6.30, "unit": "mmol/L"},
    ],
    "empty": "",
    "nothing": None,
}
ADT = b'MSH|^~\\&|HIS|H|LAB|L|20240701120000||ORU^R01|7|P|2.5\rPID|1||4711^^^MRN~0815^^^NHS||Doe^Jane||19700101|""\r'
ORU = ADT + b"OBX|1|NM|GLU^Glucose||5.5|mmol/l\rNTE|1||n\rOBX|2|ST|HB^Haemoglobin||high\r"


def step(values: dict[str, Any], format: str = "json") -> Map:
    where = "routes[r].steps[0].map"
    return Map(config.read(Map.Config, values, where), StepContext("Europe/Berlin", where, str, format=format))


def mapped(values: dict[str, Any], document: Any = None, **attributes: str) -> Any:
    """The document after these rules."""
    body = json.dumps(ORDER if document is None else document).encode()
    work = Work(body, "json", attributes)
    assert step(values).run(work) is work
    return json.loads(work.body)


def changed(**values: Any) -> dict[str, Any]:
    """The order with these members."""
    return {**ORDER, **values}


def test_set_writes_any_value_and_makes_what_is_missing() -> None:
    made = mapped(
        {"set": {"$.status": "sent", "$.urgent": False, "$.count": 3, "$.a.b[0].c": [1, {"d": None}], "$['x y']": 1.50}}
    )
    assert made == changed(
        status="sent", urgent=False, count=3, a={"b": [{"c": [1, {"d": None}]}]}, **{"x y": 1.5}
    )  # fmt: skip


def test_elements_are_written_where_they_are_or_next() -> None:
    assert mapped({"set": {"$[0]": "x", "$[-1]": "y", "$[2]": "z"}}, ["a", "b"]) == ["x", "y", "z"]
    assert mapped({"set": {"$": {"all": "new"}}}) == {"all": "new"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.status.x", "there is no object to put 'x' in"),
        ("$.patient[0]", "there is no array"),
        ("$.items.x", "there is no object"),
        ("$.items[5].x", "would leave a gap in an array of 3"),
        ("$.items[-4]", "no such element"),
    ],
)
def test_what_stands_in_the_way_is_said(path: str, reason: str) -> None:
    with pytest.raises(StepError, match=reason):
        mapped({"set": {path: "x"}})


def test_copy_and_move_keep_the_structure() -> None:
    made = mapped(
        {
            "copy": {"$.who": "$.patient.name", "$.none": "$.absent", "$.empty": "$.absent"},
            "move": {"$.patient.name": "$.patient.name.family", "$.first": "$.items[0]"},
        }
    )
    expected = changed(who=ORDER["patient"]["name"], first=ORDER["items"][0], items=ORDER["items"][1:])
    expected["patient"] = {**ORDER["patient"], "name": "Doe"}
    del expected["empty"]
    assert made == expected


def test_a_copy_is_no_second_name_of_the_same() -> None:
    made = mapped({"copy": {"$.b": "$.patient"}, "set": {"$.b.mrn": "other"}})
    assert (made["patient"]["mrn"], made["b"]["mrn"]) == ("4711", "other")
    made = mapped({"each": [{"in": "$.items[*]", "do": {"set": {"@.x": {"y": []}}}}], "set": {"$.z": 1}})
    assert [one["x"] for one in made["items"]] == [{"y": []}] * 3


@pytest.mark.ledger_part(
    "S2-123", "the functions on JSON: case, pad, dates, patterns, concatenation, conditions, units"
)
def test_compute_writes_what_the_expression_gives() -> None:
    made = mapped(
        {
            "compute": {
                "$.r.name": "upper($.patient.name.family) & ', ' & $.patient.name.given[0]",
                "$.r.given": "join($.patient.name.given, ' ')",
                "$.r.born": "date_format(replace($.patient.born, '-', ''), 'dd.MM.yyyy')",
                "$.r.mrn": "pad_left($.patient.mrn, 8, '0')",
                "$.r.number": "number($.patient.mrn) + 1",
                "$.r.total": "$.items[0].value * 2",
                "$.r.codes": "$.items[*].code",
                "$.r.first": "$.items[0]",
                "$.r.urgent": "$.urgent and $.status == 'new'",
                "$.r.when": "'late' if not $.urgent else 'now'",
                "$.r.mg": "convert($.items[0].value, $.items[0].unit, 'mg/dL', 180.156)",
                "$.r.pattern": "regex_replace($.id, '(\\w)-(\\d)', '\\2\\1')",
                "$.r.count": "count($.items)",
                "$.r.file": "$file_name",
                "$.r.deep": "count($..code)",
                "$.r.none": "null",
                "$.status": "null",
                "$.items[1]": "null",
                "$.r.exact": "$.items[2].value",
            }
        },
        file_name="a.json",
    )
    assert made["r"] == {
        "name": "DOE, Jane", "given": "Jane Q", "born": "01.01.1970", "mrn": "00004711", "number": 4712, "total": 11.0,
        "codes": ["GLU", "HB", "K"], "first": ORDER["items"][0], "urgent": True, "when": "now", "mg": 99.0858,
        "pattern": "1o", "count": 3, "file": "a.json", "deep": 4, "exact": 6.3,
    }  # fmt: skip
    assert "status" not in made, "null takes a member away"
    assert made["items"][1] is None, "and leaves the other elements where they are"


def test_digits_that_nobody_touched_stay() -> None:
    work = Work(b'{"v":6.30,"w":1.0,"n":12345678901234567890}', "json")
    step({"compute": {"$.x": "$.v", "$.y": "$.v * 1"}, "copy": {"$.z": "$.v"}}).run(work)
    assert work.body == b'{"v":6.30,"w":1.0,"n":12345678901234567890,"z":6.30,"x":6.30,"y":6.30}'


def test_default_fills_in_what_is_absent_null_or_empty() -> None:
    made = mapped({"default": {"$.empty": "d", "$.nothing": {"a": 1}, "$.status": "d", "$.new": 0, "$.urgent": False}})
    assert made == changed(empty="d", nothing={"a": 1}, new=0)


def test_remove_takes_whatever_a_query_finds() -> None:
    made = mapped({"remove": ["$..secret", "$.items[?@.code == 'HB']", "$.items[0, 0]", "$.absent", "$.patient.name"]})
    assert made["items"] == [{"code": "K", "value": 6.3, "unit": "mmol/L"}]
    assert made["patient"] == {"mrn": "4711", "born": "1970-01-01"}
    assert mapped({"remove": ["$"]}) is None


def test_each_goes_through_what_a_query_finds() -> None:
    made = mapped(
        {
            "each": [
                {
                    "in": "$.items[*]",
                    "where": "valued(@.unit)",
                    "do": {
                        "compute": {"@.at": "$index", "@.code": "lower(@.code)", "@.of": "$.id"},
                        "remove": ["@.secret"],
                        "each": [{"in": "@.*", "where": "@ == 'mmol/L'", "do": {"set": {"@": "mM"}}}],
                    },
                }
            ]
        }
    )
    assert made["items"] == [
        {"code": "glu", "value": 5.5, "unit": "mM", "at": 1, "of": "o-1"},
        {"code": "HB", "value": "high"},
        {"code": "k", "value": 6.3, "unit": "mM", "at": 3, "of": "o-1"},
    ]


def test_a_loop_may_remove_what_it_is_at_and_what_comes() -> None:
    assert mapped({"each": [{"in": "$[*]", "where": "@ < 3", "do": {"remove": ["@"]}}]}, [1, 2, 3, 1, 4]) == [3, 4]
    assert mapped({"each": [{"in": "$[*]", "where": "@ == 2", "do": {"remove": ["$[0]", "$[-1]"]}}]}, [1, 2, 3]) == [2]
    assert mapped({"each": [{"in": "$.*", "do": {"remove": ["$.b"], "set": {"@": 1}}}]}, {"a": 0, "b": 0}) == {"a": 1}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("$.urgent", True),
        ("$.urgent == true", True),
        ("$.urgent != false", True),
        ("$.urgent == 1", False),
        ("$.status in ['new', 'old']", True),
        ("$.status not in ['new', 'old']", False),
        ("'GLU' in $.items[*].code", True),
        ("'Q' in $.patient.name.given", True),
        ("$.patient.name.given == 'Jane'", True),
        ("$.items[*].value > 6", True),
        ("$.items[*].value > 7", False),
        ("$.items[0].value == 5.5", True),
        ("$.items[0].value == '5.50'", True),
        ("$.patient.mrn == 4711", True),
        ("$.absent == null", True),
        ("$.nothing == null and exists($.nothing) and not exists($.absent)", True),
        ("valued($.nothing) or valued($.empty) or valued($.absent)", False),
        ("valued($.items) and count($.items[?@.unit]) == 2", True),
        ("$.absent", False),
        ("$.status matches 'n.*' and not ($.status matches 'x')", True),
        ("coalesce($.empty, $.nothing, $.status) == 'new'", True),
        ("$.items[?@.code == 'HB'].value == 'high'", True),
        ("exists($.items[?@.code == 'ZZ'])", False),
        ("count($.absent) == 0 and count($.status) == 1 and count($.patient) == 3", True),
        ("first($..given[*]) == 'Jane' and last($.patient.name.given) == 'Q'", True),
        ("fhirpath('items.where(code = ''GLU'').unit') == 'mmol/L'", True),
        ("fhirpath('given.count()', $.patient.name) == 2", True),
        ("fhirpath('items.exists(unit.empty())')", True),
        ("is_number($.patient.mrn) and not is_number($.status)", True),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert mapped({"when": condition, "set": {"$.held": True}}).get("held", False) is holds


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("upper($.patient)", "an object stands where text"),
        ("$.items & ''", "an array stands where text"),
        ("$.status * 2", "a value is no number"),
        ("1 if $.status else 2", "neither true nor false"),
        ("join($.items, '')", "an object stands where text"),
        ("first($.items[*])", "an object stands"),
        ("upper(fhirpath('items.code'))", "an array stands where text"),
        ("fhirpath('items.code + 1')", "there are several"),
    ],
)
def test_what_a_value_is_not(expression: str, reason: str) -> None:
    with pytest.raises(StepError, match=reason) as caught:
        mapped({"compute": {"$.x": expression}})
    assert str(caught.value).startswith("compute.$.x: ")


@pytest.mark.ledger_part("S2-122", "typed paths: one of another format is refused, with its place")
@pytest.mark.parametrize(
    ("values", "format", "where", "reason"),
    [
        ({"set": {"PID-3": "x"}}, "json", "set.PID-3", "a path of JSON begins with $"),
        ({"compute": {"$.a": "PID-3.1"}}, "json", "compute.$.a", "PID-3.1 is a path of HL7 v2, and JSON is read here"),
        ({"when": "exists(PID)"}, "json", "when", "PID is a path of HL7 v2"),
        ({"set": {"$.a": "x"}}, "hl7v2", "set.$.a", "not an HL7 path"),
        ({"compute": {"PID-3": "$.a"}}, "hl7v2", "compute.PID-3", "$.a is a path of JSON, and HL7 v2 is read here"),
        ({"compute": {"PID-3": "fhirpath('a')"}}, "hl7v2", "compute.PID-3", "fhirpath reads JSON"),
        ({"remove": ["$..a"]}, "hl7v2", "remove[0]", "not an HL7 path"),
        ({"each": [{"in": "OBX[*]", "do": {}}]}, "json", "each[0].in", "a path of JSON begins with $"),
        ({"from": "hl7v2", "set": {}}, "json", "from", "what comes here is JSON, not HL7 v2"),
        ({"from": "json"}, "hl7v2", "from", "what comes here is HL7 v2, not JSON"),
        ({"to": "hl7v2"}, "hl7v2", "to", "leave out to"),
        ({"to": "json", "set": {"PID-3": "x"}}, "hl7v2", "set.PID-3", "begins with $"),
        ({"to": "json", "compute": {"$.a": "$.b"}}, "hl7v2", "compute.$.a", "$.b is a path of JSON"),
        ({"to": "json", "copy": {"$.a": "$.b"}}, "hl7v2", "copy.$.a", "not an HL7 path"),
        ({"to": "json", "move": {"$.a": "PID-3"}}, "hl7v2", "move", "copy it"),
        ({"to": "json", "when": "exists(PID)"}, "hl7v2", "when", "put a filter before it"),
        ({"to": "json", "each": [{"in": "OBX[*]", "into": "$.a", "do": {}}]}, "hl7v2", "each[0].into", "$.a[*]"),
        ({"each": [{"in": "$.a[*]", "into": "$.a[*]", "do": {}}]}, "json", "each[0].into", "with to"),
        ({"to": "hl7v2", "set": {"PID-3": 1}}, "json", "set.PID-3", "in quotes"),
        ({"to": "json"}, "", "map", "from: hl7v2 or from: json"),
        ({"set": {"$.a[*]": "x"}}, "json", "set.$.a[*]", "go through several with each"),
        ({"set": {"@.a": "x"}}, "json", "set.@.a", "only inside each"),
        ({"compute": {"$.a": "@.b"}}, "json", "compute.$.a", "only inside each"),
        ({"copy": {"$.a": "$..b"}}, "json", "copy.$.a", "several"),
        ({"each": [{"in": "$.items", "do": {}}]}, "json", "each[0].in", "$.items[*]"),
        ({"compute": {"$.a": "$['x"}}, "json", "compute.$.a", "does not end"),
        ({"compute": {"$.a": "fhirpath('x..y')"}}, "json", "compute.$.a", "expected a name"),
        ({"compute": {"$.a": "fhirpath($.b)"}}, "json", "compute.$.a", "in quotes"),
        ({"set": {"$" + ".a" * 60: "x"}}, "json", "set.$" + ".a" * 60, "at most 50 steps"),
        ({"set": {"$.a[10000]": "x"}}, "json", "set.$.a[10000]", "up to 9,999"),
        ({"from": "xml"}, "", "from", "Input should be"),
    ],
)
def test_what_is_refused(values: dict[str, Any], format: str, where: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        step(values, format)
    assert caught.value.where == (f"routes[r].steps[0].map.{where}" if where != "map" else "routes[r].steps[0].map")


def test_values_that_json_cannot_say_are_refused() -> None:
    for value in (datetime.date(2024, 1, 1), float("nan"), {1: 2}, [object()]):
        with pytest.raises(ConfigError, match=r"set\.\$\.a"):
            step({"set": {"$.a": value}})


TO_JSON = {
    "to": "json",
    "copy": {"$.id": "PID-3.1", "$.gone": "PID-30", "$.nulled": "PID-8"},
    "set": {"$.resourceType": "Bundle"},
    "compute": {
        "$.name": "PID-5.1 & ', ' & PID-5.2",
        "$.born": "date_format(PID-7, 'iso')",
        "$.ids": "PID-3[*].1",
        "$.male": "PID-8 == 'M'",
    },
    "default": {"$.id": "?", "$.lang": "en"},
    "each": [
        {
            "in": "OBX[*]",
            "where": "OBX-2 in ['NM', 'ST']",
            "into": "$.results[*]",
            "do": {
                "set": {"@.kind": "result"},
                "compute": {
                    "@.code": "OBX-3.1",
                    "@.value": "number(OBX-5) if OBX-2 == 'NM' else OBX-5",
                    "@.no": "$index",
                },
            },
        },
        {"in": "PID-3[*]", "into": "$.more[*]", "do": {"copy": {"@": "PID-3.4"}}},
        {"in": "NTE[*]", "do": {"compute": {"$.note": "NTE-3"}}},
    ],
}


@pytest.mark.ledger_part("S2-122", "HL7 v2 to JSON in one mapping")
def test_hl7_to_json() -> None:
    work = Work(ORU)
    made = step(TO_JSON, "hl7v2")
    assert (made.reads, made.makes) == ("hl7v2", "json")
    assert made.run(work) is work
    assert work.format == "json"
    assert json.loads(work.body) == {
        "id": "4711", "nulled": None, "resourceType": "Bundle", "name": "Doe, Jane", "born": "1970-01-01",
        "ids": ["4711", "0815"], "male": False, "lang": "en",
        "results": [
            {"kind": "result", "code": "GLU", "value": 5.5, "no": 1},
            {"kind": "result", "code": "HB", "value": "high", "no": 2},
        ],
        "more": ["MRN", "NHS"], "note": "n",
    }  # fmt: skip


TO_HL7 = {
    "from": "json",
    "to": "hl7v2",
    "set": {"MSH-3": "HUB", "MSH-9.1": "ORU", "MSH-9.2": "R01", "MSH-18": "UNICODE UTF-8"},
    "compute": {"MSH-10": "$.id", "PID-5.1": "$.patient.name.family", "PID-7": "replace($.patient.born, '-', '')"},
    "copy": {"PID-3.1": "$.patient.mrn", "PV1-44": "$.absent"},
    "default": {"PID-3.4": "MRN"},
    "each": [
        {"in": "$.patient.name.given[*]", "into": "PID-9[*]", "do": {"compute": {"PID-9.1": "@"}}},
        {
            "in": "$.items[*]",
            "into": "OBX[*]",
            "do": {
                "compute": {"OBX-1": "$index", "OBX-3.1": "@.code", "OBX-5": "@.value", "OBX-6": "@.unit"},
                "each": [{"in": "@[?@ == 'x']", "into": "NTE[*]", "do": {"compute": {"NTE-3": "@"}}}],
            },
        },
    ],
}


@pytest.mark.ledger_part("S2-122", "JSON to HL7 v2 in one mapping")
def test_json_to_hl7() -> None:
    work = Work(json.dumps({**ORDER, "patient": {**ORDER["patient"], "mrn": "47|11"}}).encode(), "json")
    step(TO_HL7, "json").run(work)
    message = Message.parse(work.body)
    assert work.format == "hl7v2"
    assert (message.control_id, message.type) == ("o-1", "ORU")
    assert message["PID-3.1"] == "47|11"
    assert message.raw("PID-3") == b"47\\F\\11^^^MRN"
    assert message["OBX[*]-3.1"] == ["GLU", "HB", "K"]
    assert message["OBX[*]-5"] == ["5.5", "high", "6.3"]
    assert message["OBX[*]-1"] == ["1", "2", "3"]
    assert message.raw("PID-9") == b"Jane~Q"
    assert [one.name for one in message.segments()] == ["MSH", "PID", "OBX", "NTE", "OBX", "OBX"]


def test_json_to_a_new_json() -> None:
    each = {"in": "$..code", "into": "$.c[*]", "do": {"compute": {"@": "@"}}}
    made = mapped({"to": "json", "copy": {"$.who": "$.patient.name"}, "each": [each]})
    assert made == {"who": ORDER["patient"]["name"], "c": ["GLU", "HB", "K"]}


def test_a_structure_is_no_field() -> None:
    with pytest.raises(StepError, match="an object stands where text"):
        step({"to": "hl7v2", "copy": {"PID-3": "$.patient"}}, "json").run(Work(json.dumps(ORDER).encode(), "json"))


def test_what_is_no_json_is_the_messages_fault() -> None:
    with pytest.raises(FormatError, match="no JSON"):
        step({"set": {"$.a": 1}}).run(Work(b"MSH|^~\\&|", "json"))
    with pytest.raises(FormatError):
        step({"set": {"PID-1": "1"}}, "hl7v2").run(Work(b"{}", "hl7v2"))


def test_what_is_made_is_bounded() -> None:
    document = {"a": [0] * 5_000, "b": list(range(5_000))}
    rules = {"each": [{"in": "$.b[*]", "do": {"copy": {"@": "$.a"}}}]}
    with pytest.raises(StepError, match="1,000,000 values are copied"):
        mapped(rules, document)
    with pytest.raises(StepError, match="more than 1,000 of"):
        mapped({"each": [{"in": "$.b[*]", "do": {"remove": ["@"]}}]}, document)
    with pytest.raises(StepError, match="more than 10,000 of"):
        mapped({"each": [{"in": "$..*", "do": {}}]}, document)
    with pytest.raises(StepError, match="within one another"):
        mapped({"each": [{"in": "$.b[*]", "do": {"copy": {"$.c.d": "$.c"}}}], "set": {"$.c.d": {}}}, document)
    with pytest.raises(StepError, match="looks at more than"):
        mapped({"when": "exists($.b[?count($.a[*]) == 0])"}, document)


@pytest.mark.ledger_part("S2-122", "test cases stored with the mapping, for JSON too")
def test_examples() -> None:
    values = {
        "set": {"$.a": 1},
        "examples": [
            {"input": {"b": 2}, "expected": {"a": 1, "b": 2}},
            {"input": '{"b": 2}', "expected": '{"b": 2, "a": 1.0}'},
            {"input": {"b": [1, 2]}, "expected": {"$.a": 1, "$.b[*]": [1, 2], "$.c": None}},
            {"input": {}, "expected": {"a": 2, "z": 1}},
            {"input": {}, "expected": {"$.a": 2, "$.(": 1}},
            {"input": "MSH|", "expected": {}},
            {"input": {"b": 1}, "expected": [1]},
        ],
    }
    tried = step(values).tried()
    assert [not one.problems for one in tried] == [True, True, True, False, False, False, False]
    assert tried[3].problems == ("$['a'] is 1, not 2", "$['z'] is missing, not 1")
    assert tried[4].problems[0] == "$.a is 1, not 2"
    assert "expected a name" in tried[4].problems[1]
    assert "no JSON" in tried[5].problems[0]
    assert (tried[0].input, tried[0].found) == ('{"b": 2}', {"b": 2, "a": 1})
    both = {
        **TO_JSON,
        "examples": [{"input": ORU.decode().replace("\r", "\n"), "expected": {"$.results[0].value": 5.5}}],
    }
    assert step(both, "hl7v2").examples() == []
    back = {**TO_HL7, "examples": [{"input": ORDER, "expected": {"OBX[*]-3.1": ["GLU", "HB", "K"], "PID-30": None}}]}
    assert step(back, "json").examples() == []
