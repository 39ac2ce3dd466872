"""A place in an HL7 v2 message, written as people write it: `PID-3[2].4.1`, `OBX[*]-5`, `ZPI`.

Paths are parsed once and cached, because a route reads the same few of them for every message.
"""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache
from typing import Literal

Number = int | Literal["*"]

HEADERS = frozenset({"MSH", "FHS", "BHS"})
"""The segments whose first field is the field separator itself (chapter 2, 2.5.3)."""

_GRAMMAR = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[([0-9]{1,6}|\*)\])?"
    r"(?:-([0-9]{1,4})(?:\[([0-9]{1,4}|\*)\])?(?:\.([0-9]{1,4})(?:\.([0-9]{1,4}))?)?)?"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """`SEG[n]-F[r].C.S`; all numbers count from 1, `*` means every one, an index left out means the first.

    >>> Path.parse("PID-3[2].4.1")
    Path('PID-3[2].4.1')
    >>> Path.parse("OBX[*]-5").index
    '*'
    """

    segment: str
    index: Number = 1
    field: int | None = None
    repetition: Number = 1
    component: int | None = None
    subcomponent: int | None = None
    whole: bool = True
    """Neither repetition nor component is given (or the repetition is `*`): the field as it stands."""

    # What the codec asks for every message, worked out once.
    name: bytes = dataclasses.field(init=False, compare=False)
    place: str = dataclasses.field(init=False, compare=False)
    position: int = dataclasses.field(init=False, compare=False)
    nth: int = dataclasses.field(init=False, compare=False)
    many: bool = dataclasses.field(init=False, compare=False)
    literal: bool = dataclasses.field(init=False, compare=False)
    plain: bool = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        header = self.segment in HEADERS
        number = self.field or 0
        many = self.index == "*" or self.repetition == "*"
        literal = header and number in (1, 2)
        derive = object.__setattr__
        derive(self, "name", self.segment.encode())
        derive(self, "place", f"{self.segment}[{self.index}]")
        derive(self, "position", number - 1 if header else number)
        derive(self, "nth", 0 if self.repetition == "*" else self.repetition)
        derive(self, "many", many)
        derive(self, "literal", literal)
        derive(self, "plain", self.field is not None and not many and not literal)

    @staticmethod
    def parse(text: str) -> Path:
        """The path that `text` writes; cached.

        Raises ValueError naming the position that cannot be read.
        """
        return parse_path(text)

    def __str__(self) -> str:
        text = self.segment if self.index == 1 else self.place
        if self.field is not None:
            text += f"-{self.field}"
        if self.repetition != 1:
            text += f"[{self.repetition}]"
        for part in (self.component, self.subcomponent):
            text += "" if part is None else f".{part}"
        return text

    def __repr__(self) -> str:
        return f"Path({str(self)!r})"


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """`Path.parse`, as a plain function for the hot path."""
    match = _GRAMMAR.match(text)
    end = match.end() if match else 0
    if match is None or end != len(text):
        found = repr(text[end]) if end < len(text) else "the end"
        raise ValueError(f"{text!r} is not an HL7 path: unexpected {found} at position {end + 1}")
    segment, index, number, repetition, component, subcomponent = match.groups()
    for group, given in enumerate(match.groups()[1:], start=2):
        if given is not None and given.strip("0") == "":
            where = match.start(group) + 1
            raise ValueError(f"{text!r} is not an HL7 path: numbers count from 1 (position {where})")
    return Path(
        segment,
        _number(index),
        None if number is None else int(number),
        _number(repetition),
        None if component is None else int(component),
        None if subcomponent is None else int(subcomponent),
        component is None and repetition in (None, "*"),
    )


def _number(text: str | None) -> Number:
    if text == "*":
        return "*"
    return 1 if text is None else int(text)
