"""JSON bodies (RFC 8259): read with nothing lost, changed in place, written again.

What is not changed keeps its value: decimals keep their digits (6.30 stays 6.30, as FHIR asks), members their
order. White space is not kept. An object that names a member twice is refused: which one is meant, nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

from hilum.errors import FormatError

MAX_DEPTH: Final = 100  # arrays and objects within one another
MAX_COPIED: Final = 1_000_000  # values that are copied within or into a document
_FAR = 9_999  # the largest exponent of a number that Python's own arithmetic of decimals still takes easily

Holder = list[Any]
"""The root's container, so that the root is a place like any other: holder[0]."""


class JsonDocument:
    """A parsed body. Objects are dicts, arrays lists, numbers int, float or (where a float says less) Decimal."""

    __slots__ = ("cells", "holder", "room")

    def __init__(self, root: Any) -> None:
        self.holder: Holder = [root]
        self.cells: dict[int, list[list[Any]]] = {}  # by container: the places of loops, which follow removals
        self.room = MAX_COPIED  # values that may still be copied in

    @staticmethod
    def parse(body: bytes) -> JsonDocument:
        """Raises FormatError, which repeats nothing of the body."""
        try:
            text = body.decode(json.detect_encoding(body)) if body else ""
            root = _decoder.decode(text.removeprefix("\ufeff"))
        except json.JSONDecodeError as error:
            raise FormatError(f"no JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
        except RecursionError:
            raise FormatError(_TOO_DEEP) from None
        except UnicodeDecodeError:
            raise FormatError("no JSON: it is not UTF-8") from None
        except ValueError as error:  # an integer of thousands of digits, or one of ours
            reason = str(error) if isinstance(error, _Unfit) else "a number has too many digits"
            raise FormatError(f"no JSON: {reason}") from None
        if text.count("[") + text.count("{") > MAX_DEPTH and depth(root) > MAX_DEPTH:
            raise FormatError(_TOO_DEEP)
        return JsonDocument(root)

    @property
    def root(self) -> Any:
        return self.holder[0]

    def __bytes__(self) -> bytes:
        """UTF-8, without white space. Raises ValueError where it became too deep."""
        return write(self.root)

    def remove(self, container: Any, key: Any) -> None:
        """Take a member or an element away; the elements behind it move up, and loops know."""
        del container[key]
        for cell in self.cells.get(id(container), ()):
            if cell[1] == key:
                cell[1] = None
            elif isinstance(container, list) and cell[1] is not None and cell[1] > key:
                cell[1] -= 1

    def copy(self, value: Any) -> Any:
        """A copy of a value that is put in here. Raises ValueError where too much is copied."""
        if not isinstance(value, (dict, list)):
            return value
        self.room -= size(value, self.room)
        if self.room < 0:
            raise ValueError(f"more than {MAX_COPIED:,} values are copied")
        if depth(value) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} arrays and objects within one another")
        return _copied(value)


class _Unfit(ValueError):
    """What JSON's grammar allows or Python's reader takes, and nobody can carry on."""


_TOO_DEEP = f"no JSON: more than {MAX_DEPTH} arrays and objects within one another"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unfit("an object names a member twice")
    return found


def _float(text: str) -> float | Decimal:
    """A float where that says the same, digit by digit."""
    found = float(text)
    if repr(found) == text:
        return found
    exact = Decimal(text)
    if abs(exact.adjusted()) > _FAR:
        raise _Unfit("a number is out of range")
    return exact


def _constant(text: str) -> Any:
    raise _Unfit(f"{text} is no number of JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)


def _exact(value: Any) -> Any:
    raise TypeError  # a Decimal: written by hand


_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_exact
)


def write(value: Any) -> bytes:
    """A value as UTF-8. Raises ValueError where it is too deep."""
    try:
        try:
            text = _encoder.encode(value)
        except TypeError:
            pieces: list[str] = []
            _write(value, pieces.append)
            text = "".join(pieces)
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} arrays and objects within one another") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} arrays and objects within one another")
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which came as an escape and leaves as one
        return "".join(f"\\u{ord(one):04x}" if "\ud800" <= one <= "\udfff" else one for one in text).encode()


def _write(value: Any, put: Callable[[str], None]) -> None:
    """What the encoder does, with decimals as they are."""
    if isinstance(value, str):
        put(encode_basestring(value))
    elif isinstance(value, Decimal):
        put(str(value))
    elif isinstance(value, dict):
        mark = "{"
        for name, one in value.items():
            put(f"{mark}{encode_basestring(name)}:")
            _write(one, put)
            mark = ","
        put("}" if value else "{}")
    elif isinstance(value, list):
        mark = "["
        for one in value:
            put(mark)
            _write(one, put)
            mark = ","
        put("]" if value else "[]")
    else:
        put(_encoder.encode(value))


def depth(value: Any) -> int:
    """How many arrays and objects stand within one another, counted no further than one more than MAX_DEPTH."""
    level, here = 0, [value]
    while (here := [one for one in here if isinstance(one, (dict, list))]) and level <= MAX_DEPTH:
        level += 1
        here = [inner for one in here for inner in (one.values() if isinstance(one, dict) else one)]
    return level


def size(value: Any, most: int) -> int:
    """How many values there are in it, itself included, counted no further than one more than `most`."""
    count, stack = 0, [value]
    while stack and count <= most:
        count += 1
        one = stack.pop()
        stack += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    return value


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same in JSON: 1 is 1.0, true is not 1, and objects have no order."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(one, right[name]) for name, one in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(number(left) == number(right))


def number(value: Any) -> Any:
    """A number that compares by its digits: 0.1 is 0.1, not the nearest binary fraction. Other values stay."""
    return Decimal(repr(value)) if isinstance(value, float) else value
