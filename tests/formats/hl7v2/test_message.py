from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.hl7v2 import NULL, Issue, Message, Path

ADT = (
    b"MSH|^~\\&|REG|NORTH|LAB|CENTRAL|20261122||ADT^A01^ADT_A01|N1|P|2.5.1\r"
    b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|F\r'
    b"OBX|1|NM|A||13.4\r"
    b"OBX|2|NM|B\r"
    b"OBX|3|NM|C||7~8\r"
    b"ZPI|x\r"
)


@pytest.fixture
def message() -> Message:
    return Message.parse(ADT)


# Reading


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "REG"),
        ("MSH-9.2", "A01"),
        ("MSH-12", "2.5.1"),
        ("MSH-13", None),
        ("PID-3", "4711^^^NORTH&1.2&ISO^MR"),
        ("PID-3.1", "4711"),
        ("PID-3.1.1", "4711"),
        ("PID-3.1.2", None),
        ("PID-3.2", ""),
        ("PID-3.4", "NORTH&1.2&ISO"),
        ("PID-3.4.2", "1.2"),
        ("PID-3.4.4", None),
        ("PID-3.6", None),
        ("PID-3[2].1", "0815"),
        ("PID-3[2].4.1", "NATION"),
        ("PID-3[3]", None),
        ("PID-4", ""),
        ("PID-4.1.1", ""),
        ("PID-4.2", None),
        ("PID-4[2]", None),
        ("PID-7", NULL),
        ("PID-7.1", NULL),
        ("PID-8.1.1", "F"),
        ("PID-9", None),
        ("PV1-2", None),
        ("OBX[3]-5", "7"),
        ("OBX[2]-5", None),
        ("OBX[4]-1", None),
        ("ZPI-1", "x"),
        ("ZPI", "ZPI|x"),
        ("PV1", None),
        ("OBX[*]-5", ["13.4", "7"]),
        ("OBX[*]-5[*]", ["13.4", "7", "8"]),
        ("OBX[*]-5[2]", ["8"]),
        ("PID-3[*].1", ["4711", "0815"]),
        ("PID-3[*].4.3", ["ISO"]),
        ("PV1[*]-2", []),
        ("MSH[*]-2", ["^~\\&"]),
        ("MSH[*]-1", ["|"]),
    ],
)
@pytest.mark.ledger_part("S2-119", "Z segments, repetitions, subcomponents, absent, empty and null")
def test_a_path_reads_its_value(message: Message, path: str, value: object) -> None:
    found = message[path]
    assert found == value
    assert (found is NULL) == (value is NULL)
    assert message[Path.parse(path)] == value
    assert bytes(message) == ADT


def test_get_has_a_default_for_what_is_absent_alone(message: Message) -> None:
    assert message.get("PID-9", "none") == "none"
    assert message.get("PID-4", "none") == ""
    assert message.get("OBX[*]-5") == "13.4"
    assert message.get("PV1[*]-2", "none") == "none"
    assert message.get(Path.parse("PID-8")) == "F"


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("PID-3", b"4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI"),
        ("PID-3[*]", b"4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI"),
        ("PID-3[1]", b"4711^^^NORTH&1.2&ISO^MR"),
        ("PID-3[2].4", b"NATION"),
        ("PID-7", b'""'),
        ("PID-9", None),
        ("MSH-1", b"|"),
        ("MSH-2", b"^~\\&"),
        ("ZPI", b"ZPI|x"),
        ("PV1", None),
        ("PV1-2", None),
        ("OBX[*]-5", b"13.4"),
    ],
)
def test_raw_is_what_stands_there(message: Message, path: str, raw: bytes | None) -> None:
    assert message.raw(path) == raw


def test_the_header_is_numbered_as_the_standard_does(message: Message) -> None:
    header = message.header
    assert header[1:5] == [b"|", b"^~\\&", b"REG", b"NORTH"]
    assert (header[9], header[10], header[15], header[16]) == (b"ADT^A01^ADT_A01", b"N1", b"", b"")


def test_what_a_message_is(message: Message) -> None:
    assert (message.type, message.trigger, message.structure) == ("ADT", "A01", "ADT_A01")
    assert (message.control_id, message.version) == ("N1", "2.5.1")
    assert repr(message) == "<Message ADT^A01 2.5.1, 6 segments>"
    assert Message.parse(b"MSH|^~\\&").type == ""


