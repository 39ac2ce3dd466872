"""The fonts inside of typst, and what they can show."""

from __future__ import annotations

import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfbase.ttfonts import TTFont

from hilum.formats.report import fonts, press

ALPHABETS = {
    "latin": range(0xA0, 0x180), "greek": range(0x391, 0x3CA), "cyrillic": range(0x410, 0x450),
    "vietnamese": range(0x1EA0, 0x1EFA),
}  # fmt: skip


@pytest.mark.parametrize("name", ALPHABETS)
def test_alphabets_are_there(name: str) -> None:
    text = "".join(chr(code) for code in ALPHABETS[name] if unicodedata.category(chr(code))[0] == "L")
    assert fonts.shown(text) == text


def test_typst_sets_every_character_that_the_fonts_are_said_to_have() -> None:
    """In PDF/A-2b, which refuses what has no glyph; upright and bold, letters alone and marks over a letter."""
    every = [chr(code) for code in range(0x20, 0x30000) if fonts.has(chr(code))]
    assert len(every) > 3_000
    texts = [fonts.shown("o" + one if unicodedata.category(one)[0] == "M" else one) for one in every]
    source = (
        '#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"), fallback: false)\n'
        "#for one in json(bytes(sys.inputs.data)) [#text(one) #text(weight: 600, one)\\ ]"
    )
    import datetime
    import json

    made = press.pdf(
        source.encode(), json.dumps(texts), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), tagged=False
    )
    assert b"<pdfaid:part>2</pdfaid:part>" in made


def test_reportlab_reads_the_file_and_finds_the_same_widths() -> None:
    for name in ("DejaVu Sans Mono", "DejaVu Sans Mono Bold"):
        face = fonts.faces()[name]
        font = TTFont("x", io.BytesIO(face.file), validate=1)
        assert set(face.widths) == set(font.face.charToGlyph)
        for code in (0x41, 0x3B1, 0x416, 0x2192):
            assert font.stringWidth(chr(code), 1) == pytest.approx(face.widths[code], abs=1e-3)
            assert fonts.width(chr(code), 10, mono=True) == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", "plain"), ("", ""), ("a\r\nb\rc\td", "a\nb\nc    d"), ("\x00\x7f\x9b", "‹U+0000›‹U+007F›‹U+009B›"),
        ("a\u202eb", "a‹U+202E›b"), ("🌱", "‹U+1F331›"), ("\ud800", "‹U+D800›"), ("\u0301x", "‹U+0301›x"),
        ("e\u0301", "e\u0301"), (" \u0301", " ‹U+0301›"), ("0\u064b", "0‹U+064B›"), ("\ue000", "‹U+E000›"),
        ("e" + "\u0301" * 4, "e" + "\u0301" * 3 + "‹U+0301›"), ("\u2028", "‹U+2028›"), ("שלום", "שלום"),
    ],
)  # fmt: skip
def test_what_is_shown(text: str, found: str) -> None:
    assert fonts.shown(text) == found


def test_a_page_of_one_font_shows_less() -> None:
    assert fonts.shown("αЖü → שלום", mono=True) == "αЖü → ‹U+05E9›‹U+05DC›‹U+05D5›‹U+05DD›"


@given(st.text(st.characters(codec=None)), st.booleans())
def test_nothing_is_left_that_no_font_has(text: str, mono: bool) -> None:
    found = fonts.shown(text, mono=mono)
    assert all(one == "\n" or fonts.has(one, mono=mono) for one in found)
    assert not re.search("[\ud800-\udfff\u200b-\u200f\u202a-\u202e]", found)


@given(st.text(), st.floats(20, 300))
def test_what_is_cut_has_its_room(text: str, room: float) -> None:
    found = fonts.cut(fonts.shown(text), room, 8)
    assert fonts.width(found, 8) <= room
    whole = " ".join(fonts.shown(text).split())
    assert found == whole or (found.endswith("…") and whole.startswith(found[:-1]))
