from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import Issue, Message


def message(name: bytes, surname: bytes, charset: str | None = None) -> Message:
    """A message that declares `name` in MSH-18 and has `surname` in PID-5.1."""
    header = b"MSH|^~\\&|LAB|||||||1|P|2.5||||||" + name
    return Message.parse(header + b"\rPID|1||||" + surname + b"^Jane\r", charset=charset)


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        (b"ASCII", b"Doe", "Doe"),
        (b"8859/1", b"M\xfcller", "Müller"),
        (b"8859/2", b"\xbbak", "ťak"),
        (b"8859/15", b"\xa4", "€"),
        (b"UNICODE UTF-8", "Żółć".encode(), "Żółć"),
        (b"UTF-8", "Żółć".encode(), "Żółć"),
        (b"iso-8859-1", b"M\xfcller", "Müller"),
        (b"KS X 1001", "홍길동".encode("euc_kr"), "홍길동"),
        (b"8859/1~UNICODE UTF-8", b"M\xfcller", "Müller"),
        (b"", "Żółć".encode(), "Żółć"),
    ],
)
@pytest.mark.ledger_part("S2-119", "character sets")
def test_msh_18_says_how_text_is_read_and_written(name: bytes, raw: bytes, text: str) -> None:
    found = message(name, raw)
    assert found["PID-5.1"] == text
    assert found.segments("PID")[0]["5.1"] == text
    found.set("PID-6.1", text)
    assert found.raw("PID-6.1") == raw
    assert Message.parse(bytes(found))["PID-6.1"] == text


@pytest.mark.parametrize(
    ("name", "codec"), [(b"8859/1", "iso8859-1"), (b"", "utf-8"), (b"BIG-5", "utf-8"), (b"ASCII", "ascii")]
)
def test_the_codec_is_told(name: bytes, codec: str) -> None:
    assert message(name, b"Doe").charset == codec


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        (b"UNICODE UTF-8", b"M\xfcller", "byte 0xFC is not utf-8"),
        (b"ASCII", "Mü".encode(), "byte 0xC3 is not ascii"),
        (b"8859/3", b"a\xa5", "byte 0xA5 is not iso8859-3"),
        (b"KS X 1001", b"\xfe\xfe\x80", "byte 0x80 is not euc_kr"),
    ],
)
def test_an_undecodable_byte_is_recorded_and_kept(name: bytes, raw: bytes, reason: str) -> None:
    found = message(name, raw)
    data = bytes(found)
    text = found["PID-5.1"]
    assert isinstance(text, str)
    assert found.issues[0].segment == "PID"
    assert found.issues[0].field == 5
    if name != b"KS X 1001":
        assert found.issues == [Issue("PID", 5, reason)]
    found.set("PID-5.1", text)
    assert bytes(found) == data
    found.set("PID-6", text)
    assert found.raw("PID-6") == raw


def test_an_undecodable_byte_of_the_header_is_numbered_as_the_standard_does() -> None:
    found = Message.parse(b"MSH|^~\\&|L\xe9B|||||||1|P|2.5||||||ASCII")
    assert found.issues == [Issue("MSH", 3, "byte 0xE9 is not ascii")]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (b"ASCII", "ż", "PID-5.1: 'ż' is not in the message's character set, ascii"),
        (b"", "ż", "PID-5.1: 'ż' is not in the message's character set, ascii"),
        (b"BIG-5", "ż", "PID-5.1: 'ż' is not in the message's character set, ascii"),
        (b"8859/1", "Żaba", "PID-5.1: 'Ż' is not in the message's character set, iso8859-1"),
        (b"UNICODE UTF-8", "a\ud800", "PID-5.1: '\\\\ud800' is not in the message's character set, utf-8"),
    ],
)
def test_a_character_that_does_not_fit_is_refused(name: bytes, text: str, reason: str) -> None:
    found = message(name, b"Doe")
    before = bytes(found)
    with pytest.raises(ValueError, match=reason):
        found.set("PID-5.1", text)
    with pytest.raises(ValueError, match=reason):
        found.set_raw("PID-5.1", text)
    assert bytes(found) == before


def test_without_msh_18_text_is_ascii_unless_other_bytes_came() -> None:
    found = message(b"", "Müller".encode())
    assert found.issues == [Issue("MSH", 18, "no character set is given, which means ASCII; read as UTF-8")]
    found.set("PID-6", "Żaba")
    assert found["PID-6"] == "Żaba"


def test_an_unsupported_set_is_recorded() -> None:
    found = message(b"GB 18030-2000", b"Doe")
    assert found.issues == [Issue("MSH", 18, "character set GB 18030-2000 is not supported; read as UTF-8")]


def test_the_caller_goes_before_msh_18() -> None:
    found = message(b"UNICODE UTF-8", b"M\xfcller", charset="8859/1")
    assert found["PID-5.1"] == "Müller"
    assert found.issues == []
    found.set("MSH-18", "ASCII")
    found.set("PID-6", "é")
    assert found.copy().raw("PID-6") == b"\xe9"
    with pytest.raises(ValueError, match="'klingon' is not a character set"):
        message(b"", b"Doe", charset="klingon")


def test_a_new_msh_18_holds_for_what_is_set_afterwards() -> None:
    found = message(b"ASCII", b"Doe")
    assert found["PID-5.1"] == "Doe"
    found.set("MSH-18", "UNICODE UTF-8")
    found.set("PID-5.1", "Żaba")
    assert found.raw("PID-5.1") == "Żaba".encode()


@given(st.sampled_from([b"ASCII", b"8859/1", b"8859/7", b"UNICODE UTF-8", b""]), st.binary(max_size=12))
def test_any_byte_survives_being_read_and_set(name: bytes, raw: bytes) -> None:
    raw = raw.translate(None, b"|^~\\&\r\n\x0b\x1c")
    found = message(name, raw)
    data = bytes(found)
    found.set("PID-5.1", found.get("PID-5.1"))
    assert bytes(found) == data
