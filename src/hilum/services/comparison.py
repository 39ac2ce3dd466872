"""What changed between two documents, for people: a unified diff of their YAML, and the paths that differ."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hilum.model.document import text_of


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """`unified` is empty where both say the same; `changed` holds paths such as steps[1].map.set.MSH-5."""

    before: int
    after: int
    unified: str
    changed: list[str]


def compare(before: tuple[int, Mapping[str, Any]], after: tuple[int, Mapping[str, Any]], name: str) -> Comparison:
    """Two versions, each (number, document), of what is called `name`."""
    (old, one), (new, other) = before, after
    first, second = [text_of(each).splitlines(keepends=True) for each in (one, other)]
    unified = difflib.unified_diff(first, second, f"{name} v{old}", f"{name} v{new}")
    return Comparison(old, new, "".join(unified), list(_changed(dict(one), dict(other), "")))


def _changed(one: Any, other: Any, place: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            here = f"{place}.{key}" if place else str(key)
            if key in one and key in other:
                yield from _changed(one[key], other[key], here)
            else:
                yield here
    elif _list(one) and _list(other):
        for number in range(max(len(one), len(other))):
            here = f"{place}[{number}]"
            if number < min(len(one), len(other)):
                yield from _changed(one[number], other[number], here)
            else:
                yield here
    elif one != other or type(one) is not type(other):
        yield place


def _list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
