"""Files are read as people keep them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.cli.hl7_files import read_messages, split_messages
from hilum.errors import FormatError
from hilum.formats import mllp


def test_one_several_and_a_batch(adt: Callable[..., bytes]) -> None:
    one, two = adt("1"), adt("2")
    assert split_messages(one) == [one]
    assert split_messages(one + two) == [one, two]
    assert split_messages(b"\xef\xbb\xbf\r\n" + (one + b"\r" + two).replace(b"\r", b"\r\n")) == [one, two]
    assert split_messages((one + two).replace(b"\r", b"\n").rstrip()) == [one, two]
    assert split_messages(b"FHS|^~\\&\rBHS|^~\\&\r" + one + two + b"BTS|2\rFTS|1\r") == [one, two]


def test_captured_frames(adt: Callable[..., bytes]) -> None:
    assert split_messages(mllp.frame(adt("1")) + mllp.frame(adt("2"))) == [adt("1"), adt("2")]


def test_a_file_without_a_message_is_named(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("Dear colleague")
    with pytest.raises(FormatError, match=r"note\.txt"):
        read_messages(tmp_path / "note.txt")
