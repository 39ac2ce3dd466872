from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import NULL, Message, Null
from hilum.formats.hl7v2.escape import unescape

PUNCTUATION = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isalnum()]


def message(value: bytes = b"", encoding: bytes = b"^~\\&", charset: bytes = b"UNICODE UTF-8") -> Message:
    """A message whose NTE-3 is `value`."""
    header = b"MSH|" + encoding + b"|LAB||||||||P||||||" + charset
    return Message.parse(header.replace(b"P||||||", b"|P|2.7||||||") + b"\rNTE|1||" + value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"AT\\T\\T", "AT&T"),
        (b"\\F\\\\S\\\\T\\\\R\\\\E\\", "|^&~\\"),
        (b"\\X41\\", "A"),
        (b"\\X41C3A9\\", "Aé"),
        (b"\\X0d0A\\", "\r\n"),
        (b"one\\.br\\two", "one\ntwo"),
        (b"\\H\\bold\\N\\", "\\H\\bold\\N\\"),
        (b"\\.sp2\\\\.in+4\\", "\\.sp2\\\\.in+4\\"),
        (b"\\C2842\\\\M1B2442\\\\Z01\\", "\\C2842\\\\M1B2442\\\\Z01\\"),
        (b"\\H\\F\\N\\", "\\H\\F\\N\\"),
        (b"C:\\dir\\S\\x", "C:\\dir^x"),
        (b"\\X4\\", "\\X4\\"),
        (b"\\XZZ\\", "\\XZZ\\"),
        (b"\\foo\\", "\\foo\\"),
        (b"ends with \\", "ends with \\"),
        (b"\\P\\", "\\P\\"),
        (b"\\\\", "\\\\"),
    ],
)
def test_escape_sequences_are_read(raw: bytes, text: str) -> None:
    assert message(raw)["NTE-3"] == text


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("AT&T", b"AT\\T\\T"),
        ("|^&~\\", b"\\F\\\\S\\\\T\\\\R\\\\E\\"),
        ("one\ntwo", b"one\\.br\\two"),
        ("one\r\ntwo", b"one\\X0D\\\\.br\\two"),
        ("\x0b\x1c", b"\\X0B\\\\X1C\\"),
        ("\\H\\bold\\N\\", b"\\H\\bold\\N\\"),
        ("\\F\\", b"\\E\\F\\E\\"),
        ("\\.br\\", b"\\E\\.br\\E\\"),
        ("a # b", b"a # b"),
    ],
)
def test_values_are_escaped(text: str, raw: bytes) -> None:
    found = message()
    found.set("NTE-3", text)
    assert found.raw("NTE-3") == raw
    assert found["NTE-3"] == text


def test_a_truncation_character_is_escaped_at_the_end_alone() -> None:
    found = message(encoding=b"^~\\&#")
    found.set("NTE-3", "no #1 and #")
    assert found.raw("NTE-3") == b"no #1 and \\P\\"
    assert found["NTE-3"] == "no #1 and #"


def test_a_format_command_that_holds_a_delimiter_is_not_kept() -> None:
    found = message(encoding=b"+~\\&")
    found.set("NTE-3", "\\.in+4\\")
    assert found.raw("NTE-3") == b"\\E\\.in\\S\\4\\E\\"
    assert found["NTE-3"] == "\\.in+4\\"


def test_a_line_feed_is_hexadecimal_where_the_point_is_a_delimiter() -> None:
    found = message(encoding=b".~\\&")
    found.set("NTE-3", "a\nb")
    assert found.raw("NTE-3") == b"a\\X0A\\b"


def test_a_value_with_parts_is_left_as_it_is() -> None:
    found = message(b"J \\T\\ J^2")
    assert found["NTE-3"] == "J \\T\\ J^2"
    assert found["NTE-3.1"] == "J & J"


@pytest.mark.parametrize("encoding", [b"^~", b"^"])
def test_without_an_escape_character_a_delimiter_cannot_be_set(encoding: bytes) -> None:
    found = message(encoding=encoding)
    found.set("NTE-3", "back\\slash & more")
    assert found["NTE-3"] == "back\\slash & more"
    before = bytes(found)
    with pytest.raises(ValueError, match=r"NTE-3: the message declares no escape character"):
        found.set("NTE-3", "a^b")
    assert bytes(found) == before


def test_unescape_leaves_what_has_no_escape_character() -> None:
    delimiters = message(encoding=b"^~").delimiters
    assert unescape(b"\\F\\", delimiters) == b"\\F\\"
    assert unescape(b"\\F\\", message().delimiters) == b"|"


def test_null_is_neither_empty_nor_text() -> None:
    assert message(b'""')["NTE-3"] is NULL
    assert NULL is Null.NULL
    assert not NULL
    assert str(NULL) == '""'
    assert repr(NULL) == "NULL"
    assert message(b'"x"')["NTE-3"] == '"x"'


@pytest.mark.ledger_part("S2-119", "escapes in both directions, with any delimiters")
@given(st.lists(st.sampled_from(PUNCTUATION), min_size=6, max_size=6, unique=True), st.text())
def test_any_text_is_read_back_with_any_delimiters(marks: list[str], text: str) -> None:
    separator, encoding = marks[0], "".join(marks[1:])
    data = f"MSH{separator}{encoding}{separator * 16}UTF8\rNTE{separator}1\rZZZ{separator}last"
    found = Message.parse(data.encode())
    try:
        found.set("NTE-3.2.2", text)
    except ValueError:
        assert any(0xD800 <= ord(char) <= 0xDFFF for char in text)
        return
    again = Message.parse(bytes(found))
    assert again["NTE-3.2.2"] == (NULL if text == '""' else text)
    assert again["ZZZ-1"] == "last"
    assert len(again.segments()) == 3


@given(st.binary())
def test_any_bytes_are_read_and_set_again_as_they_mean(raw: bytes) -> None:
    raw = raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"|", b"").replace(b"~", b"")
    found = message(raw.replace(b"^", b"").replace(b"&", b""))
    text = found["NTE-3"]
    assert isinstance(text, (str, Null))
    found.set("NTE-3", text)
    assert found["NTE-3"] == text
