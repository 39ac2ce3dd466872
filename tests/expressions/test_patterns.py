"""Regular expressions are RE2's, and bytes that could not be decoded pass through them."""

from __future__ import annotations

import pytest

from hilum.expressions import EvaluationError
from hilum.expressions.patterns import Regex, Template


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a", "a", True),
        ("a", "ba", False),
        ("(?i)adt", "ADT", True),
        (".", "ż", True),
        (".", "\udcff", True),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        ("", "", True),
    ],
)
def test_matches_the_whole(pattern: str, text: str, matches: bool) -> None:
    assert Regex(pattern).matches(text) is matches


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{2000}", "x" * 501, "\udcff"])
def test_what_re2_cannot_do_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "template", "text", "result"),
    [
        (r"(\d+)-(\d+)", r"\2/\1", "12-34", "34/12"),
        ("a", r"[\0]", "banana", "b[a]n[a]n[a]"),
        ("a|(b)", r"<\1>", "ab", "<><b>"),
        ("x", r"\\", "axb", "a\\b"),
        ("", "-", "ab", "-a-b-"),
        ("ż", "z", "\udcffż", "\udcffz"),
        ("b", "", "abc", "ac"),
    ],
)
def test_replace(pattern: str, template: str, text: str, result: str) -> None:
    regex = Regex(pattern)
    assert regex.replace(text, Template(template, regex.groups)) == result


@pytest.mark.parametrize("template", [r"\1", r"\x", "\\", "a\\\\\\", "a" * 201])
def test_what_is_no_replacement(template: str) -> None:
    with pytest.raises(ValueError, match="replacement"):
        Template(template, 0)


def test_texts_are_bounded() -> None:
    with pytest.raises(EvaluationError, match="100,000"):
        Regex("a").matches("a" * 100_001)
    with pytest.raises(EvaluationError, match="10,000"):
        Regex("a").replace("a" * 10_001, Template("", 0))
