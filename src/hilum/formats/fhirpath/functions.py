"""The functions of FHIRPath that are known here (chapter 5, and extension of the FHIR specification)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.fhirpath.operators import MAX_TEXT
from hilum.formats.fhirpath.values import Evaluate, FhirPathError, Items, Run, answer, single, text, truth, union, whole


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """`call` is given the input, the arguments as they were written, the focus that they are read in, and the run."""

    call: Callable[[Items, tuple[Evaluate, ...], Items, Run], Items]
    least: int = 0
    most: int = 0


FUNCTIONS: Final[dict[str, Function]] = {}

Call = Callable[[Items, tuple[Evaluate, ...], Items, Run], Items]


def function(name: str, least: int = 0, most: int | None = None) -> Callable[[Call], Call]:
    def register(call: Call) -> Call:
        FUNCTIONS[name] = Function(call, least, least if most is None else most)
        return call

    return register


def _each(items: Items, evaluate: Evaluate, run: Run) -> list[Items]:
    """What an expression gives of each item, which is $this meanwhile."""
    found, before = [], run.index
    for number, one in enumerate(run.visit(items)):
        run.index = number
        found.append(evaluate([one], run))
    run.index = before
    return found


@function("where", 1)
def _where(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    held = _each(items, given[0], run)
    return [one for one, found in zip(items, held, strict=True) if truth(found, "where")]


@function("select", 1)
def _select(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return [one for found in _each(items, given[0], run) for one in found]


@function("all", 1)
def _all(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return [all(truth(found, "all") for found in _each(items, given[0], run))]


@function("exists", 0, 1)
def _exists(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return [bool(_where(items, given, focus, run) if given else items)]


@function("iif", 2, 3)
def _iif(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    if truth(given[0](items, run), "iif"):
        return given[1](items, run)
    return given[2](items, run) if len(given) > 2 else []


def _plain(name: str, call: Callable[[Items], Items]) -> None:
    FUNCTIONS[name] = Function(lambda items, given, focus, run: call(run.visit(items)))


def _one(items: Items) -> Items:
    single(items, "single")
    return items


_plain("empty", lambda items: [not items])
_plain("not", lambda items: [not one for one in answer(truth(items, "not"))])
_plain("first", lambda items: items[:1])
_plain("last", lambda items: items[-1:])
_plain("tail", lambda items: items[1:])
_plain("single", _one)
_plain("count", lambda items: [len(items)])
_plain("hasValue", lambda items: [len(items) == 1 and not isinstance(items[0], (dict, list))])
_plain("allTrue", lambda items: [all(one is True for one in items)])
_plain("anyTrue", lambda items: [any(one is True for one in items)])


@function("distinct")
def _distinct(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return union(items, [], run)


@function("union", 1)
def _union(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return union(items, given[0](focus, run), run)


@function("combine", 1)
def _combine(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return run.visit([*items, *given[0](focus, run)])


@function("skip", 1)
def _skip(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return items[max(0, whole(given[0](focus, run), "skip") or 0) :]


@function("take", 1)
def _take(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    return items[: max(0, whole(given[0](focus, run), "take") or 0)]


@function("extension", 1)
def _extension(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    url = text(given[0](focus, run), "extension")
    every = [each for one in items if isinstance(one, dict) for each in one.get("extension") or ()]
    return [one for one in run.visit(every) if isinstance(one, dict) and one.get("url") == url]


def _texts(name: str, call: Callable[..., Any], least: int = 0, most: int | None = None) -> None:
    """A function of one text; nothing gives nothing, also as an argument."""

    def run_it(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
        subject = text(items, name)
        arguments = [single(one(focus, run), name) for one in given]
        if subject is None or any(one is None for one in arguments):
            return []
        run.left -= len(subject) // 100
        found = call(run.visit([subject])[0], *arguments)
        return found if isinstance(found, list) else [] if found is None else [found]

    FUNCTIONS[name] = Function(run_it, least, least if most is None else most)


def _wanted(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise FhirPathError(f"{what} takes text")
    return value


def _substring(subject: str, start: Any, length: Any = None) -> str | None:
    begin = whole([start], "substring") or 0
    if not 0 <= begin < len(subject):
        return None
    return subject[begin:] if length is None else subject[begin : begin + max(0, whole([length], "substring") or 0)]


def _replace(subject: str, old: Any, new: Any) -> str:
    old, new = _wanted(old, "replace"), _wanted(new, "replace")
    if len(subject) + (subject.count(old) if old else len(subject) + 1) * len(new) > MAX_TEXT:
        raise FhirPathError(f"a text would be longer than {MAX_TEXT:,} characters")
    return subject.replace(old, new)


def _split(subject: str, separator: Any) -> Items:
    return list(subject.split(_wanted(separator, "split"))) if separator else [subject]


def _matches(subject: str, pattern: Any) -> bool:
    try:
        return _regex(_wanted(pattern, "matches")).search(subject) is not None
    except UnicodeEncodeError:  # half a surrogate pair: RE2 reads none
        return False


@functools.lru_cache(maxsize=512)
def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern[:500], options)
    except re2.error:
        raise FhirPathError("a pattern cannot be used") from None


_texts("upper", lambda subject: subject.upper())
_texts("lower", lambda subject: subject.lower())
_texts("trim", lambda subject: subject.strip())
_texts("length", len)
_texts("startsWith", lambda subject, part: subject.startswith(_wanted(part, "startsWith")), 1)
_texts("endsWith", lambda subject, part: subject.endswith(_wanted(part, "endsWith")), 1)
_texts("contains", lambda subject, part: _wanted(part, "contains") in subject, 1)
_texts("indexOf", lambda subject, part: subject.find(_wanted(part, "indexOf")), 1)
_texts("substring", _substring, 1, 2)
_texts("replace", _replace, 2)
_texts("split", _split, 1)
_texts("matches", _matches, 1)


@function("join", 0, 1)
def _join(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    separator = (text(given[0](focus, run), "join") if given else "") or ""
    parts = [_wanted(one, "join") for one in run.visit(items)]
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT:
        raise FhirPathError(f"a text would be longer than {MAX_TEXT:,} characters")
    return [separator.join(parts)] if parts else []


@function("toString")
def _to_string(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    one = single(items, "toString")
    if isinstance(one, bool):
        return ["true" if one else "false"]
    return [] if one is None or isinstance(one, (dict, list)) else [str(one)]


@function("toInteger")
def _to_integer(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    one = single(items, "toInteger")
    if isinstance(one, int):
        return [int(one)]
    plain = isinstance(one, str) and one.isascii() and one.removeprefix("-").removeprefix("+").isdigit()
    return [int(one)] if plain and len(one) < 20 else []


@function("toDecimal")
def _to_decimal(items: Items, given: tuple[Evaluate, ...], focus: Items, run: Run) -> Items:
    one = single(items, "toDecimal")
    if isinstance(one, str):
        plain = one.isascii() and one.removeprefix("-").removeprefix("+").replace(".", "", 1).isdigit()
        return [Decimal(one)] if plain and len(one) < 30 else []
    return [] if one is None or isinstance(one, (dict, list)) else [Decimal(str(int(one) if one is True else one))]
