"""An HL7 v2 message as people read it: segments, fields and components with the standard's names."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text
from rich.tree import Tree

from hilum.cli.output import plain
from hilum.formats.hl7v2 import NULL, Message, Segment
from hilum.formats.hl7v2.definitions import Definitions, FieldDefinition, definitions
from hilum.formats.hl7v2.escape import read_text
from hilum.formats.hl7v2.path import HEADERS

LONGEST = 400  # characters of a value that are shown
VALUE = 48  # the column where values begin


def message_tree(body: bytes) -> Tree:
    """The tree of a message. Raises FormatError where the bytes are none."""
    return _Printer(Message.parse(body)).tree()


def differences(before: bytes, after: bytes) -> Iterator[tuple[str, str, str]]:
    """What changed between two messages: path, old text, new text. Raises FormatError."""
    old, new = _fields(Message.parse(before)), _fields(Message.parse(after))
    for path in dict.fromkeys([*new, *old]):
        if old.get(path) != new.get(path):
            yield from _narrow(path, old.get(path), new.get(path))


class _Printer:
    def __init__(self, message: Message) -> None:
        self._message = message
        self._known: Definitions = definitions(message.version)
        self._marks = message.delimiters
        self._codec = message.charset

    def tree(self) -> Tree:
        root = Tree("", guide_style="bright_black", hide_root=True)
        segments = self._message.segments()
        for segment in segments:
            many = sum(one.name == segment.name for one in segments) > 1
            label = f"{segment.name}[{segment.index}]" if many else segment.name
            title = self._known.segment_name(segment.name)
            self._segment(root, segment, plain(label), title if title != segment.name else "")
        return root

    def _segment(self, root: Tree, segment: Segment, label: str, title: str) -> None:
        node = root.add(Text.assemble((label, "bold cyan"), "  ", (title, "bold")))
        for number, raw in enumerate(segment.fields):
            if not number or not raw:
                continue
            definition = self._known.field(segment.name, number)
            if segment.name in HEADERS and number in (1, 2):
                self._leaf(node, f"{label}-{number}", definition, raw.decode(self._codec, "surrogateescape"))
                continue
            datatype = definition.datatype if definition else ""
            if segment.name == "OBX" and number == 5:
                datatype = str(segment["2"] or "")
            repetitions = raw.split(self._marks.repetition) if self._marks.repetition else [raw]
            for at, one in enumerate(repetitions, start=1):
                path = f"{label}-{number}[{at}]" if len(repetitions) > 1 else f"{label}-{number}"
                marks = [self._marks.component, self._marks.subcomponent]
                self._value(node, path, definition, datatype, one, marks)

    def _value(
        self, node: Tree, path: str, definition: FieldDefinition | None, datatype: str, raw: bytes, marks: list[bytes]
    ) -> None:
        """A value; where it has parts, a branch of them."""
        parts = raw.split(marks[0]) if marks and marks[0] else [raw]
        if len(parts) == 1 and (len(marks) < 2 or not marks[1] or marks[1] not in raw):
            self._leaf(node, path, definition, read_text(raw, self._marks, self._codec))
            return
        branch = node.add(self._line(path, definition, alone=True)) if len(parts) > 1 else node
        components = self._known.components(datatype)
        for number, part in enumerate(parts, start=1):
            if part:
                inner = components[number - 1] if number <= len(components) else None
                name = f"{path}.{number}" if len(parts) > 1 else path
                below = (inner, inner.datatype if inner else "") if len(parts) > 1 else (definition, datatype)
                self._value(branch, name, *below, part, marks[1:])

    def _leaf(self, node: Tree, path: str, definition: FieldDefinition | None, value: object) -> None:
        line = self._line(path, definition)
        text = '"" (delete it)' if value is NULL else plain(value)
        line.append(text[:LONGEST], "bold" if value is not NULL else "italic")
        if len(text) > LONGEST:
            line.append(f" … {len(text):,} characters, whole with --raw", "dim")
        table = self._known.table(definition.table) if definition and definition.table else None
        meaning = table.codes.get(str(value)) if table else None
        if meaning:
            line.append(f"  {meaning}", "dim italic")
        node.add(line)

    def _line(self, path: str, definition: FieldDefinition | None, *, alone: bool = False) -> Text:
        """Path and name, up to the column of values; `alone`: no value follows."""
        name = definition.name if definition else ""
        depth = 1 + ("." in path) + (path.count(".") > 1)  # each level is moved in by four columns
        width = 0 if alone else max(0, VALUE - 4 * depth - max(len(path), 10))
        return Text.assemble((f"{path:<10} ", "cyan"), (f"{name:<{width}}" + " " * (not alone), "dim"), overflow="fold")


def _fields(message: Message) -> dict[str, str]:
    """Every field that holds something, by path, as its text stands in the message."""
    found = {}
    for segment in message.segments():
        label = segment.name if segment.index == 1 else f"{segment.name}[{segment.index}]"
        for number, raw in enumerate(segment.fields):
            if number and raw:
                found[f"{label}-{number}"] = raw.decode(message.charset, "surrogateescape")
    return found


def _narrow(path: str, old: str | None, new: str | None) -> Iterator[tuple[str, str, str]]:
    """A changed field, or those of its components that changed where the rest is the same."""
    before, after = (old or "").split("^"), (new or "").split("^")
    if len(before) == len(after) > 1 and "~" not in f"{old}{new}":
        for number, (one, other) in enumerate(zip(before, after, strict=True), start=1):
            if one != other:
                yield f"{path}.{number}", one, other
    else:
        yield path, old or "", new or ""
