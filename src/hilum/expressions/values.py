"""What an expression works on: text, numbers, conditions, null and lists; their limits and how they compare.

Every operation here is bounded, so that an expression cannot use up time or memory: it is at most
`MAX_SOURCE` long, has no loops of its own, and each of its operations checks what it is about to make.
"""

from __future__ import annotations

import decimal
import enum
import re
from collections.abc import Callable, Iterable, MutableMapping
from decimal import Decimal

from hilum.errors import StepError

MAX_SOURCE = 4_000  # characters of an expression
MAX_DEPTH = 40  # operations within one another
MAX_TEXT = 200_000  # characters of a text that an expression makes
MAX_LIST = 10_000  # entries of a list that an expression makes
MAX_DIGITS = 28  # digits of a number

Value = str | Decimal | bool | list[str | None] | None
Variables = MutableMapping[str, str]

FINDINGS = "findings"
"""The variable that collects, a line each, what a person should know about a value that was still usable."""

NUMBERS = decimal.Context(
    prec=MAX_DIGITS,
    rounding=decimal.ROUND_HALF_UP,
    Emin=-999,
    Emax=999,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
"""How numbers are reckoned: decimal, so that 0.1 + 0.2 is 0.3."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)


class Kind(enum.Flag):
    """What a part of an expression can be; known when it is compiled."""

    NULL = enum.auto()
    TEXT = enum.auto()
    NUMBER = enum.auto()
    BOOLEAN = enum.auto()
    LIST = enum.auto()
    SEGMENT = enum.auto()  # only `count` and `exists` take one
    JSON = enum.auto()  # whatever stands there: text, a number, a condition, null, an array, an object

    def __str__(self) -> str:
        known = {
            Kind.BOOLEAN: "a condition",
            Kind.TEXT: "text",
            Kind.SEGMENT: "a segment",
            Kind.NULL: "null",
            Kind.JSON: "JSON",
        }
        kinds = self & ~Kind.NULL or self  # that it may be null goes without saying
        return " or ".join(known.get(kind, f"a {str(kind.name).lower()}") for kind in kinds)


class EvaluationError(StepError):
    """An expression cannot be evaluated on this message. The text repeats no value of it."""


def note(variables: Variables, finding: str) -> None:
    """Add a line to the findings, once."""
    known = variables.get(FINDINGS, "")
    if finding not in known.split("\n"):
        variables[FINDINGS] = f"{known}\n{finding}" if known else finding


def sized(length: int) -> None:
    """Refuse a text of more than MAX_TEXT characters before it is made."""
    if length > MAX_TEXT:
        raise EvaluationError(f"a text would be longer than {MAX_TEXT:,} characters")


def listed(length: int) -> None:
    """Refuse a list of more than MAX_LIST entries before it is made."""
    if length > MAX_LIST:
        raise EvaluationError(f"a list would have more than {MAX_LIST:,} entries")


def as_text(value: str | Decimal | None) -> str | None:
    """A number as HL7's NM writes it: no exponent, no superfluous zero made up."""
    return format(value, "f") if isinstance(value, Decimal) else value


def as_number(value: str | Decimal | None) -> Decimal | None:
    """Raises EvaluationError where text is no number; empty text is null."""
    if value is None or isinstance(value, Decimal):
        return value
    if not value:
        return None
    number = _read(value)
    if number is None:
        raise EvaluationError("a value is no number")
    return number


def _read(text: str) -> Decimal | None:
    text = text.strip()
    if len(text) > MAX_DIGITS + 2 or _NUMBER.fullmatch(text) is None:
        return None
    return Decimal(text)


def equal(left: Value, right: Value) -> bool:
    """`==`: of two texts exactly; text and a number by number; null equals null alone; a list: any entry."""
    if isinstance(left, list):
        return any(equal(entry, right) for entry in left)
    if isinstance(right, list):
        return any(equal(left, entry) for entry in right)
    if isinstance(left, Decimal) and isinstance(right, str):
        return _read(right) == left
    if isinstance(right, Decimal) and isinstance(left, str):
        return _read(left) == right
    return left == right


def differ(left: Value, right: Value) -> bool:
    """`!=`; for a list: whether any entry differs."""
    if isinstance(left, list):
        return any(not equal(entry, right) for entry in left)
    if isinstance(right, list):
        return any(not equal(left, entry) for entry in right)
    return not equal(left, right)


def _ordering(
    holds: Callable[[str, str], bool], number: Callable[[Decimal, Decimal], bool]
) -> Callable[[Value, Value], bool]:
    def ordered(left: Value, right: Value) -> bool:
        if isinstance(left, list):
            return any(ordered(entry, right) for entry in left)
        if isinstance(right, list):
            return any(ordered(left, entry) for entry in right)
        if isinstance(left, str) and isinstance(right, str):
            return holds(left, right)
        one = _read(left) if isinstance(left, str) else left
        two = _read(right) if isinstance(right, str) else right
        return isinstance(one, Decimal) and isinstance(two, Decimal) and number(one, two)

    return ordered


# Two texts by code point, else by number; what is null or no number holds in no order.
less = _ordering(lambda a, b: a < b, lambda a, b: a < b)
less_or_equal = _ordering(lambda a, b: a <= b, lambda a, b: a <= b)
greater = _ordering(lambda a, b: a > b, lambda a, b: a > b)
greater_or_equal = _ordering(lambda a, b: a >= b, lambda a, b: a >= b)


def within(value: Value, entries: list[Value]) -> bool:
    """`in`: whether `value` (any entry of it) equals any of `entries`; linear also for two lists."""
    if not isinstance(value, list):
        return any(equal(value, entry) for entry in entries)
    if not set(entries).isdisjoint(value):
        return True
    return not _numbers(entries).isdisjoint(map(_number_of, value)) or not _numbers(value).isdisjoint(
        map(_number_of, entries)
    )


def _numbers(entries: Iterable[Value]) -> set[Decimal]:
    return {entry for entry in entries if isinstance(entry, Decimal)}


def _number_of(entry: Value) -> Decimal | None:
    return _read(entry) if isinstance(entry, str) else entry if isinstance(entry, Decimal) else None


def _arithmetic(
    operation: Callable[[Decimal, Decimal], Decimal],
) -> Callable[[Decimal | None, Decimal | None], Decimal | None]:
    def reckon(left: Decimal | None, right: Decimal | None) -> Decimal | None:
        if left is None or right is None:
            return None
        try:
            return operation(left, right)
        except decimal.DivisionByZero:
            raise EvaluationError("division by zero") from None
        except decimal.DecimalException:
            raise EvaluationError("a number is out of range") from None

    return reckon


add = _arithmetic(NUMBERS.add)
subtract = _arithmetic(NUMBERS.subtract)
multiply = _arithmetic(NUMBERS.multiply)
divide = _arithmetic(NUMBERS.divide)


def concat(*parts: str | None) -> str:
    """`&`: the texts one after the other; null adds nothing."""
    given = [part for part in parts if part is not None]
    sized(sum(map(len, given)))
    return "".join(given)
