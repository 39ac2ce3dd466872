"""A clean message has no finding; every planted fault is found, at its place, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.hl7v2 import AckError, Message
from hilum.formats.hl7v2.findings import RULES, Finding, ack_errors
from hilum.formats.hl7v2.validation import validate

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "validation.md"

ADT = (
    r"MSH|^~\&|HIS|WARD|LAB|CORE|20250130112600||ADT^A01^ADT_A01|MSG00001|P|2.5",
    "EVN|A01|202501301123",
    "PID|1||4711^^^MRN^MR~123456789^^^USSSA^SS||Doe^Jane^A||19610615|F|||1 Main St^^Town^NC^27401||^PRN^PH",
    "NK1|1|Doe^John|SPO",
    "PV1|1|I|2000^2012^01||||004777^Lebauer^Sidney|||SUR",
    "OBX|1|NM|8302-2^Height^LN||172.5|cm^^UCUM|||||F",
    "AL1|1|DA|70618^Penicillin",
    "DG1|1||I10^Hypertension^I10|||A",
)
ORU = (
    r"MSH|^~\&|LAB|CORE|HIS|WARD|20250130112600||ORU^R01^ORU_R01|MSG00002|P|2.5",
    "PID|1||4711^^^MRN^MR||Doe^Jane",
    "OBR|1|77^HIS|88^LAB|24331-1^Lipids^LN",
    "OBX|1|NM|2093-3^Cholesterol^LN||5.1|mmol/L^^UCUM|||||F",
    "OBX|2|NM|2093-3^Cholesterol^LN||5.2|mmol/L^^UCUM|||||F",
    "OBX|3|DT|X^Day^L||20250130~20250131||||||F",
)


def message(*segments: str) -> Message:
    return Message.parse("\r".join(segments).encode())


def changed(before: str, after: str, segments: tuple[str, ...] = ADT) -> Message:
    text = "\r".join(segments)
    assert text.count(before) == 1, before
    return Message.parse(text.replace(before, after).encode())


def places(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in found]


@pytest.mark.parametrize("segments", [ADT, ORU])
def test_a_clean_message_has_no_finding(segments: tuple[str, ...]) -> None:
    assert validate(message(*segments)) == []


@pytest.mark.ledger_part("S2-119", "thirteen kinds of faults are found by version and structure, at their place")
@pytest.mark.parametrize(
    ("before", "after", "path", "rule"),
    [
        (ADT[2] + "\r", "", "PID", "segment-missing"),
        ("|MSG00001|", "||", "MSH-10", "field-missing"),
        ("|F|||1 Main", "|X|||1 Main", "PID-8", "table-user"),
        ("PV1|1|I|", "PV1|1|Q|", "PV1-2", "table-user"),
        ("|P|2.5", "|X|2.5", "MSH-11", "table-hl7"),
        ("|F|||1 Main", "|F~M|||1 Main", "PID-8", "field-repeats"),
        ("^Penicillin", "^Penicillin^L^^^^^extra", "AL1-3.7", "component-unknown"),
        ("EVN|A01|202501301123", "EVN|A01|202501301123||||||x", "EVN-8", "field-unknown"),
        ("|MSG00001|", "|MSG00001-0123456789012|", "MSH-10", "field-length"),
        ("|19610615|", "|19801399|", "PID-7", "data-type"),
        ("PID|1|", "PID|one|", "PID-1", "data-type"),
        ("\r".join(ADT[6:8]), "\r".join((ADT[7], ADT[6])), "AL1", "segment-order"),
        (ADT[7], ADT[7] + "\rXYZ|1", "XYZ", "segment-unknown"),
    ],
    ids=[
        "missing segment", "missing field", "table 0001", "table 0004", "table 0103", "repetition",
        "extra component", "unknown field", "too long", "bad date", "SI", "order", "unknown segment",
    ],
)  # fmt: skip
def test_a_planted_fault_is_the_only_finding(before: str, after: str, path: str, rule: str) -> None:
    found = validate(changed(before, after))
    assert places(found) == [(path, rule)]
    assert found[0].severity == RULES[rule].severity


@pytest.mark.ledger_part("S2-119", "errors name segment, field and component")
@pytest.mark.parametrize(
    ("before", "after", "path", "rule"),
    [
        ("20250130~20250131", "20250130~20250229", "OBX[3]-5[2]", "data-type"),
        ("||5.2|", "||high|", "OBX[2]-5", "data-type"),
        ("OBX|2|NM|", "OBX|2||", "OBX[2]-2", "value-type-missing"),
        ("OBX|2|NM|", "OBX|2|QQ|", "OBX[2]-2", "table-hl7"),
        ("PID|1||4711^^^MRN^MR|", "PID|1||4711^^^MRN&1.2&QQ^MR|", "PID-3.4.3", "table-hl7"),
        ("PID|1||4711^^^MRN^MR|", "PID|1||4711^^^MRN^MR^^soon|", "PID-3.7", "data-type"),
        ("|24331-1^Lipids^LN", "|", "OBR-4", "field-missing"),
        ("|77^HIS|88^LAB|", "|77^HIS|88^LAB&x|", "OBR-3.2.2", "component-unknown"),
        ("Doe^Jane", "Doe^Jane\x01", "PID-5", "control-character"),
        ("|20250130112600|", "|20250130112600+2500|", "MSH-7", "data-type"),
        ("|24331-1^Lipids^LN", "|24331-1^Lipids^LN" + "|" * 23 + "two&ml^Q1H", "OBR-27.1.1", "data-type"),
        (
            "|24331-1^Lipids^LN",
            "|24331-1^Lipids^LN" + "|" * 23 + "2&ml~2^^^soon",
            "OBR-27[2].4",
            "data-type",
        ),
    ],
)
def test_a_fault_inside_a_field_has_its_place(before: str, after: str, path: str, rule: str) -> None:
    assert places(validate(changed(before, after, ORU))) == [(path, rule)]


def test_the_null_is_a_value() -> None:
    assert validate(changed("|MSG00001|", '|""|')) == []
    assert validate(changed("|19610615|", '|""|')) == []


def test_z_segments_may_stand_anywhere() -> None:
    assert validate(message(ADT[0], "ZAA|x", *ADT[1:], "ZZZ|1|2")) == []


def test_texts_never_contain_a_value_of_the_message() -> None:
    canary = "CANARY7"
    text = "\r".join(ADT).replace("19610615", canary).replace("|F|||", f"|{canary}|||")
    found = validate(Message.parse(text.replace("PV1|1|I", f"PV1|{canary}|{canary}").encode()))
    assert {one.path for one in found} >= {"PID-7", "PID-8", "PV1-1", "PV1-2"}
    assert all(canary not in one.text for one in found)


def test_bytes_that_are_not_of_the_character_set() -> None:
    found = validate(Message.parse("\r".join(ADT).encode().replace(b"Doe^John", b"D\xffe^John")))
    assert places(found) == [("NK1-2", "encoding")]


@pytest.mark.parametrize(
    ("version", "rule"),
    [("2.7.1", "version-nearest"), ("2.9", "version-nearest"), ("3.0", "version-unknown"), ("2.5", None)],
)
def test_the_version(version: str, rule: str | None) -> None:
    found = validate(changed("|P|2.5", f"|P|{version}"))
    assert [one.rule for one in found if one.path == "MSH-12"] == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("header", "path", "rule"),
    [
        ("ADT^A01^ADT_A05", "MSH-9.3", "structure-mismatch"),
        ("ADT^X99", "MSH-9.2", "event-unknown"),
        ("ADT", "MSH-9.2", "event-unknown"),
        ("ABC^A01", "MSH-9.1", "message-type-unknown"),
        ("ZDT^Z01", "MSH-9.1", "message-local"),
        ("ADT^Z01", "MSH-9.2", "message-local"),
        ("ADT^R01", "MSH-9", "structure-unknown"),
    ],
)
def test_the_message_type(header: str, path: str, rule: str) -> None:
    assert (path, rule) in places(validate(changed("ADT^A01^ADT_A01", header)))


def test_an_event_finds_its_structure_without_msh_9_3() -> None:
    assert places(validate(message(ADT[0].replace("ADT^A01^ADT_A01", "ADT^A04"), *ADT[1:4]))) == [
        ("PV1", "segment-missing")
    ]


def test_a_code_of_a_later_version_is_told_apart() -> None:
    found = validate(changed("PID|1||4711^^^MRN^MR|", "PID|1||4711^^^MRN&1.2&CLIA^MR|", ORU))
    assert [(one.path, one.rule, one.severity) for one in found] == [("PID-3.4.3", "table-later", "info")]


def test_a_code_of_another_coding_system_is_not_looked_up() -> None:
    assert validate(changed("NK1|1|Doe^John|SPO", "NK1|1|Doe^John|17^Aunt^LOCAL")) == []
    found = validate(changed("NK1|1|Doe^John|SPO", "NK1|1|Doe^John|17^Aunt^HL70063"))
    assert places(found) == [("NK1-3.1", "table-user")]


def test_an_escape_sequence_counts_as_what_it_stands_for() -> None:
    assert validate(changed("|MSG00001|", "|" + "\\T\\" * 20 + "|")) == []
    assert places(validate(changed("|MSG00001|", "|\\T\\" + "a" * 20 + "|"))) == [("MSH-10", "field-length")]


def test_the_user_parameters_of_a_query_are_free() -> None:
    query = message(
        r"MSH|^~\&|A|B|C|D|20250130||QBP^Q22^QBP_Q21|1|P|2.5",
        "QPD|IHE PDQ^Query^IHE|Q1|@PID.3.1^4711~@PID.8^F|more|and more",
        "RCP|I",
    )
    assert validate(query) == []


def test_a_field_withdrawn_in_its_version() -> None:
    text = "PID|1|old|4711^^^MRN^MR||Doe^Jane"
    found = validate(message(ORU[0].replace("|2.5", "|2.7"), text, *ORU[2:]))
    assert ("PID-2", "field-withdrawn") in places(found)


def test_errors_become_err_segments() -> None:
    text = "\r".join(ADT[:2] + ADT[3:]).replace("|MSG00001|", "||").replace("PV1|1|I", "PV1|x|Q")
    found = validate(Message.parse((text + "\rXYZ|1\rx y|1").encode()))
    errors = ack_errors(found)
    assert {(one.code, one.severity, one.location) for one in errors} == {
        ("100", "E", "PID"),
        ("101", "E", "MSH-10"),
        ("102", "E", "PV1-1"),
        ("100", "E", "XYZ"),
        ("100", "E", None),
    }
    assert all(one.text for one in errors)
    assert ack_errors([]) == []
    assert AckError("100", "E", "PID", "ADT_A01: Patient Identification is required") in errors
    assert any(one.severity == "warning" for one in found)


def test_the_documented_rules_are_those_that_are_checked() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (\d+) \| (.+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == [(name, rule.severity, rule.code, rule.text) for name, rule in RULES.items()]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["2.1", "2.3", "2.5.1", "2.8.2", "", "x"]))
def test_garbage_never_raises(tail: bytes, version: str) -> None:
    header = rf"MSH|^~\&|A|B|C|D|2025||ADT^A01|1|P|{version}".encode()
    for data in (header + b"\rPID|" + tail, header + b"\r" + tail, b"MSH" + tail):
        try:
            parsed = Message.parse(data)
        except FormatError:
            continue
        for one in validate(parsed):
            assert one.rule in RULES
        ack_errors(validate(parsed))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutilated_message_never_raises(data: st.DataObject) -> None:
    raw = bytearray("\r".join(data.draw(st.sampled_from([ADT, ORU]))).encode())
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(9, len(raw) - 1))
        raw[at] = data.draw(st.sampled_from(b'|^~\\&\r"PIDMSHOBX0\x00\xff'))
    for one in validate(Message.parse(bytes(raw))):
        assert one.rule in RULES
        assert one.text
