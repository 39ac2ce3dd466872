"""A map's rules, their order, its loops and its examples."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hilum.errors import ConfigError, StepError
from hilum.formats.hl7v2 import NULL, Message
from hilum.sdk.contracts import Work
from hilum.steps.map import Map


@pytest.fixture
def mapped(make: Any, adt: Work) -> Any:
    """The message after these rules."""

    def call(**values: Any) -> Message:
        assert make(Map, values).run(adt) is adt
        return Message.parse(adt.body)

    return call


def test_set_writes_text_and_nothing_else_changes(mapped: Any, parsed: Message) -> None:
    message = mapped(set={"MSH-5": "X & Y", "PID-8": "", "PV1-2": '""', "ZPI-2.2": "new"})
    assert message["MSH-5"] == "X & Y"
    assert message.raw("MSH-5") == b"X \\T\\ Y"
    assert (message["PID-8"], message["PV1-2"], message["ZPI-2"]) == ("", NULL, "^new")
    for line in range(1, 8):
        if line not in (2, 3):
            assert message.segments()[line].raw == parsed.segments()[line].raw


def test_copy_and_move_keep_the_structure(mapped: Any) -> None:
    message = mapped(copy={"PID-18": "PID-3", "PV1-19.1": "PID-3[2].1"}, move={"PID-9": "PID-5", "PV1-3": "PV1-44"})
    assert message.raw("PID-18") == b"4711^^^MRN~0815^^^NHS"
    assert message["PV1-19"] == "0815"
    assert message.raw("PID-9") == b"Doe^Jane^\\T\\"
    assert message["PID-5"] == ""
    assert message["PV1-3"] == "", "moving nothing empties the target"
    assert message["PID-3"] == "4711^^^MRN"


def test_copying_nothing_makes_nothing(mapped: Any, parsed: Message) -> None:
    message = mapped(copy={"ZPI-2": "ZPX-2", "PID-30": "PID-31"})
    assert bytes(message) == bytes(parsed)


def test_compute_writes_what_the_expression_gives(mapped: Any) -> None:
    message = mapped(
        compute={
            "PID-5.1": "upper(PID-5.1)",
            "PID-5.2": "PID-5.1 & '!'",
            "OBX-5": "OBX-5 * 2",
            "PID-7": "date_format(PID-7, 'yyyyMM')",
            "MSH-7": "to_zone(MSH-7, 'UTC')",
            "PV1-2": "null",
            "PID-40": "null",
            "ZPI-1": "null",
            "MSH-8": "$file_name",
        }
    )
    assert (message["PID-5.1"], message["PID-5.2"]) == ("DOE", "DOE!"), "in the order that is written"
    assert (message["OBX-5"], message["PID-7"], message["MSH-7"]) == ("11.0", "197001", "20240701100000+0000")
    assert message["PV1-2"] == ""
    assert message["PID-40"] is None
    assert not message.segments("ZPI")
    assert message["MSH-8"] == "a.hl7"


def test_default_fills_in_what_is_absent_or_empty(mapped: Any) -> None:
    message = mapped(
        set={"PID-10": '""'}, default={"PID-2": "D", "PID-8": "D", "PID-10": "D", "PID-30": "D", "NTE[*]-2": "D"}
    )
    assert [message[path] for path in ("PID-2", "PID-8", "PID-10", "PID-30")] == ["D", "F", NULL, "D"]
    assert message["NTE[*]-2"] == ["D", "D"]


def test_remove_takes_away(mapped: Any) -> None:
    message = mapped(remove=["NTE[*]", "PID-3[1]", "PID-5.2", "OBX[2]-5", "ZZZ", "PID-50"])
    assert not message.segments("NTE")
    assert message.raw("PID-3") == b"0815^^^NHS"
    assert message["PID-5.2"] == ""
    assert not message["OBX[2]-5"]


def test_the_rules_run_in_their_order(mapped: Any) -> None:
    """copy, move, set, compute, default, each, remove: each sees what the ones before it did."""
    message = mapped(
        remove=["PID-14"],
        each=[{"in": "PID-12[*]", "do": {"set": {"PID-13": "each"}}}],
        default={"PID-12": "default", "PID-11": "default"},
        compute={"PID-11": "PID-10 & '+compute'"},
        set={"PID-10": "set", "PID-9": "set"},
        move={"PID-9": "PID-8"},
        copy={"PID-8": "PID-7", "PID-14": "PID-7", "PID-15": "PID-14"},
    )
    fields = {number: message[f"PID-{number}"] for number in range(8, 16)}
    assert fields == {
        8: "",
        9: "set",
        10: "set",
        11: "set+compute",
        12: "default",
        13: "each",
        14: "",
        15: "19700101",
    }


def test_when_decides_about_the_whole(mapped: Any, parsed: Message) -> None:
    assert bytes(mapped(when="MSH-9.1 == 'ORU'", set={"MSH-5": "X"})) == bytes(parsed)
    assert mapped(when="MSH-9.1 == 'ADT'", set={"MSH-5": "X"})["MSH-5"] == "X"


@pytest.mark.ledger_part("S2-123", "loop: rules for each segment and each repetition")
def test_each_goes_through_segments(mapped: Any) -> None:
    message = mapped(
        each=[
            {
                "in": "OBX[*]",
                "do": {
                    "set": {"OBX-11": "F"},
                    "compute": {"OBX-4": "$index & '/' & count(OBX[*]-1)", "OBX-6": "OBX[1]-3.1 & OBX-3.1"},
                },
            },
            {"in": "OBX[*]", "where": "OBX-2 == 'NM'", "do": {"set": {"OBX-8": "N"}, "copy": {"PV1-5": "OBX-5"}}},
        ]
    )
    assert message["OBX[*]-11"] == ["F", "F"]
    assert message["OBX[*]-4"] == ["1/2", "2/2"]
    assert message["OBX[*]-6"] == ["GLUGLU", "GLUHB"]
    assert message["OBX[*]-8"] == ["N", ""]
    assert message["PV1-5"] == "5.5"


@pytest.mark.ledger_part("S2-123", "loop: rules for each repetition")
def test_each_goes_through_repetitions(mapped: Any) -> None:
    message = mapped(
        each=[
            {
                "in": "PID-3[*]",
                "where": "PID-3.4 != 'NHS'",
                "do": {"set": {"PID-3.5": "PI"}, "compute": {"PID-3.1": "pad_left(PID-3.1, 6, '0')"}},
            }
        ]
    )
    assert message.raw("PID-3") == b"004711^^^MRN^PI~0815^^^NHS"


def test_loops_nest(make: Any) -> None:
    work = Work(b"MSH|^~\\&\rOBX|1||||a~b\rOBX|2||||c\r")
    make(
        Map,
        {
            "each": [
                {
                    "in": "OBX[*]",
                    "do": {
                        "each": [
                            {
                                "in": "OBX-5[*]",
                                "do": {"compute": {"OBX-5": "OBX-1 & $index & upper(OBX-5)"}},
                            }
                        ]
                    },
                }
            ]
        },
    ).run(work)
    assert work.body == b"MSH|^~\\&\rOBX|1||||11A~12B\rOBX|2||||21C\r"


def test_removing_the_segment_whose_turn_it_is(make: Any) -> None:
    work = Work(b"MSH|^~\\&\r" + b"".join(b"OBX|%d||%s\r" % (n, b"AB"[n % 2 : n % 2 + 1]) for n in range(1, 8)))
    make(
        Map,
        {
            "each": [
                {"in": "OBX[*]", "where": "OBX-3 == 'B'", "do": {"remove": ["OBX"]}},
                {"in": "OBX[*]", "do": {"compute": {"OBX-1": "$index"}}},
            ]
        },
    ).run(work)
    assert work.body == b"MSH|^~\\&\rOBX|1||A\rOBX|2||A\rOBX|3||A\r"


def test_removing_the_repetition_whose_turn_it_is(mapped: Any) -> None:
    message = mapped(each=[{"in": "PID-3[*]", "where": "PID-3.4 == 'MRN'", "do": {"remove": ["PID-3"]}}])
    assert message.raw("PID-3") == b"0815^^^NHS"


@pytest.mark.parametrize(
    ("rules", "most"), [({"set": {"OBX-2": "NM"}}, 10_000), ({"remove": ["OBX-1"]}, 1_000)], ids=["sets", "removes"]
)
def test_a_loop_is_bounded(make: Any, rules: dict[str, Any], most: int) -> None:
    step = make(Map, {"each": [{"in": "OBX[*]", "do": rules}]})
    step.run(Work(b"MSH|^~\\&\r" + b"OBX|1\r" * most))
    with pytest.raises(StepError, match=f"more than {most:,} of OBX"):
        step.run(Work(b"MSH|^~\\&\r" + b"OBX|1\r" * (most + 1)))


@pytest.mark.parametrize(
    ("values", "where", "reason"),
    [
        ({"set": {"MSH-1": "x"}}, "set.MSH-1", "declares the delimiters"),
        ({"set": {"PID": "x"}}, "set.PID", "is a segment"),
        ({"set": {"PID-": "x"}}, "set.PID-", "not an HL7 path"),
        ({"set": {"PID-1": 1}}, "set.PID-1", "string"),
        ({"put": {}}, "put", "not permitted"),
        ({"copy": {"PID-1": "PID-3[*]"}}, "copy.PID-1", "not one field"),
        ({"copy": {"PID-1": "x"}}, "copy.PID-1", "not an HL7 path"),
        ({"copy": {"PID-1": "PV1"}}, "copy.PID-1", "not one field"),
        ({"move": {"PID-1": "MSH-2"}}, "move.PID-1", "declares the delimiters"),
        ({"move": {"PID-1": "PID-3[*]"}}, "move.PID-1", "use each"),
        ({"remove": ["MSH"]}, "remove[0]", "declares the delimiters"),
        ({"compute": {"PID-1": "upper("}}, "compute.PID-1", "expected a value"),
        ({"compute": {"PID-1": "1 == 1"}}, "compute.PID-1", "not text or a number"),
        ({"compute": {"PID-1": "PID-3[*]"}}, "compute.PID-1", "not text or a number"),
        ({"when": "PID-3"}, "when", "not a condition"),
        ({"each": [{"in": "OBX", "do": {}}]}, "each[0].in", "each goes through"),
        ({"each": [{"in": "PID-3[*].1", "do": {}}]}, "each[0].in", "each goes through"),
        ({"each": [{"in": "OBX[*]-3[*]", "do": {}}]}, "each[0].in", "segments first"),
        ({"each": [{"in": "OBX[*]", "where": "1", "do": {}}]}, "each[0].where", "not a condition"),
        ({"each": [{"in": "OBX[*]", "do": {"set": {"X": ""}}}]}, "each[0].do.set.X", "not an HL7 path"),
        ({"each": [{"in": "OBX[*]"}]}, "each[0].do", "required"),
    ],
)
def test_what_is_no_map(make: Any, values: dict[str, Any], where: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        make(Map, values)
    assert caught.value.where == f"routes[r].steps[0].verb.{where}"


def test_loops_nest_three_deep_at_most(make: Any) -> None:
    rules: dict[str, Any] = {"set": {"PID-1": "x"}}
    for _ in range(4):
        rules = {"each": [{"in": "OBX[*]", "do": rules}]}
    with pytest.raises(ConfigError, match="at most 3 loops"):
        make(Map, rules)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"set": {"OBX[9]-5": "x"}}, "OBX[9]-5: the message has 2 OBX segments"),
        ({"set": {"PID-5": "ż"}}, "character set"),
        ({"copy": {"PID-5.1": "PID-3"}}, "PID-5.1"),
        ({"compute": {"PID-5": "PID-5.1 * 2"}}, "compute.PID-5: a value is no number"),
        ({"compute": {"PID-7": "with_offset('20240331023000')"}}, "Europe/Berlin skips"),
    ],
)
def test_what_cannot_be_done_is_the_messages_error(mapped: Any, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(StepError, match=re.escape(reason)) as caught:
        mapped(**values)
    assert "Doe" not in str(caught.value)


def test_a_finding_goes_with_the_message(make: Any, adt: Work) -> None:
    make(Map, {"compute": {"MSH-7": "with_offset('20241027023000')"}}).run(adt)
    assert adt.message["MSH-7"] == "20241027023000+0200"
    assert "happens twice" in adt.attributes["findings"]


@pytest.mark.ledger_part("S2-122", "test cases stored with the mapping, run and told where they fail")
def test_examples(make: Any) -> None:
    text = "MSH|^~\\&|A||B\nPID|1||4711^^^MRN~0815\n"
    step = make(
        Map,
        {
            "set": {"MSH-5": "X"},
            "compute": {"PID-5": "$name", "PID-6": "100 / PID-1"},
            "examples": [
                {
                    "input": text,
                    "attributes": {"name": "Doe"},
                    "expected": {"MSH-5": "X", "PID-5": "Doe", "PID-3[*].1": ["4711", "0815"], "PID-9": None},
                },
                {"input": text, "expected": "MSH|^~\\&|A||X\nPID|1||4711^^^MRN~0815|||100"},
                {"input": text, "expected": {"MSH-5": "Y", "PID-5": "Doe", "PID-x": ""}},
                {"input": text, "expected": "MSH|^~\\&|A||Y\n"},
                {"input": text.replace("PID|1", "PID|0"), "expected": ""},
                {"input": "PID|1", "expected": ""},
            ],
        },
    )
    found = step.examples()
    assert found[:2] == ["examples[2]: MSH-5 is 'X', not 'Y'", "examples[2]: PID-5 is '', not 'Doe'"]
    assert found[2].startswith("examples[2]: 'PID-x' is not an HL7 path")
    assert found[3] == "examples[3]: line 1 is 'MSH|^~\\\\&|A||X', not 'MSH|^~\\\\&|A||Y'"
    assert found[4] == "examples[3]: line 2 is 'PID|1||4711^^^MRN~0815|||100', not None"
    assert found[5] == "examples[4]: compute.PID-6: division by zero"
    assert found[6].startswith("examples[5]: MSH: no message header")
    assert len(found) == 7


def test_no_examples_fail_none(make: Any) -> None:
    assert make(Map, {"set": {"MSH-5": "X"}}).examples() == []
