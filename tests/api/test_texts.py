"""What people write: one form of it, without what nobody sees."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hilum.api.texts import Email, Line, Name, Note, Prose


def reads(kind: Any, text: Any) -> Any:
    """The text as it is kept; None where it is refused."""
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return None


@pytest.mark.ledger_part("S0-34", "Unicode NFC, control characters refused, lengths limited")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" Zoë ", "Zoë"), ("Zoe\u0308", "Zo\u00eb"), ("x" * 200, "x" * 200), ("👩\u200d🔬", "👩\u200d🔬"),
        ("x" * 201, None), ("", None), ("   ", None), ("a\nb", None), ("a\x00b", None), ("a\x1b[31m", None),
        ("a\x85b", None), ("a\u202eb", None), ("a\u2028b", None), ("a\ud800", None), (7, None),
    ],
)  # fmt: skip
def test_a_line(given: Any, kept: str | None) -> None:
    assert reads(Line, given) == kept


def test_a_note_may_be_empty() -> None:
    assert reads(Note, "  ") == ""
    assert reads(Note, "a\tb") is None


def test_prose_has_lines() -> None:
    assert reads(Prose, "a\r\n\tb\n") == "a\n\tb"
    assert reads(Prose, "x" * 2_001) is None
    assert reads(Prose, "a\rb") is None
    assert reads(Prose, "a\x07") is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ann@Example.org", "ann@example.org"), ("a.b+c@localhost", "a.b+c@localhost"),
        ("ann", None), ("ann@", None), ("@b.org", None), ("a b@c.org", None), ("a@b..org", None), ("a@b@c.org", None),
        ("x" * 65 + "@b.org", None), ("a@" + "b" * 253, None), ("a\n@b.org", None), ("<a@b.org>", None),
    ],
)  # fmt: skip
def test_an_address(given: str, kept: str | None) -> None:
    assert reads(Email, given) == kept


def test_a_name_is_that_of_the_configuration() -> None:
    assert reads(Name, "lab-1") == "lab-1"
    assert reads(Name, "Lab") is None
