"""A site profile tightens and relaxes, and says where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.errors import ConfigError
from hilum.formats.hl7v2 import Message
from hilum.formats.hl7v2.profile import Profile
from hilum.formats.hl7v2.validation import validate

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "validation.md"

ADT = (
    r"MSH|^~\&|HIS|WARD|LAB|CORE|20250130112600||ADT^A01^ADT_A01|MSG00001|P|2.5",
    "EVN|A01|202501301123",
    "PID|1||4711^^^MRN^MR~0815||Doe^Jane^A||19610615|F|||1 Main St^^Town^NC^27401||^PRN^PH",
    "PV1|1|I|2000^2012^01",
    "ZPI|1|12|x",
)


def check(profile: str, *changes: tuple[str, str]) -> list[tuple[str, str, str]]:
    text = "\r".join(ADT)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    found = validate(Message.parse(text.encode()), Profile.load(profile))
    return [(one.path, one.rule, one.severity) for one in found]


def test_an_empty_profile_changes_nothing() -> None:
    assert check("{}") == []
    assert check("{}", ("|F|||", "|X|||")) == [("PID-8", "table-user", "warning")]


@pytest.mark.parametrize(
    ("profile", "finding"),
    [
        ("fields: {PID-3.4: {required: true}}", ("PID-3[2].4", "component-missing", "warning")),
        ("fields: {PID-14: {required: true}}", ("PID-14", "field-missing", "error")),
        ("fields: {PV1-44: {required: true}}", ("PV1-44", "field-missing", "error")),
        ("fields: {PID-5.1: {length: 2}}", ("PID-5.1", "component-length", "warning")),
        ("fields: {MSH-10: {length: 7}}", ("MSH-10", "field-length", "warning")),
        ("fields: {PID-3: {repeats: 1}}", ("PID-3", "field-repeats", "error")),
        ("fields: {PID-8: {table: [M, U]}}", ("PID-8", "table-profile", "error")),
        ("fields: {PV1-3.1: {table: ['1000']}}", ("PV1-3.1", "table-profile", "error")),
        ("fields: {PID-7: {pattern: '19[0-5][0-9]{5}'}}", ("PID-7", "pattern", "error")),
        ("fields: {ZPI-3: {datatype: NM}}", ("ZPI-3", "data-type", "error")),
        ("segments: {forbid: ['Z*']}", ("ZPI", "segment-forbidden", "error")),
        ("segments: {require: [PV2]}", ("PV2", "segment-missing", "error")),
    ],
)
def test_a_profile_tightens(profile: str, finding: tuple[str, str, str]) -> None:
    assert check(profile) == [finding]


@pytest.mark.parametrize(
    "profile",
    [
        "fields: {PID-3.4: {required: true, severity: {component-missing: 'off'}}}",
        "fields: {PID-5: {required: true, length: 250, repeats: 1, pattern: 'Doe.*'}}",
        "fields: {PID-8: {table: [F]}, PV1-2: {table: [I]}, PID-13: {required: true}}",
        "fields: {ZPI-2: {datatype: NM, required: true}}",
        "segments: {require: ['Z*'], allow: [ZPI]}",
    ],
)
def test_a_profile_that_is_met(profile: str) -> None:
    assert check(profile) == []


@pytest.mark.parametrize(
    ("profile", "change"),
    [
        ("severity: {table-user: 'off'}", ("|F|||", "|X|||")),
        ("fields: {PID-8: {severity: {table-user: 'off'}}}", ("|F|||", "|X|||")),
        ("fields: {PID-8: {table: [X]}}", ("|F|||", "|X|||")),
        ("ignore: [PID-8]", ("|F|||", "|X|||")),
        ("ignore: [PID]", ("|F|||", "|X|||")),
        ("fields: {MSH-10: {required: false}}", ("|MSG00001|", "||")),
        ("fields: {MSH-10: {length: 40}}", ("|MSG00001|", "|" + "m" * 36 + "|")),
        ("fields: {PID-8: {repeats: 2}}", ("|F|||", "|F~M|||")),
        ("fields: {PID-1: {datatype: ST}}", ("PID|1|", "PID|one|")),
        ("segments: {allow: [OBR]}", ("\rZPI", "\rOBR|1|||X\rZPI")),
        ("severity: {segment-missing: 'off'}", ("EVN|A01|202501301123\r", "")),
        ("version: '2.5'", ("|P|2.5", "|P|9.9")),
    ],
)
def test_a_profile_relaxes(profile: str, change: tuple[str, str]) -> None:
    assert check("{}", change) != []
    assert check(profile, change) == []


def test_the_nearest_path_decides_the_severity() -> None:
    text = "severity: {table-user: info}\nfields: {PID-8: {severity: {table-user: error}}}"
    changes = (("|F|||", "|X|||"), ("PV1|1|I", "PV1|1|Q"))
    assert check(text, *changes) == [("PID-8", "table-user", "error"), ("PV1-2", "table-user", "info")]


def test_a_path_covers_what_is_below_it_and_no_more() -> None:
    assert check("ignore: [PID-1]", ("|F|||", "|X|||")) == [("PID-8", "table-user", "warning")]
    assert check("ignore: [PID-3]", ("^MR~", "^MR^^soon~")) == []
    assert check("ignore: [PID-3.7]", ("~0815", "~0815^^^^^^soon")) == []


def test_what_is_null_is_not_checked_further() -> None:
    profile = "fields: {PID-8: {required: true, table: [M], pattern: 'M', length: 1}}"
    assert check(profile, ("|F|||", '|""|||')) == []


def test_the_documented_example_can_be_loaded() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    profile = Profile.load(blocks[0])
    assert profile.fields["PID-8"].table == ("F", "M", "U")
    assert profile.severity == {"table-user": "info", "field-withdrawn": "off"}
    found = validate(Message.parse("\r".join(ADT).encode()), profile)
    assert {one.path for one in found} == {"PV2", "PID-3[2].4"}


@pytest.mark.parametrize(
    ("profile", "where"),
    [
        ("[]", ""),
        ("a: [", ""),
        ("colour: red", "colour"),
        ("severity: {no-such-rule: error}", "severity.no-such-rule"),
        ("severity: {table-user: fatal}", "severity.table-user"),
        ("fields: {PID: {required: true}}", "fields.PID"),
        ("fields: {'PID-3[2]': {required: true}}", "fields.PID-3[2]"),
        ("fields: {pid-3: {required: true}}", "fields.pid-3"),
        ("fields: {PID-8: {table: [F, NO]}}", "fields.PID-8.table[1]"),
        ("fields: {PID-8: {length: 0}}", "fields.PID-8.length"),
        ("fields: {PID-8: {length: '8'}}", "fields.PID-8.length"),
        ("fields: {PID-8: {pattern: '('}}", "fields.PID-8.pattern"),
        (r"fields: {PID-8: {pattern: '(a)\1'}}", "fields.PID-8.pattern"),
        ("fields: {PID-8: {max: 1}}", "fields.PID-8.max"),
        ("ignore: ['PID[2]']", "ignore[0]"),
        ("segments: {forbid: [z]}", "segments.forbid[0]"),
        ("version: '3'", "version"),
    ],
)
def test_a_wrong_profile_says_where(profile: str, where: str) -> None:
    with pytest.raises(ConfigError) as error:
        Profile.load(profile)
    assert error.value.where == where
    assert error.value.reason


def test_no_pattern_hangs() -> None:
    profile = "fields: {PID-5.1: {pattern: '(a+)+b'}}"
    assert check(profile, ("|Doe^", "|" + "a" * 40 + "^")) == [("PID-5.1", "pattern", "error")]


def test_bytes_that_cannot_be_read_match_no_pattern_of_letters() -> None:
    raw = "\r".join(ADT).encode().replace(b"|Doe^", b"|D\xffe^")
    profile = Profile.load("fields: {PID-5.1: {pattern: '[A-Za-z]+'}}")
    found = {(one.path, one.rule) for one in validate(Message.parse(raw), profile)}
    assert found == {("PID-5", "encoding"), ("PID-5.1", "pattern")}


def test_every_key_is_described() -> None:
    schema = Profile.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        assert all("description" in one for one in part["properties"].values())
