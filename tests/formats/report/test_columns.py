"""Columns have the room that their words need, and words break only where they have none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.report import fonts
from hilum.formats.report.columns import GAP, SIZE, broken, fits, needs, widths
from hilum.formats.report.document import Column, Kind, Table


def test_a_column_of_numbers_has_room_for_the_longest_and_for_its_head() -> None:
    table = Table("T", (Column("a", "A", Kind.NUMBER), Column("b", "Incomprehensible", Kind.NUMBER)), [(10**12, 1)])
    first, second = needs(table)
    assert first.least >= fonts.width("1,000,000,000,000", SIZE)
    assert second.least > fonts.width("Incomprehensible", SIZE)
    assert fits([first, second], 200)
    assert not fits([first, second], 120)


@given(st.lists(st.tuples(st.text(max_size=60), st.floats(0, 9)), min_size=1, max_size=12), st.floats(100, 900))
def test_columns_fill_the_room_and_each_has_some(cells: list[tuple[str, float]], room: float) -> None:
    columns = tuple(Column(f"c{place}", text[:20], width=width) for place, (text, width) in enumerate(cells))
    table = Table("T", columns, [[text for text, _ in cells]])
    found = widths(columns, needs(table), room + GAP * (len(columns) - 1))
    assert sum(found) == pytest.approx(room)
    assert all(one > 0 for one in found)


def test_words_keep_whole_where_they_have_room() -> None:
    table = Table(
        "T", tuple(Column(f"c{n}", "Acknowledged") for n in range(3)), [("Acknowledged", "x " * 200, "y " * 9)]
    )
    for word, wide in zip(("Acknowledged", "x", "y"), widths(table.columns, needs(table), 400), strict=True):
        assert broken(word, wide) == word


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("short", "short"), ("one two three four five six", "one two three four five six"),
        ("integration.update.credential", "integration.\nupdate.credential"),
        ("see https://example.org/a/b/c", "see https://example.\norg/a/b/c"),
        ("x" * 30, "x" * 14 + "\n" + "x" * 14 + "\n" + "xx"), ("a\nb", "a\nb"), ("", ""),
    ],
)  # fmt: skip
def test_long_words_break_after_a_mark(text: str, found: str) -> None:
    assert broken(text, 60) == found


@given(st.text(st.characters(codec="utf-8")), st.floats(30, 200), st.booleans())
def test_no_word_is_wider_than_its_room_and_none_is_lost(text: str, room: float, mono: bool) -> None:
    text = fonts.shown(text)
    found = broken(text, room, mono=mono)
    assert found.replace("\n", "") == text.replace("\n", "")
    assert all(fonts.width(word, SIZE, mono=mono) <= room for word in found.split())