def test_segments_are_found_by_name_and_index(message: Message) -> None:
    assert [segment.name for segment in message.segments()] == ["MSH", "PID", "OBX", "OBX", "OBX", "ZPI"]
    third = message.segments("OBX")[2]
    assert (third.index, third.raw, bytes(third)) == (3, b"OBX|3|NM|C||7~8", b"OBX|3|NM|C||7~8")
    assert third.fields == [b"OBX", b"3", b"NM", b"C", b"", b"7~8"]
    assert (third["5"], third["5[2]"], third["4"], third["6"], third["3.2"]) == ("7", "8", "", None, None)
    assert message.segments("PV1") == []
    assert repr(third) == "<Segment OBX[3]>"
    header = message.segments("MSH")[0]
    assert (header["1"], header["2"], header["9.2"]) == ("|", "^~\\&", "A01")
    assert header.fields[9] == b"ADT^A01^ADT_A01"
    with pytest.raises(ValueError, match="not an HL7 path"):
        header["x"]


def test_a_segment_without_fields_is_found() -> None:
    message = Message.parse(b"MSH|^~\\&|LAB\rPV1\rZPI|1")
    assert message["PV1"] == "PV1"
    assert message["PV1-1"] is None


def test_a_name_that_begins_alike_is_another_segment() -> None:
    message = Message.parse(b"MSH|^~\\&|LAB\rPIDX|1\rPID|2\r|x")
    assert message["PID-1"] == "2"
    assert [segment["1"] for segment in message.segments()[1:]] == ["1", "2", "x"]


def test_delimiters_of_any_kind() -> None:
    message = Message.parse(b"MSH#!@%*#REG\rPID#1##47!A*B@08")
    assert (message["PID-3.1"], message["PID-3.2.2"], message["PID-3[2].1"]) == ("47", "B", "08")
    message.set("PID-3[2].1", "a#b!c%d|e")
    assert bytes(message) == b"MSH#!@%*#REG\rPID#1##47!A*B@a%F%b%S%c%E%d|e"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no message header"),
        (b"PID|1", "no message header"),
        (b"FHS|^~\\&|LAB\rMSH|^~\\&|LAB", "a batch"),
        (b"\r\nBHS|^~\\&|LAB", "a batch"),
    ],
)
def test_without_a_header_there_is_no_message(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason) as caught:
        Message.parse(data)
    assert caught.value.segment == "MSH"


def test_bytes_before_the_header_are_kept_and_recorded() -> None:
    data = b"\xef\xbb\xbf\r\nMSH|^~\\&|LAB\rPID|1"
    message = Message.parse(data)
    assert bytes(message) == data
    assert message.issues == [Issue("MSH", None, "5 bytes before the message header")]
    message.set("PID-1", "2")
    assert bytes(message) == data[:-1] + b"2"
    assert bytes(message.copy()) == bytes(message)


