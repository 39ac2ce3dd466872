"""What comes from outside cannot steer the terminal; times read as people write them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.cli import output
from hilum.errors import ConfigError


@given(st.text())
def test_plain_text_holds_no_control_character(text: str) -> None:
    shown = output.plain(text)
    assert not [one for one in shown if one != "\n" and unicodedata.category(one)[0] == "C"]
    if text.isprintable():
        assert shown == text


def test_an_escape_sequence_becomes_visible() -> None:
    assert output.plain("a\x1b[2Jb\u202ec") == "a\\x1b[2Jb\\u202ec"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.25, "250 ms"), (4, "4 s"), (119, "119 s"), (180, "3 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert output.duration(seconds) == text


def test_since_takes_spans_and_times() -> None:
    assert output.since(None) is None
    assert output.since("2026-05-04T10:20+02:00") == "2026-05-04T08:20:00+00:00"
    assert output.since("2026-05-04") == "2026-05-04T00:00:00+00:00"
    assert str(output.since("2h")) < str(output.since("90s"))
    for wrong in ("yesterday", "h", "-3d", "99999999999999d"):
        with pytest.raises(ConfigError, match="is no time"):
            output.since(wrong)


def test_a_message_type_is_shown_without_its_structure() -> None:
    assert [output.kind(one) for one in ("ADT^A01^ADT_A01", "ACK", "")] == ["ADT^A01", "ACK", ""]
