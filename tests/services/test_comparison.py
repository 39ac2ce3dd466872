"""What changed between two documents: as a diff that people read, and as paths."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.services.comparison import compare


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "d": 2}}, ["a.b", "a.c", "a.d"]),
        ({"a": [{"x": 1}, 2]}, {"a": [{"x": 1}, 3, 4]}, ["a[1]", "a[2]"]),
        ({"a": ["text"]}, {"a": "text"}, ["a"]),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": None}, {}, ["a"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a"]),
    ],
)
def test_the_paths(one: dict[str, Any], other: dict[str, Any], changed: list[str]) -> None:
    assert compare((1, one), (2, other), "x").changed == changed


def test_the_diff() -> None:
    found = compare((1, {"to": ["a"], "set": {"X": "no"}}), (4, {"to": ["a", "b"], "set": {"X": "no"}}), "route")
    assert found.unified.splitlines() == [
        "--- route v1", "+++ route v4", "@@ -1,4 +1,5 @@", " to:", "   - a", "+  - b", " set:", "   X: 'no'",
    ]  # fmt: skip
    assert (found.before, found.after) == (1, 4)
    assert compare((1, {"a": 1}), (2, {"a": 1}), "x").unified == ""
