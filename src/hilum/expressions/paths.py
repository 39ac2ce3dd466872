"""HL7 v2 paths as expressions and mappings use them: one token, bound to the loops around it, null as text.

This is the only module of the room that knows a format. A path language of another format is a module with
the same names (SYNTAX, Place, read) and a tokenizer that is given it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

from hilum.formats.hl7v2 import NULL, Message, Path

SYNTAX = (
    r"(?>[A-Z][A-Z0-9]{2}(?:\[(?:[0-9]+|\*)\])?"
    r"(?:-[0-9]+(?:\[(?:[0-9]+|\*)\])?(?:\.[0-9]+){0,2})?)(?![A-Za-z0-9_.\[])"
)
_INDEXED = re.compile(r"[A-Z0-9]{3}(\[)?[^-]*(?:-[0-9]+(\[)?)?")

HL7_NULL = '""'
"""How the HL7 null reads in an expression, and how it is written."""


@dataclasses.dataclass(frozen=True, slots=True)
class Loop:
    """What a mapping's `each` goes through: segments of a name, or the repetitions of one field of it."""

    segment: str
    field: int | None = None


Number = int | Literal["*"]
Loops = tuple[Loop, ...]
Position = tuple[int, ...]
"""Where each loop stands, outermost first; counted from 1."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A path, and the loops that give it the indexes it does not name itself."""

    path: Path
    index: int | None = None  # which loop gives the segment's index
    repetition: int | None = None  # which loop gives the field's repetition

    @staticmethod
    def parse(text: str, loops: Loops = ()) -> Place:
        """Raises ValueError naming the position that cannot be read."""
        path = Path.parse(text)
        match = _INDEXED.match(text)
        named = match.groups() if match else (None, None)
        index = repetition = None
        for level, loop in enumerate(loops):
            if loop.segment != path.segment:
                continue
            if loop.field is None and not named[0]:
                index = level
            elif loop.field is not None and loop.field == path.field and not (named[0] or named[1]):
                repetition = level
        return Place(path, index, repetition)

    @property
    def bound(self) -> bool:
        """Whether it depends on a loop."""
        return self.index is not None or self.repetition is not None

    def at(self, position: Position) -> Path:
        """The path in this turn of the loops."""
        if not self.bound:
            return self.path
        path = self.path
        index = path.index if self.index is None else position[self.index]
        if self.repetition is None:
            return _with(path, index, path.repetition, whole=path.whole)
        return _with(path, index, position[self.repetition], whole=False)

    def __str__(self) -> str:
        return str(self.path)


def read(message: Message, path: Path) -> str | None:
    """The text at `path`; None where absent, `""` for the HL7 null."""
    value = message.get(path)
    return HL7_NULL if value is NULL else value


def read_all(message: Message, path: Path) -> list[str | None]:
    """The texts that a path with `*` names; absent places have none."""
    return [HL7_NULL if value is NULL else value for value in message.get_all(path)]


def count(message: Message, path: Path) -> int:
    """How many segments there are of those that `path` names."""
    found = len(message.segments(path.segment))
    return found if path.index == "*" else int(found >= path.index)


def expand(message: Message, path: Path) -> list[Path]:
    """The single places that a path with `*` names; the path itself where it names one."""
    if not path.many:
        return [path]
    total = len(message.segments(path.segment)) if path.index == "*" else 1
    indexes: Iterable[Number] = range(1, total + 1) if path.index == "*" else (path.index,)
    found = []
    for index in indexes:
        if path.repetition != "*":
            found.append(_with(path, index, path.repetition, whole=path.whole))
            continue
        field = dataclasses.replace(path, index=index, component=None, subcomponent=None, whole=True)
        found += [_with(path, index, number, whole=False) for number in range(1, len(message.get_all(field)) + 1)]
    return found


def follow(path: Path, found: Path) -> Path:
    """`path` with each `*` replaced by the index that `found`, a place of another path, has there."""
    index = found.index if path.index == "*" else path.index
    if path.repetition == "*":
        return _with(path, index, found.repetition, whole=False)
    return _with(path, index, path.repetition, whole=path.whole)


def everywhere(text: str) -> Path:
    """The path in which an index left out means every one. Raises ValueError as `Path.parse` does."""
    path = Path.parse(text)
    match = _INDEXED.match(text)
    segment, repetition = match.groups() if match else (None, None)
    if not segment:
        path = dataclasses.replace(path, index="*")
    if path.field is not None and not repetition:
        path = dataclasses.replace(path, repetition="*", whole=path.component is None)
    return path


def _with(path: Path, index: Number, repetition: Number, *, whole: bool) -> Path:
    """`path` with other numbers; `dataclasses.replace` takes four times as long."""
    return Path(path.segment, index, path.field, repetition, path.component, path.subcomponent, whole)
