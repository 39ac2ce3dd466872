"""What an S3 store answers: small XML documents, read without following anything that they name."""

from __future__ import annotations

import dataclasses
from xml.parsers import expat

from hilum.errors import FormatError

_DEEPEST = 16
_MOST = 200_000
"""Elements of one answer: a list has a thousand objects, and some ten of each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """`name`: of the root; `values`: what its children say; `items`: those of its children that have children."""

    name: str
    values: dict[str, str]
    items: list[tuple[str, dict[str, str]]]


def read(content: bytes) -> Answer:
    """Raises FormatError where it is no XML, has a document type (and so entities), or is built too deep."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise FormatError(f"the answer is no XML: {expat.ErrorString(error.code)}") from None
    return Answer(reader.name, reader.values, reader.items)


class _Reader:
    def __init__(self) -> None:
        self.name = ""
        self.values: dict[str, str] = {}
        self.items: list[tuple[str, dict[str, str]]] = []
        self._path: list[str] = []
        self._item: dict[str, str] | None = None
        self._said = ""
        self._count = 0

    def refuse(self, *_: object) -> None:
        raise FormatError("the answer has a document type, which none of S3's has")

    def start(self, name: str, _: object) -> None:
        self._count += 1
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) > _DEEPEST or self._count > _MOST:
            raise FormatError("the answer is larger than any of S3's")
        self._said = ""
        if len(self._path) == 1:
            self.name = self._path[0]
        elif len(self._path) == 3 and self._item is None:
            self._item = {}

    def text(self, text: str) -> None:
        self._said += text

    def end(self, _: str) -> None:
        name, depth = self._path.pop(), len(self._path)
        if depth == 2 and self._item is not None:
            self._item[name] = self._said
        elif depth == 1 and self._item is not None:
            self.items.append((name, self._item))
            self._item = None
        elif depth == 1:
            self.values[name] = self._said
        self._said = ""
