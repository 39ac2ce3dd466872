from __future__ import annotations

import pytest

from hilum.formats.hl7v2 import Issue, Message


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end_is_read_and_kept(end: bytes, last: bool) -> None:
    data = end.join((b"MSH|^~\\&|LAB", b"PID|1", b"OBX|1")) + (end if last else b"")
    message = Message.parse(data)
    assert [segment.name for segment in message.segments()] == ["MSH", "PID", "OBX"]
    assert (message["PID-1"], message["MSH-3"], message.issues) == ("1", "LAB", [])
    assert bytes(message) == data
    message.append_segment(b"ZPI|x")
    message.insert_segment(1, b"EVN|A01")
    expected = end.join((b"MSH|^~\\&|LAB", b"EVN|A01", b"PID|1", b"OBX|1", b"ZPI|x"))
    assert bytes(message) == expected + (end if last else b"")


def test_mixed_line_ends_stay_with_their_segments() -> None:
    data = b"MSH|^~\\&|LAB\nPID|1\rOBX|1\r\nOBX|2\r\rOBX|3"
    message = Message.parse(data)
    assert len(message.segments()) == 5
    assert bytes(message) == data
    copy = message.copy()
    message.set("PID-1", "2")
    message.insert_segment(2, b"PV1|1")
    message.append_segment(b"ZPI|x")
    assert bytes(message) == b"MSH|^~\\&|LAB\nPID|2\rPV1|1\nOBX|1\r\nOBX|2\r\rOBX|3\nZPI|x"
    message.remove("OBX[2]")
    message.remove("ZPI")
    assert bytes(message) == b"MSH|^~\\&|LAB\nPID|2\rPV1|1\nOBX|1\r\n\rOBX|3"
    assert bytes(copy) == data


def test_a_line_feed_before_no_segment_is_data() -> None:
    data = b"MSH|^~\\&|LAB\rOBX|1|FT|||first\nsecond\nMSHA\nPID 3|x\rOBX|2\n\nZPI|1\n"
    message = Message.parse(data)
    assert message["OBX-5"] == "first\nsecond\nMSHA\nPID 3"
    assert message["OBX[2]-1"] == "2"
    assert message["ZPI-1"] == "1"
    assert Issue("OBX", None, "a line feed inside the segment") in message.issues
    assert bytes(message) == data


def test_a_message_of_one_line_has_no_end() -> None:
    message = Message.parse(b"MSH|^~\\&|LAB|a\nb")
    assert message["MSH-4"] == "a\nb"
    message.append_segment(b"PID|1")
    assert bytes(message) == b"MSH|^~\\&|LAB|a\nb\rPID|1"


def test_ten_thousand_segments_are_walked_by_index() -> None:
    data = b"MSH|^~\\&|LAB\r" + b"".join(b"OBX|%d\r" % number for number in range(1, 10_001))
    message = Message.parse(data)
    assert [message[f"OBX[{number}]-1"] for number in range(1, 10_001)] == message["OBX[*]-1"]
    assert message["OBX[10001]-1"] is None
