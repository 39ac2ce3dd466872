from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2 import Path

numbers = st.integers(1, 999)
indexes = st.one_of(numbers, st.just("*"))


@pytest.mark.parametrize(
    ("text", "segment", "index", "field", "repetition", "component", "subcomponent"),
    [
        ("PID", "PID", 1, None, 1, None, None),
        ("OBX[3]", "OBX", 3, None, 1, None, None),
        ("PID-3", "PID", 1, 3, 1, None, None),
        ("PID-3.1", "PID", 1, 3, 1, 1, None),
        ("PID-3[2].4.1", "PID", 1, 3, 2, 4, 1),
        ("OBX[*]-5", "OBX", "*", 5, 1, None, None),
        ("PID-3[*].1", "PID", 1, 3, "*", 1, None),
        ("ZA1-2", "ZA1", 1, 2, 1, None, None),
    ],
)
def test_a_path_names_its_parts(text: str, segment: str, index: object, field: object, repetition: object,
                                component: object, subcomponent: object) -> None:  # fmt: skip
    path = Path.parse(text)
    assert (path.segment, path.index, path.field) == (segment, index, field)
    assert (path.repetition, path.component, path.subcomponent) == (repetition, component, subcomponent)
    assert str(path) == text
    assert repr(path) == f"Path({text!r})"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("pid-3", 1),
        ("PI-3", 1),
        ("PID-", 4),
        ("PID3", 4),
        ("PID-3.", 6),
        ("PID-3.1.2.3", 10),
        ("PID-3[x]", 6),
        ("PID-3[2", 6),
        ("PID-0", 5),
        ("PID[0]-3", 5),
        ("PID-3[00].1", 7),
        ("PID-3.1 ", 8),
        ("PID-12345", 9),
    ],
)
def test_what_is_no_path_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ValueError, match=f"position {position}\\b"):
        Path.parse(text)


def test_a_path_is_parsed_once() -> None:
    assert Path.parse("PID-3.1") is Path.parse("PID-3.1")


def test_a_first_repetition_that_is_written_out_is_not_the_whole_field() -> None:
    assert Path.parse("PID-3").whole
    assert Path.parse("PID-3[*]").whole
    assert not Path.parse("PID-3[1]").whole
    assert not Path.parse("PID-3.1").whole


@given(indexes, numbers, indexes, st.none() | numbers, st.none() | numbers)
def test_a_path_is_written_as_it_is_read(
    index: int, field: int, repetition: int, component: int | None, subcomponent: int | None
) -> None:
    text = f"PID[{index}]-{field}[{repetition}]"
    if component is not None:
        text += f".{component}"
        text += "" if subcomponent is None else f".{subcomponent}"
    path = Path.parse(text)
    again = Path.parse(str(path))
    assert str(again) == str(path)
    assert (again.place, again.position, again.nth, again.many) == (
        path.place, path.position, path.nth, path.many,
    )  # fmt: skip
