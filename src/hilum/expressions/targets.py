"""What rules do to a place of a message, alike for every format: write, fill in, transfer, take away, go through.

A rule's target is compiled from its path once. All raise ValueError, worded for a person, where a message cannot
take what it is given; a position is where the loops stand, see `paths` and `json_paths`.
"""

from __future__ import annotations

import abc
import datetime
import math
from collections.abc import Callable
from typing import Any, Final

from hilum.expressions.json_paths import JSON_LOOP, JsonPlace, Turn, json_of, text_of
from hilum.expressions.paths import HL7_NULL, Loop, Loops, Place, Position, expand, read
from hilum.expressions.values import EvaluationError, Value, as_text
from hilum.formats.hl7v2 import Message
from hilum.formats.json_document import JsonDocument
from hilum.formats.jsonpath import MISSING

MAX_TURNS: Final = 10_000  # of one loop
MAX_REMOVING: Final = 1_000  # of one that removes: what follows is looked for anew each time
MAX_STEPS: Final = 50  # names and indexes of a path that is written
MAX_INDEX: Final = 9_999  # of an array's element that is written

Body = Callable[[int], bool]
"""One turn of a loop, by its number; whether its rules ran."""


class Target(abc.ABC):
    """One place (or, in HL7 v2, several of a kind) that rules read, write and remove."""

    many = False

    @abc.abstractmethod
    def set(self, document: Any, position: Position, value: Any) -> None:
        """Write what a configuration says."""

    @abc.abstractmethod
    def put(self, document: Any, position: Position, value: Value) -> None:
        """Write what an expression gives; null takes away what stands there and makes nothing."""

    @abc.abstractmethod
    def fill(self, document: Any, position: Position, value: Any) -> None:
        """Write where nothing stands."""

    @abc.abstractmethod
    def take(self, document: Any, position: Position) -> Any:
        """What stands there with its structure, for `give` of the same format; None or MISSING: nothing."""

    @abc.abstractmethod
    def give(self, document: Any, position: Position, raw: Any) -> None:
        """Write what `take` took; nothing takes away what stands there and makes nothing."""

    @abc.abstractmethod
    def text(self, document: Any, position: Position) -> Value:
        """What stands there for a message of another format."""

    def adopt(self, document: Any, position: Position, value: Value) -> None:
        """Write what `text` found in a message of another format."""
        self.put(document, position, value)

    @abc.abstractmethod
    def remove(self, document: Any, position: Position) -> None: ...


class Through(abc.ABC):
    """What a loop goes through: `loop` binds the paths inside, `run` takes the turns."""

    loop: Loop

    @abc.abstractmethod
    def run(self, document: Any, position: Position, body: Body, *, removes: bool) -> None:
        """Raises EvaluationError where there are too many."""


class Into(abc.ABC):
    """Where each turn of a loop makes a new entry of another message."""

    loop: Loop

    @abc.abstractmethod
    def next(self, document: Any, position: Position) -> int:
        """The number of an entry that is not there yet."""


class Hl7Target(Target):
    """A path of HL7 v2."""

    def __init__(self, text: str, loops: Loops, *, segment: bool = False) -> None:
        self.place = Place.parse(text, loops)
        path = self.place.path
        if path.literal or (path.field is None and path.segment == "MSH"):
            raise ValueError(f"{text} cannot be changed: it declares the delimiters")
        if path.field is None and not segment:
            raise ValueError(f"{text} is a segment; name a field of it")
        self.many = path.many

    def set(self, document: Message, position: Position, value: str) -> None:
        document.set(self.place.at(position), value)

    def put(self, document: Message, position: Position, value: Value) -> None:
        path = self.place.at(position)
        if value is not None or any(read(document, one) for one in expand(document, path)):
            document.set(path, as_text(value))  # type: ignore[arg-type]  # the compiler saw to its kind

    def fill(self, document: Message, position: Position, value: str) -> None:
        for path in expand(document, self.place.at(position)):
            if not read(document, path):
                document.set(path, value)

    def take(self, document: Message, position: Position) -> bytes | None:
        return document.raw(self.place.at(position))

    def give(self, document: Message, position: Position, raw: bytes | None) -> None:
        path = self.place.at(position)
        if raw or document.raw(path):
            document.set_raw(path, raw or b"")

    def text(self, document: Message, position: Position) -> Value:
        return read(document, self.place.at(position))

    def remove(self, document: Message, position: Position) -> None:
        document.remove(self.place.at(position))