# Writing


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("PID-8", "M", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|M'),
        ("PID-8", None, b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|'),
        ("PID-8", NULL, b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|""'),
        ("PID-10", "W", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|F||W'),
        ("PID-3", "X", b'PID|1||X~0815^^^NATION^NI||Doe^Jane||""|F'),
        ("PID-3[2]", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~X||Doe^Jane||""|F'),
        ("PID-3[4].2", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI~~^X||Doe^Jane||""|F'),
        ("PID-3.4", "X", b'PID|1||4711^^^X^MR~0815^^^NATION^NI||Doe^Jane||""|F'),
        ("PID-3.4.2", "X", b'PID|1||4711^^^NORTH&X&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|F'),
        ("PID-3[*].4", "X", b'PID|1||4711^^^X^MR~0815^^^X^NI||Doe^Jane||""|F'),
        ("PID-3[*]", "X", b'PID|1||X~X||Doe^Jane||""|F'),
        ("PID-5.4.2", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane^^&X||""|F'),
        ("PID-4.2", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI|^X|Doe^Jane||""|F'),
        ("PID-4[*].2", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|F'),
        ("PID-20[*]", "X", b'PID|1||4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI||Doe^Jane||""|F'),
    ],
)
def test_set_changes_one_place(message: Message, path: str, value: str | None, line: bytes) -> None:
    before = ADT.split(b"\r")
    message.set(path, value)
    assert bytes(message).split(b"\r") == [before[0], line, *before[2:]]
    if not Path.parse(path).many:
        assert message[path] == ("" if value is None else value)


def test_set_makes_a_segment_at_the_end(message: Message) -> None:
    message.set("PV1-2", "I")
    message.set("OBX[4]-1", "4")
    assert bytes(message) == ADT + b"PV1||I\rOBX|4\r"
    assert message["PV1-2"] == "I"
    assert message["OBX[4]-1"] == "4"


def test_set_reaches_every_segment(message: Message) -> None:
    message.set("OBX[*]-11", "F")
    assert message["OBX[*]-11"] == ["F", "F", "F"]
    message.set("PV1[*]-2", "I")
    assert message["PV1"] is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("MSH-1", "MSH-1 declares the delimiters"),
        ("MSH-2", "MSH-2 declares the delimiters"),
        ("MSH[*]-2", "declares the delimiters"),
        ("PID", "names a segment"),
        ("OBX[5]-1", "the message has 3 OBX segments"),
        ("MSH[2]-3", "the message has 1 MSH segments"),
        ("pid-1", "not an HL7 path"),
    ],
)
def test_set_refuses(message: Message, path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        message.set(path, "x")
    assert bytes(message) == ADT


@pytest.mark.parametrize("path", ["PID-3[2]", "PID-3.1.2"])
def test_set_refuses_parts_that_have_no_delimiter(path: str) -> None:
    message = Message.parse(b"MSH|^|LAB\rPID|1")
    with pytest.raises(ValueError, match="declares no delimiter"):
        message.set(path, "x")
    assert bytes(message) == b"MSH|^|LAB\rPID|1"


def test_one_role_is_enough_for_components() -> None:
    message = Message.parse(b"MSH|^|LAB\rPID|1||4711^A")
    assert (message["PID-3.2"], message["PID-3[*].2"], message["PID-3.2.2"]) == ("A", ["A"], None)
    message.set("PID-3[*].3", "B")
    message.remove("PID-3.2")
    message.remove("PID-3[1].3.1")
    assert message.raw("PID-3") == b"4711^^"
    message.remove("PID-3[1]")
    assert message.raw("PID-3") == b""


def test_set_raw_puts_structure(message: Message) -> None:
    message.set_raw("PID-3", b"1^A~2^B")
    assert message["PID-3[2].2"] == "B"
    message.set_raw("PID-3[2]", "3^C")
    assert message.raw("PID-3") == b"1^A~3^C"
    message.set_raw("PID-3.2", "D&E")
    assert message["PID-3.2.2"] == "E"
    message.set_raw("PID-3[*]", b"5~6")
    message.set_raw("PID-10", b"R^1~S")
    assert (message.raw("PID-3"), message.raw("PID-10")) == (b"5~6", b"R^1~S")
    message.set_raw("ZPI", b"ZPI|y|z")
    assert message["ZPI-2"] == "z"
    message.set_raw("PV1", b"PV1|1|I")
    assert bytes(message).endswith(b"ZPI|y|z\rPV1|1|I\r")


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("PID-3", b"a|b"),
        ("PID-3", b"a\rb"),
        ("PID-3", b"a\nb"),
        ("PID-3[1]", b"a~b"),
        ("PID-3.1", b"a~b"),
        ("PID-3.1", b"a^b"),
        ("PID-3.1.1", b"a&b"),
        ("MSH-2", b"^~\\&"),
        ("MSH", b"MSH|^~\\&"),
        ("ZPI", b"ZPX|1"),
        ("ZPI", b"ZPI|1\rPV1|1"),
        ("ZPI", b"ZPI^1"),
    ],
)
def test_set_raw_stays_within_its_path(message: Message, path: str, raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        message.set_raw(path, raw)
    assert bytes(message) == ADT


def test_copy_value_keeps_structure(message: Message) -> None:
    message.copy_value("PID-3", "PID-2")
    message.copy_value("PID-3[2].4", "ZPI-2.3")
    message.copy_value("PID-30", "PID-8")
    assert message.raw("PID-2") == message.raw("PID-3")
    assert message.raw("ZPI-2") == b"^^NATION"
    assert message["PID-8"] == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("OBX", ADT.replace(b"OBX|1|NM|A||13.4\r", b"")),
        ("OBX[3]", ADT.replace(b"OBX|3|NM|C||7~8\r", b"")),
        ("OBX[*]", ADT.partition(b"OBX")[0] + b"ZPI|x\r"),
        ("PV1", ADT),
        ("PID-8", ADT.replace(b"|F\r", b"\r")),
        ("PID-3", ADT.replace(b"4711^^^NORTH&1.2&ISO^MR~0815^^^NATION^NI", b"")),
        ("PID-3[1]", ADT.replace(b"4711^^^NORTH&1.2&ISO^MR~", b"")),
        ("PID-3[9]", ADT),
        ("PID-3.4", ADT.replace(b"NORTH&1.2&ISO", b"")),
        ("PID-3[*].4", ADT.replace(b"NORTH&1.2&ISO", b"").replace(b"NATION", b"")),
        ("PID-3[2].4.1", ADT.replace(b"NATION", b"")),
        ("PID-3.9", ADT),
        ("PID-40", ADT),
    ],
)
def test_remove_takes_away_one_place(message: Message, path: str, expected: bytes) -> None:
    message.remove(path)
    assert bytes(message) == expected


@pytest.mark.parametrize("path", ["MSH", "MSH[*]", "MSH-1", "MSH-2"])
def test_remove_refuses_the_header(message: Message, path: str) -> None:
    with pytest.raises(ValueError, match="cannot be removed"):
        message.remove(path)


def test_segments_are_added_and_removed(message: Message) -> None:
    assert message["OBX-1"] == "1"
    message.insert_segment(1, b"EVN|A01")
    message.insert_segment(7, b"ZPJ|y")
    message.append_segment(b"ZPK")
    message.remove_segment(3)
    assert [bytes(segment)[:5] for segment in message.segments()] == [
        b"MSH|^", b"EVN|A", b"PID|1", b"OBX|2", b"OBX|3", b"ZPI|x", b"ZPJ|y", b"ZPK",
    ]  # fmt: skip
    assert message["OBX-1"] == "2"


@pytest.mark.parametrize("raw", [b"", b"PV", b"pv1|", b"PV1|\r", b"PV1\n", b"PV1^I", b"MSH|^~\\&"])
def test_what_is_no_segment_is_not_added(message: Message, raw: bytes) -> None:
    for add in (message.append_segment, lambda raw: message.insert_segment(1, raw)):
        with pytest.raises(ValueError, match="segment"):
            add(raw)
    assert bytes(message) == ADT


@pytest.mark.parametrize("index", [-1, 0, 7])
def test_there_is_no_place_before_the_header_or_past_the_end(message: Message, index: int) -> None:
    with pytest.raises(IndexError):
        message.insert_segment(index, b"EVN|A01")
    with pytest.raises(IndexError):
        message.remove_segment(index)


def test_a_copy_is_its_own(message: Message) -> None:
    copy = message.copy()
    assert copy == message
    copy.set("PID-8", "M")
    copy.remove("OBX")
    assert bytes(message) == ADT
    assert copy["PID-8"] == "M"
    assert copy["OBX-1"] == "2"
    assert copy != message
    assert copy != bytes(copy)
    again = copy.copy()
    message.set("PID-8", "U")
    assert (again["PID-8"], copy["PID-8"], message["PID-8"]) == ("M", "M", "U")


# Fuzzing

text = st.text(st.characters(codec="ascii", exclude_characters="\r\n"))
lines = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
        st.sampled_from([b"PID|1||4711^A&B~0815", b"OBX|1|NM", b"PV1", b"ZZZ|\\F\\|\\", b""]),
    ),
    max_size=6,
)


@given(lines, st.lists(st.sampled_from([b"\r", b"\n", b"\r\n"]), min_size=7, max_size=7))
def test_any_lines_come_out_as_they_went_in(lines: list[bytes], ends: list[bytes]) -> None:
    header = b"MSH|^~\\&|LAB||||||ADT^A01|1|P|2.5"
    data = b"".join(line + end for line, end in zip([header, *lines], ends, strict=False))
    message = Message.parse(data)
    assert isinstance(message.issues, list)
    for segment in message.segments():
        for number, _ in enumerate(segment.fields[1:], start=1):
            assert segment[f"{number}.1"] is not None
    assert bytes(message) == data
    message.set("MSH-10", "2")
    assert bytes(message) == data.replace(b"|1|P", b"|2|P", 1)
    message.append_segment(b"ZZ9|new")
    message.remove("ZZ9")
    assert bytes(message) == data.replace(b"|1|P", b"|2|P", 1)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_format_error(tail: bytes) -> None:
    data = b"MSH" + tail
    try:
        message = Message.parse(data)
    except FormatError:
        assert tail not in (b"|", b"|^~\\&")
        assert not tail.startswith(b"|^~\\&|")
        return
    assert isinstance(message.issues, list)
    assert message["MSH-1"] == tail[:1].decode()
    assert bytes(message) == data


@given(
    st.integers(1, 8), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), text,
    st.sampled_from(["PID", "OBX", "OBX[2]", "ZPI", "ZZZ"]),
)  # fmt: skip
def test_what_is_set_is_read_and_nothing_else_moves(
    field: int, repetition: int, component: int, subcomponent: int, value: str, segment: str
) -> None:
    message = Message.parse(ADT)
    places = [
        f"{name}-{number}[{nth}].{part}.{sub}"
        for name in ("PID", "OBX", "OBX[2]", "OBX[3]", "ZPI")
        for number in range(1, 9) for nth in (1, 2, 3) for part in (1, 2, 3) for sub in (1, 2, 3)
    ]  # fmt: skip
    before = {place: message[place] for place in places}
    place = f"{segment}-{field}[{repetition}].{component}.{subcomponent}"
    message.set(place, value)
    again = Message.parse(bytes(message))
    assert again[place] == (NULL if value == '""' else value)
    for other in places:
        if other != place:
            assert (again[other] or None) == (before[other] or None), other
