"""Examples that are stored with a mapping: the message that goes in, and what is expected of the one that comes out."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from hilum.errors import FormatError
from hilum.expressions.paths import expand, read
from hilum.formats.hl7v2 import Message, Path
from hilum.formats.json_document import JsonDocument, equal
from hilum.formats.jsonpath import MISSING, parse

MAX_DIFFERENCES = 20  # that are told of a whole document

Expected = str | dict[str, Any] | list[Any]


def body_of(given: Expected, form: str) -> bytes:
    """A message as an example writes it: text, or in JSON what it says."""
    if not isinstance(given, str):
        return json.dumps(given, ensure_ascii=False, default=str).encode("utf-8", "replace")
    if form == "json":
        return given.encode("utf-8", "replace")
    return given.strip("\r\n").replace("\r\n", "\r").replace("\n", "\r").encode()


def told(given: Expected) -> str:
    """The same for people."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)


def compared(document: Any, expected: Expected, form: str) -> tuple[Any, list[str]]:
    """What an example finds, and what it expects and does not find; a path that cannot be read is a difference."""
    if form == "json":
        by_path = isinstance(expected, dict) and expected and all(path.startswith("$") for path in expected)
        return _values(document, expected, _json_value, equal) if by_path else _whole_json(document, expected)  # type: ignore[arg-type]  # by_path looked
    if isinstance(expected, dict):
        return _values(document, expected, _hl7_value, lambda found, wanted: bool(found == wanted))
    return _whole_hl7(document, str(expected))


def _values(document: Any, expected: dict[str, Any], value_of: Any, same: Any) -> tuple[Any, list[str]]:
    values: dict[str, Any] = {}
    problems = []
    for text, wanted in expected.items():
        try:
            values[text] = value_of(document, text)
        except ValueError as error:
            problems.append(str(error))
            continue
        if not same(values[text], wanted):
            problems.append(f"{text} is {values[text]!r}, not {wanted!r}")
    return values, problems


def _hl7_value(message: Message, text: str) -> str | list[str] | None:
    path = Path.parse(text)
    if path.many:
        return [read(message, place) or "" for place in expand(message, path)]
    return read(message, path)


def _json_value(document: JsonDocument, text: str) -> Any:
    query = parse(text)
    if not query.singular:
        return [_plain(one) for one in query.values(document.holder)]
    found = query.value(document.root)
    return None if found is MISSING else _plain(found)


def _whole_hl7(message: Message, expected: str) -> tuple[str, list[str]]:
    found, wanted = (
        body.strip(b"\r\n").decode(errors="replace").split("\r")
        for body in (bytes(message), body_of(expected, "hl7v2"))
    )
    pairs = enumerate(zip_longest(found, wanted), start=1)
    return "\n".join(found), [f"line {line} is {one!r}, not {two!r}" for line, (one, two) in pairs if one != two]


def _whole_json(document: JsonDocument, expected: Expected) -> tuple[Any, list[str]]:
    found = _plain(document.root)
    try:
        wanted = JsonDocument.parse(body_of(expected, "json")).root
    except FormatError as error:
        return found, [f"what is expected is {error}"]
    problems: list[str] = []
    _differences(found, _plain(wanted), "$", problems)
    return found, problems


def _differences(found: Any, wanted: Any, path: str, problems: list[str]) -> None:
    if len(problems) >= MAX_DIFFERENCES or equal(found, wanted):
        return
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {**found, **wanted}:
            _differences(found.get(name, MISSING), wanted.get(name, MISSING), f"{path}[{name!r}]", problems)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for number, (one, two) in enumerate(zip(found, wanted, strict=True)):
            _differences(one, two, f"{path}[{number}]", problems)
    elif found is MISSING:
        problems.append(f"{path} is missing, not {wanted!r}")
    elif wanted is MISSING:
        problems.append(f"{path} is {found!r}, and is not expected")
    else:
        problems.append(f"{path} is {found!r}, not {wanted!r}")


def _plain(value: Any) -> Any:
    """A value as other writers of JSON take it: numbers as int or float."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