class Hl7Source(Hl7Target):
    """A path that is only read: MSH-1 and MSH-2 too."""

    def __init__(self, text: str, loops: Loops) -> None:
        self.place = Place.parse(text, loops)
        if self.place.path.field is None or self.place.path.many:
            raise ValueError(f"{text} is not one field to copy")


class Hl7Through(Through):
    """The segments of a name, or the repetitions of a field."""

    def __init__(self, text: str, loops: Loops) -> None:
        self.place = Hl7Target(text, loops, segment=True).place
        self.loop = _hl7_loop(self.place, "each goes through segments, OBX[*], or repetitions, PID-3[*]")

    def run(self, document: Message, position: Position, body: Body, *, removes: bool) -> None:
        places = expand(document, self.place.at(position))
        _bounded(len(places), removes, self.place)
        turn, last = 1, len(places)
        while turn <= last:
            if body(turn) and removes and document.raw(places[last - 1]) is None:
                last -= 1  # the next one has the number now
            else:
                turn += 1


class Hl7Into(Into):
    """A new segment, or a new repetition of a field."""

    def __init__(self, text: str, loops: Loops) -> None:
        self.place = Hl7Target(text, loops, segment=True).place
        self.loop = _hl7_loop(self.place, "into makes segments, OBX[*], or repetitions, PID-3[*]")

    def next(self, document: Message, position: Position) -> int:
        return len(expand(document, self.place.at(position))) + 1


def _hl7_loop(place: Place, reason: str) -> Loop:
    path = place.path
    if path.index == "*" and path.field is None:
        return Loop(path.segment)
    if path.field and path.repetition == "*" and path.component is None:
        if path.index == "*":
            raise ValueError("go through the segments first, then, within, the repetitions")
        return Loop(path.segment, path.field)
    raise ValueError(reason)


class JsonTarget(Target):
    """A path of JSON; `whole`: a query that may find several, which can be removed alone."""

    def __init__(self, text: str, loops: Loops, *, several: bool = False) -> None:
        self.place = JsonPlace.parse(text, loops)
        self.many = not self.place.query.singular
        if self.many and not several:
            raise ValueError(f"{text} may find several places: write one, and go through several with each")
        self.keys = self.place.query.keys or ()
        if len(self.keys) > MAX_STEPS or any(isinstance(key, int) and key > MAX_INDEX for key in self.keys):
            raise ValueError(f"{text}: at most {MAX_STEPS} steps, and indexes up to {MAX_INDEX:,}")

    def set(self, document: JsonDocument, position: Position, value: Any) -> None:
        container, key = self._reach(*self.place.start(document, position))
        container[key] = document.copy(value)

    def put(self, document: JsonDocument, position: Position, value: Any) -> None:
        if value is None:
            self._empty(document, position)
        else:
            self.set(document, position, json_of(value))

    def adopt(self, document: JsonDocument, position: Position, value: Value) -> None:
        if value == HL7_NULL:
            self.set(document, position, None)
        else:
            self.put(document, position, value)

    def fill(self, document: JsonDocument, position: Position, value: Any) -> None:
        found = self.take(document, position)
        if found is MISSING or found is None or found == "":
            self.set(document, position, value)

    def take(self, document: JsonDocument, position: Position) -> Any:
        container, key = self.place.start(document, position)
        if isinstance(container, list) and key >= len(container):
            return MISSING
        return self.place.query.value(container[key])

    def give(self, document: JsonDocument, position: Position, raw: Any) -> None:
        if raw is MISSING:
            self._empty(document, position)
        else:
            self.set(document, position, raw)

    def text(self, document: JsonDocument, position: Position) -> Value:
        found = self.take(document, position)
        return None if found is MISSING else text_of(found)

    def remove(self, document: JsonDocument, position: Position) -> None:
        nodes = {(id(container), key): (container, key) for container, key in self.place.nodes(document, position)}
        for container, key in sorted(nodes.values(), key=_last_first) if len(nodes) > 1 else nodes.values():
            if container is document.holder:
                document.holder[0] = None  # a body is never nothing
            elif key in container if isinstance(container, dict) else key < len(container):
                document.remove(container, key)

    def _empty(self, document: JsonDocument, position: Position) -> None:
        """A member goes; an element becomes null, so that the others keep their places."""
        if self.take(document, position) is MISSING:
            return
        ((container, key),) = self.place.nodes(document, position)
        if isinstance(container, dict):
            document.remove(container, key)
        else:
            container[key] = None

    def _reach(self, container: Any, key: Any) -> tuple[Any, Any]:
        """Container and key of the place; what is missing on the way is made."""
        for step in self.keys:
            value = self._at(container, key)
            if value is None:
                value = container[key] = {} if isinstance(step, str) else []
            if isinstance(step, str):
                if not isinstance(value, dict):
                    raise ValueError(f"{self.place}: there is no object to put {step!r} in")
            elif not isinstance(value, list):
                raise ValueError(f"{self.place}: there is no array to put element {step} in")
            elif step < 0:
                step += len(value)
                if step < 0:
                    raise ValueError(f"{self.place}: the array has no such element")
            container, key = value, step
        self._at(container, key)
        return container, key

    def _at(self, container: Any, key: Any) -> Any:
        if isinstance(container, dict):
            return container.get(key)
        if key > len(container):
            raise ValueError(f"{self.place}: element {key} would leave a gap in an array of {len(container)}")
        if key == len(container):
            container.append(None)
        return container[key]


