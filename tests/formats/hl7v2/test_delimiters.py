from __future__ import annotations

import pytest

from hilum.errors import FormatError
from hilum.formats.hl7v2 import Delimiters, Issue, Message


def read(encoding: bytes, separator: bytes = b"|") -> Delimiters:
    return Message.parse(b"MSH" + separator + encoding + separator + b"LAB").delimiters


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (b"^~\\&", (b"^", b"~", b"\\", b"&", b"")),
        (b"^~\\&#", (b"^", b"~", b"\\", b"&", b"#")),
        (b"!@%*", (b"!", b"@", b"%", b"*", b"")),
        (b"^~\\", (b"^", b"~", b"\\", b"", b"")),
        (b"^~", (b"^", b"~", b"", b"", b"")),
        (b"^", (b"^", b"", b"", b"", b"")),
    ],
)
def test_delimiters_are_those_of_msh_2(encoding: bytes, expected: tuple[bytes, ...]) -> None:
    found = read(encoding)
    assert (found.component, found.repetition, found.escape, found.subcomponent, found.truncation) == expected
    assert found.issues == ()


def test_the_field_separator_is_that_of_msh_1() -> None:
    assert read(b"!@%*", b"#").field == b"#"


@pytest.mark.parametrize(
    ("encoding", "expected", "reason"),
    [
        (b"", (b"^", b"~", b"\\", b"&", b""), "no encoding characters"),
        (b"^~\\\\&", (b"^", b"~", b"\\", b"&", b""), "doubled"),
        (b"&&&&", (b"&", b"", b"", b"", b""), "character 2 has another role"),
        (b"^~\\&#$", (b"^", b"~", b"\\", b"&", b"#"), "more than five"),
        (b"^~\\&9", (b"^", b"~", b"\\", b"&", b""), "truncation character"),
    ],
)
def test_odd_encoding_characters_are_recorded(encoding: bytes, expected: tuple[bytes, ...], reason: str) -> None:
    found = read(encoding)
    assert (found.component, found.repetition, found.escape, found.subcomponent, found.truncation) == expected
    issues = Message.parse(b"MSH|" + encoding + b"|LAB").issues
    assert any(reason in issue.reason and (issue.segment, issue.field) == ("MSH", 2) for issue in issues)


def test_recommended_characters_leave_out_the_field_separator() -> None:
    assert read(b"", b"^").component == b"~"


@pytest.mark.parametrize("data", [b"MSH", b"MSH\r", b"MSH ^~\\&", b"MSHA^~\\&AX", b"MSH\x01^~\\&", b"MSH\xe9^~\\&"])
def test_a_field_separator_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        Message.parse(data)
    assert (caught.value.segment, caught.value.field) == ("MSH", 1)


@pytest.mark.parametrize("encoding", [b"LAB", b"^ \\&", b"^~\xe9&", b"^~\\\x01"])
def test_encoding_characters_that_cannot_be_read_are_refused(encoding: bytes) -> None:
    with pytest.raises(FormatError, match="MSH-2: the encoding characters cannot be read"):
        read(encoding)


def test_a_clean_message_has_no_issue() -> None:
    assert Message.parse(b"MSH|^~\\&|LAB\rPID|1\r").issues == []


def test_issues_name_lines_that_are_no_segments() -> None:
    message = Message.parse(b"MSH|^~\\&|LAB\rsome text\r\rPID|1\rMSH|^~\\&|LAB\rPIDX|1")
    assert message.issues == [
        Issue("", None, "line 2 does not begin with a segment name"),
        Issue("", None, "line 3 is empty"),
        Issue("MSH[2]", None, "a second message header; several messages are read as a batch"),
        Issue("", None, "line 6 does not begin with a segment name"),
    ]
