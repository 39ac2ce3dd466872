"""The operators of FHIRPath (chapter 6): of two collections, with nothing as the third truth value."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from hilum.formats.fhirpath.values import FhirPathError, Items, Run, answer, number, single, truth, union
from hilum.formats.json_document import equal

_NUMBERS: Final = decimal.Context(
    prec=28, rounding=decimal.ROUND_HALF_UP, Emin=-999, Emax=999, traps=[decimal.InvalidOperation, decimal.Overflow]
)
MAX_TEXT: Final = 200_000  # characters


def same(left: Items, right: Items, run: Run) -> Items:
    if not left or not right:
        return []
    run.visit(left)
    return [len(left) == len(right) and all(map(equal, left, right))]


def differ(left: Items, right: Items, run: Run) -> Items:
    return [not one for one in same(left, right, run)]


def alike(left: Items, right: Items, run: Run) -> Items:
    """`~`: whatever the order and the case."""
    rest = [_plain(one) for one in right]
    for one in left:
        run.visit(rest)
        found = next((at for at, other in enumerate(rest) if equal(_plain(one), other)), None)
        if found is None:
            return [False]
        del rest[found]
    return [not rest]


def unlike(left: Items, right: Items, run: Run) -> Items:
    return [not one for one in alike(left, right, run)]


def _plain(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def _order(mark: str, holds: Callable[[Any, Any], bool]) -> Callable[[Items, Items, Run], Items]:
    def ordered(left: Items, right: Items, run: Run) -> Items:
        one, two = single(left, mark), single(right, mark)
        if one is None or two is None:
            return []
        if isinstance(one, str) and isinstance(two, str):
            return [holds(one, two)]
        return [holds(number(left, mark), number(right, mark))]

    return ordered


def _reckon(mark: str, reckon: Callable[[Decimal, Decimal], Decimal | None]) -> Callable[[Items, Items, Run], Items]:
    def reckoned(left: Items, right: Items, run: Run) -> Items:
        one, two = number(left, mark), number(right, mark)
        if one is None or two is None:
            return []
        try:
            found = reckon(one, two)
        except decimal.DecimalException:
            raise FhirPathError("a number is out of range") from None
        return [] if found is None else [found]

    return reckoned


def plus(left: Items, right: Items, run: Run) -> Items:
    if isinstance(single(left, "+"), str) and isinstance(single(right, "+"), str):
        return concat(left, right, run)
    return _plus(left, right, run)


def concat(left: Items, right: Items, run: Run) -> Items:
    """`&`: nothing is empty text."""
    one, two = single(left, "&"), single(right, "&")
    if not isinstance(one, str | None) or not isinstance(two, str | None):
        raise FhirPathError("& takes text")
    if len(one or "") + len(two or "") > MAX_TEXT:
        raise FhirPathError(f"a text would be longer than {MAX_TEXT:,} characters")
    return [(one or "") + (two or "")]


_plus = _reckon("+", _NUMBERS.add)


def contains(left: Items, right: Items, run: Run) -> Items:
    wanted = single(right, "contains")
    run.visit(left)
    return [] if wanted is None else [any(equal(one, wanted) for one in left)]


def within(left: Items, right: Items, run: Run) -> Items:
    return contains(right, left, run)


def both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def exclusive(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left is not right


def implies(left: bool | None, right: bool | None) -> bool | None:
    return either(None if left is None else not left, right)


def _logic(
    mark: str, decide: Callable[[bool | None, bool | None], bool | None]
) -> Callable[[Items, Items, Run], Items]:
    return lambda left, right, run: answer(decide(truth(left, mark), truth(right, mark)))


LEVELS: Final[tuple[dict[str, Callable[[Items, Items, Run], Items]], ...]] = (
    {"implies": _logic("implies", implies)},
    {"or": _logic("or", either), "xor": _logic("xor", exclusive)},
    {"and": _logic("and", both)},
    {"in": within, "contains": contains},
    {"=": same, "!=": differ, "~": alike, "!~": unlike},
    {
        "<": _order("<", lambda a, b: a < b), "<=": _order("<=", lambda a, b: a <= b),
        ">": _order(">", lambda a, b: a > b), ">=": _order(">=", lambda a, b: a >= b),
    },
    {"|": union},
    {"is": same, "as": same},  # their right side is a type: the parser has them in hand
    {"+": plus, "-": _reckon("-", _NUMBERS.subtract), "&": concat},
    {
        "*": _reckon("*", _NUMBERS.multiply),
        "/": _reckon("/", lambda a, b: _NUMBERS.divide(a, b) if b else None),
        "div": _reckon("div", lambda a, b: _NUMBERS.divide_int(a, b) if b else None),
        "mod": _reckon("mod", lambda a, b: _NUMBERS.remainder(a, b) if b else None),
    },
)  # fmt: skip
"""By precedence, the loosest first."""