def _last_first(node: tuple[Any, Any]) -> tuple[int, int]:
    """The elements of an array from its end, so that none moves before its turn."""
    container, key = node
    return id(container), -key if isinstance(key, int) else 0


class JsonThrough(Through):
    """The nodes that a query finds; `@` is the one whose turn it is."""

    loop = JSON_LOOP

    def __init__(self, text: str, loops: Loops) -> None:
        self.place = JsonPlace.parse(text, loops)
        if self.place.query.singular:
            raise ValueError(f"each goes through what a query finds, such as {text}[*]")

    def run(self, document: JsonDocument, position: Position, body: Body, *, removes: bool) -> None:
        cells = [[container, key] for container, key in self.place.nodes(document, position)]
        _bounded(len(cells), removes, self.place)
        before: dict[int, int] = {}
        for cell in cells:
            known = document.cells.setdefault(id(cell[0]), [])
            before.setdefault(id(cell[0]), len(known))
            known.append(cell)
        try:
            for number, cell in enumerate(cells, start=1):
                if cell[1] is not None:
                    turn = Turn(number)
                    turn.cell = cell
                    body(turn)
        finally:
            for container, count in before.items():
                del document.cells[container][count:]


class JsonInto(Into):
    """A new element of an array, which is made where it is missing."""

    loop = JSON_LOOP

    def __init__(self, text: str, loops: Loops) -> None:
        if not text.endswith("[*]"):
            raise ValueError(f"into makes elements of an array, such as {text}[*]")
        self._array = JsonTarget(text[:-3], loops)

    def next(self, document: JsonDocument, position: Position) -> int:
        found = self._array.take(document, position)
        if found is MISSING or found is None:
            self._array.set(document, position, [])
            found = self._array.take(document, position)
        if not isinstance(found, list):
            raise ValueError(f"{self._array.place}: there is no array to put elements in")
        turn = Turn(len(found) + 1)
        turn.cell = [found, len(found)]
        return turn


def _bounded(count: int, removes: bool, place: object) -> None:
    most = MAX_REMOVING if removes else MAX_TURNS
    if count > most:
        raise EvaluationError(f"each: more than {most:,} of {place}")


def hl7_fixed(value: Any) -> str:
    """What `set` and `default` write. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("put it in quotes: a value of HL7 v2 is text, a string")
    return value


def json_fixed(value: Any) -> Any:
    """The same in JSON: anything that JSON can say."""
    if isinstance(value, (datetime.date, datetime.time)):
        raise ValueError("put the date in quotes, so that it is text")
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        raise ValueError("the names of an object's members are texts: put them in quotes")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        json_fixed(one)
    if (isinstance(value, float) and not math.isfinite(value)) or not isinstance(
        value, str | int | float | list | dict | None
    ):
        raise ValueError("the value is none of JSON")
    return value
