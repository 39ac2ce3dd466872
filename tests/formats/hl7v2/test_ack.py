from __future__ import annotations

import pytest

from hilum.formats.hl7v2 import AckError, Message


def received(
    version: bytes = b"2.5.1",
    *,
    kind: bytes = b"ADT^A01^ADT_A01",
    charset: bytes = b"",
    control: bytes = b"N1",
) -> Message:
    header = b"MSH|^~\\&|REG|NORTH^1.2^ISO|LAB|CENTRAL|20261122||%b|%b|T|%b|7||AL|NE||%b"
    return Message.parse(header % (kind, control, version, charset) + b"\nPID|1\n")


def answer(message: Message, code: str = "AA", text: str | None = None, *errors: AckError) -> list[bytes]:
    """The lines of the acknowledgment."""
    data = message.ack(code, text, errors, control_id="H1", timestamp="20261122093012")
    assert data.endswith(b"\r")
    assert Message.parse(data).issues == []
    return data.split(b"\r")[:-1]


def test_an_acknowledgment_goes_back_to_the_sender() -> None:
    assert answer(received()) == [
        b"MSH|^~\\&|LAB|CENTRAL|REG|NORTH^1.2^ISO|20261122093012||ACK^A01^ACK|H1|T|2.5.1",
        b"MSA|AA|N1",
    ]


@pytest.mark.parametrize(
    ("version", "kind", "expected"),
    [
        (b"2.1", b"ADT^A01", b"ACK"),
        (b"2.2", b"ADT^A01", b"ACK"),
        (b"2.3", b"ADT^A01", b"ACK^A01"),
        (b"2.3.1", b"ADT^A01", b"ACK^A01^ACK"),
        (b"2.4", b"ADT^A01^ADT_A01", b"ACK^A01^ACK"),
        (b"2.8.2", b"ADT^A01^ADT_A01", b"ACK^A01^ACK"),
        (b"2.4^USA", b"ADT^A01", b"ACK^A01^ACK"),
        (b"", b"ADT^A01", b"ACK^A01^ACK"),
        (b"2.5", b"QRY", b"ACK"),
        (b"2.5", b"", b"ACK"),
    ],
)
def test_the_type_follows_the_version(version: bytes, kind: bytes, expected: bytes) -> None:
    header = answer(received(version, kind=kind))[0].split(b"|")
    assert header[8] == expected
    assert header[11] == version


def test_the_control_id_is_repeated_byte_for_byte() -> None:
    assert answer(received(control=b"N\\T\\1^\xff", charset=b"8859/1"))[1] == b"MSA|AA|N\\T\\1^\xff"
    assert answer(received(control=b""))[1] == b"MSA|AA|"


def test_text_is_escaped_in_the_character_set_of_the_sender() -> None:
    lines = answer(received(charset=b"8859/1"), "AE", "Müller | Żaba")
    assert lines[0].endswith(b"|T|2.5.1||||||8859/1")
    assert lines[1] == b"MSA|AE|N1|M\xfcller \\F\\ ?aba"
    assert answer(received(), "AR", "ż")[1] == b"MSA|AR|N1|?"


def test_delimiters_are_those_of_the_sender() -> None:
    message = Message.parse(b"MSH#!@%*#REG#N#LAB#C###ADT!A04#7#P#2.5")
    error = AckError("101", location="PID-3", text="a#b")
    data = message.ack("AE", "a!b", [error], control_id="H#1", timestamp="2026")
    assert data == (
        b"MSH#!@%*#LAB#C#REG#N#2026##ACK!A04!ACK#H%F%1#P#2.5\rMSA#AE#7#a%S%b\r"
        b"ERR##PID!1!3#101!Required field missing!HL70357#E####a%F%b\r"
    )


def test_a_message_without_escape_character_is_answered() -> None:
    message = Message.parse(b"MSH|^|REG|N|LAB|C|||ADT^A04|7|P|2.3")
    errors = [AckError("101", location="PID-3"), AckError("102")]
    data = message.ack("AE", "a|b", errors, control_id="H1", timestamp="2026")
    assert data.split(b"\r")[1:3] == [b"MSA|AE|7|a b", b"ERR|PID^1^3^101"]


def test_a_short_header_is_answered() -> None:
    data = Message.parse(b"MSH|^~\\&").ack("AR", control_id="H1", timestamp="2026")
    assert data == b"MSH|^~\\&|||||2026||ACK|H1||\rMSA|AR|\r"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (None, b""),
        ("PV1", b"PV1^1"),
        ("OBX[3]", b"OBX^3"),
        ("PID-7", b"PID^1^7"),
        ("PID-3[1]", b"PID^1^3^1"),
        ("PID-3.1", b"PID^1^3^1^1"),
        ("OBX[3]-5[2].4.1", b"OBX^3^5^2^4^1"),
        ("OBX[*]-5[*].1", b"OBX^1^5^1^1"),
    ],
)
def test_errors_are_segments_since_2_5(location: str | None, expected: bytes) -> None:
    error = AckError("103", "W", location, "no such code")
    err = answer(received(), "AE", None, error)[2].split(b"|")
    assert err == [
        b"ERR",
        b"",
        expected,
        b"103^Table value not found^HL70357",
        b"W",
        b"",
        b"",
        b"",
        b"no such code",
    ]
    assert err[1:3] == [b"", expected]


def test_every_error_has_its_segment() -> None:
    lines = answer(received(), "AE", None, AckError("101", location="PID-3"), AckError("207"))
    assert lines[2:] == [
        b"ERR||PID^1^3|101^Required field missing^HL70357|E",
        b"ERR|||207^Application internal error^HL70357|E",
    ]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (b"2.4", b"ERR|PID^1^3^101&Required field missing&HL70357~^^^999&&HL70357"),
        (b"2.3", b"ERR|PID^1^3^101&Required field missing&HL70357~^^^999&&HL70357"),
        (b"2.2", b"ERR|PID^1^3^101~^^^999"),
    ],
)
def test_errors_repeat_in_one_field_before_2_5(version: bytes, expected: bytes) -> None:
    errors = [AckError("101", location="PID-3.1"), AckError("999")]
    assert answer(received(version), "AE", None, *errors)[2:] == [expected]


@pytest.mark.parametrize("version", [b"2.3", b"2.5"])
def test_no_errors_make_no_segment(version: bytes) -> None:
    data = received(version).ack("AE", errors=iter(()), control_id="H1", timestamp="2026")
    assert data.count(b"\r") == 2


def test_a_location_is_a_path() -> None:
    with pytest.raises(ValueError, match="not an HL7 path"):
        answer(received(), "AE", None, AckError("101", location="PID^3"))
