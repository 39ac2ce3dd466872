from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.hl7v2 import Batch, Issue

FHS = b"FHS|^~\\&|LAB\r"
BHS = b"BHS|^~\\&|LAB\r"
ONE = b"MSH|^~\\&|LAB||||||ADT^A01|1\rPID|1\r"
TWO = b"MSH|^~\\&|LAB||||||ADT^A01|2\rPID|2\r"


def test_a_file_of_two_batches() -> None:
    data = FHS + BHS + ONE + TWO + b"BTS|2\r" + BHS + TWO + b"BTS|1|done\rFTS|2\r"
    batch = Batch.parse(data)
    assert batch.file_header == FHS
    assert batch.file_trailer == b"FTS|2\r"
    assert [group.messages for group in batch.batches] == [[ONE, TWO], [TWO]]
    assert (batch.batches[0].header, batch.batches[1].trailer) == (BHS, b"BTS|1|done\r")
    assert batch.messages == [ONE, TWO, TWO]
    assert batch.issues == []
    assert bytes(batch) == data


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_any_line_end(end: bytes) -> None:
    data = (FHS + BHS + ONE + TWO + b"BTS|2\rFTS|1").replace(b"\r", end)
    batch = Batch.parse(data)
    assert batch.messages == [ONE.replace(b"\r", end), TWO.replace(b"\r", end)]
    assert batch.issues == []
    assert bytes(batch) == data


def test_messages_alone_are_one_batch() -> None:
    batch = Batch.parse(b"\xef\xbb\xbf\r\n" + ONE + TWO)
    assert batch.messages == [ONE, TWO]
    assert (batch.file_header, batch.issues) == (None, [])


@pytest.mark.parametrize(
    ("data", "issues"),
    [
        (FHS + BHS + ONE, [
            Issue("BTS", None, "batch 1 has no trailer"), Issue("FTS", None, "the file has no trailer"),
        ]),
        (BHS + ONE + BHS + b"BTS\r", [Issue("BTS", None, "batch 1 has no trailer")]),
        (BHS + ONE + b"BTS|2\r", [Issue("BTS", 1, "2 messages announced, 1 found")]),
        (BHS + ONE + b"BTS|many", [Issue("BTS", 1, "many messages announced, 1 found")]),
        (BHS + ONE + b"BTS|\r", []),
        (FHS + BHS + ONE + b"BTS|1\rFTS|3\r", [Issue("FTS", 1, "3 batches announced, 1 found")]),
        (ONE + b"BTS|1\r", [Issue("BHS", None, "a batch trailer without a batch header")]),
        (b"BTS|1\r" + ONE, [Issue("BTS", None, "a batch trailer without a batch")]),
        (ONE + FHS + b"FTS|1", [Issue("FHS", None, "a file header that is not at the beginning")]),
        (FHS + b"FTS|0\rFTS|0", [Issue("FTS", None, "a second file trailer")]),
        (b"junk\r" + ONE, [Issue("FHS", None, "5 bytes before the first header")]),
    ],
)  # fmt: skip
def test_what_is_odd_is_recorded(data: bytes, issues: list[Issue]) -> None:
    batch = Batch.parse(data)
    assert batch.issues == issues
    assert bytes(batch) == data


def test_other_delimiters() -> None:
    batch = Batch.parse(b"BHS#!@%*#LAB\rMSH#!@%*#LAB\rBTS#1\r")
    assert (batch.messages, batch.issues) == ([b"MSH#!@%*#LAB\r"], [])


def test_a_name_inside_a_segment_begins_nothing() -> None:
    data = BHS + b"MSH|^~\\&|LAB\rNTE|1||MSH|FTS|\rMSHA|x\rBTSX|1\rBTS|1\r"
    assert len(Batch.parse(data).messages) == 1


@pytest.mark.parametrize("data", [b"", b"PID|1\r", b"a MSH|^~\\&"])
def test_without_header_or_message_there_is_no_file(data: bytes) -> None:
    with pytest.raises(FormatError, match="no file header, batch header or message"):
        Batch.parse(data)


@given(st.lists(st.sampled_from([FHS, BHS, ONE, TWO, b"BTS|1\r", b"FTS|1\n", b"\r", b"x|y\n"]), min_size=1))
def test_any_order_is_put_together_again(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    try:
        batch = Batch.parse(data)
    except FormatError:
        assert not {FHS, BHS, ONE, TWO, b"BTS|1\r", b"FTS|1\n"} & set(pieces)
        return
    assert bytes(batch) == data
    assert len(batch.messages) == pieces.count(ONE) + pieces.count(TWO)
