"""Paths that name many places, and paths that follow them."""

from __future__ import annotations

import pytest

from hilum.expressions import Loop, Place, everywhere, expand, follow
from hilum.formats.hl7v2 import Message, Path


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("PID-3.1", ["PID-3.1"]),
        ("PID-3[*].1", ["PID-3[1].1", "PID-3[2].1"]),
        ("OBX[*]-5", ["OBX-5", "OBX[2]-5"]),
        ("OBX[*]-3[*].1", ["OBX-3[1].1", "OBX[2]-3[1].1"]),
        ("OBX[*]", ["OBX", "OBX[2]"]),
        ("NTE[*]-3", []),
        ("PID-20[*]", []),
    ],
)
def test_expand(sample: Message, path: str, places: list[str]) -> None:
    found = expand(sample, Path.parse(path))
    assert [one.segment + str(one.index) for one in found] == [
        Path.parse(place).segment + str(Path.parse(place).index) for place in places
    ]
    assert [sample.get(one) for one in found if one.field] == [
        sample.get(place) for place in places if Path.parse(place).field
    ]
    assert not any(one.many for one in found)


def test_follow(sample: Message) -> None:
    found = expand(sample, Path.parse("OBX[*]-3"))[1]
    sample.set(follow(Path.parse("OBX[*]-4"), found), "X")
    assert sample["OBX[*]-4"] == ["", "X"]
    assert follow(Path.parse("PID-4"), found) == Path.parse("PID-4")
    second = expand(sample, Path.parse("PID-3[*].1"))[1]
    assert sample.get(follow(Path.parse("PID-3[*].4"), second)) == "NHS"


@pytest.mark.parametrize(
    ("text", "many"),
    [("PID-3", "PID[*]-3[*]"), ("PID-3.1", "PID[*]-3[*].1"), ("NTE", "NTE[*]"), ("OBX[2]-5", "OBX[2]-5[*]")],
)
def test_everywhere(text: str, many: str) -> None:
    assert everywhere(text) == Path.parse(many)


@pytest.mark.parametrize("text", ["PID[1]-3[2].1", "OBX[2]"])
def test_everywhere_keeps_what_is_written(text: str) -> None:
    assert everywhere(text) == Path.parse(text)


def test_a_place_is_bound_by_the_loop_of_its_segment() -> None:
    loops = (Loop("OBX"), Loop("OBX", 5))
    assert Place.parse("OBX-5.1", loops).at((3, 2)) == Path.parse("OBX[3]-5[2].1")
    assert Place.parse("OBX-6", loops).at((3, 2)) == Path.parse("OBX[3]-6")
    assert Place.parse("OBX-5[1]", loops).at((3, 2)) == Path.parse("OBX[3]-5[1]")
    assert Place.parse("OBX[1]-5", loops).at((3, 2)) == Path.parse("OBX[1]-5")
    assert not Place.parse("PID-5", loops).bound
    assert str(Place.parse("PID-5", loops)) == "PID-5"
