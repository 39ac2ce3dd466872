from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.mllp import END, HEAD_BYTES, START, Decoder, Event, Garbage, Incomplete, Oversized, frame

A = b"MSH|^~\\&|LAB\rPID|1\r"
B = b"MSH|^~\\&|REG\r"


def decode(*pieces: bytes, max_bytes: int = 1024) -> list[Event]:
    decoder = Decoder(max_bytes)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_a_frame_is_vt_payload_fs_cr() -> None:
    assert frame(A) == b"\x0b" + A + b"\x1c\x0d" == START + A + END


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (frame(A), [A]),
        (frame(A) + frame(B) + frame(A), [A, B, A]),
        (frame(b""), [b""]),
        (b"\r\nhello" + frame(A) + b"\n" + frame(B), [Garbage(7), A, Garbage(1), B]),
        (frame(A) + b"tail", [A, Garbage(4)]),
        (A + END + frame(B), [Garbage(len(A) + 2), B]),
        (START + A, [Incomplete(len(A))]),
        (START + A[:9] + frame(B), [Incomplete(9), B]),
        (START + START + frame(B), [Incomplete(1), B]),
        (START + A + b"\x0bMS" + END, [A + b"\x0bMS"]),
        (frame(b"NTE|\x0bdata"), [b"NTE|\x0bdata"]),
        (b"", []),
    ],
)
def test_frames_and_what_is_between_them(data: bytes, events: list[Event]) -> None:
    assert decode(data) == events
    assert decode(*bytewise(data)) == events


@pytest.mark.parametrize("between", [b"", b"x"])
def test_a_missing_cr_is_accepted_and_counted(between: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(START + A + b"\x1c") == [A]
    assert decoder.missing_cr == 0
    garbage = [Garbage(1)] if between else []
    assert decoder.feed(between + frame(B)) == [*garbage, B]
    assert decoder.missing_cr == 1


def test_a_frame_is_partial_until_its_end() -> None:
    decoder = Decoder()
    assert not decoder.partial
    assert decoder.feed(START + A) == []
    assert decoder.partial
    assert decoder.feed(b"\x1c") == [A]
    assert not decoder.partial


@pytest.mark.parametrize("pieces", [1, 7, 1024])
def test_an_oversized_frame_is_refused_while_it_comes(pieces: int) -> None:
    decoder = Decoder(max_bytes=20)
    body = B + b"x" * 5000
    events: list[Event] = []
    for at in range(0, len(body), pieces):
        events += decoder.feed((START if at == 0 else b"") + body[at : at + pieces])
        assert len(decoder._buffer) <= 20
    assert events == [Oversized(20, body[:20])]
    assert decoder.partial
    assert decoder.feed(END + frame(B)) == [B]
    assert decoder.close() == []


def test_the_head_of_an_oversized_frame_is_bounded() -> None:
    assert decode(START + b"x" * 9000, max_bytes=8000) == [Oversized(8000, b"x" * HEAD_BYTES)]


def test_a_frame_of_just_the_limit_is_accepted() -> None:
    assert decode(frame(b"x" * 20), max_bytes=20) == [b"x" * 20]


def test_a_new_frame_ends_a_refused_one() -> None:
    data = START + b"x" * 30 + frame(B)
    assert decode(data, max_bytes=20) == [Oversized(20, b"x" * 20), B]
    assert decode(*bytewise(data), max_bytes=20) == [Oversized(20, b"x" * 20), B]


pieces_of_wire = st.sampled_from(
    [START, b"\x1c", b"\r", b"M", b"S", b"H", b"MSH", b"a", b"\x0bMSH", END, frame(b"MSH|")]
)


@given(st.lists(pieces_of_wire, max_size=30).map(b"".join), st.integers(0, 14), st.lists(st.integers(0, 99)))
def test_events_do_not_depend_on_the_pieces(data: bytes, max_bytes: int, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    whole, cut, single = Decoder(max_bytes), Decoder(max_bytes), Decoder(max_bytes)
    expected = whole.feed(data)
    assert [event for piece in pieces for event in cut.feed(piece)] == expected
    assert [event for piece in bytewise(data) for event in single.feed(piece)] == expected
    assert whole.missing_cr == cut.missing_cr == single.missing_cr
    assert whole.partial == cut.partial == single.partial
    assert whole.close() == cut.close() == single.close()
    assert all(len(event) <= max_bytes for event in expected if isinstance(event, bytes))


@given(st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\x1c", b"").replace(b"\x0bMSH", b""))))
def test_what_is_framed_is_decoded(payloads: list[bytes]) -> None:
    assert decode(b"".join(map(frame, payloads))) == payloads
