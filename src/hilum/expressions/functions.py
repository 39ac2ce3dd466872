"""The functions of the expression language, in one table: name, parameters, what they do.

A function is given values of the kinds it declares (the compiler sees to that) and is pure. Null in the
first parameter gives null, unless the function says otherwise.
"""

from __future__ import annotations

import dataclasses
import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hilum.expressions import units
from hilum.expressions.paths import HL7_NULL
from hilum.expressions.patterns import Regex, Template
from hilum.expressions.values import (
    NUMBERS,
    EvaluationError,
    Kind,
    as_number,
    as_text,
    concat,
    listed,
    sized,
)

TEXT = Kind.TEXT | Kind.NULL
NUMBER = Kind.NUMBER | Kind.NULL
LIST = Kind.LIST
ANY = Kind.TEXT | Kind.NULL | Kind.NUMBER

MAX_DECIMALS = 12
MAX_INTEGER = 1_000_000_000  # where only a whole number makes sense
ZERO = Decimal(0)


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """`required` parameters must be given; the last repeats where `many`; `literal` ones are constants.

    `prepare` makes of the constant parameters what the call is given; it raises ValueError when compiled.
    `zoned` calls are also given the route's zone and the variables, for their findings.
    """

    call: Callable[..., Any]
    parameters: tuple[Kind, ...]
    result: Kind
    required: int
    many: bool = False
    literal: tuple[int, ...] = ()
    prepare: Callable[..., tuple[Any, ...]] | None = None
    zoned: bool = False

    @property
    def document(self) -> str:
        return (self.call.__doc__ or "").strip()


FUNCTIONS: dict[str, Function] = {}

Implementation = Callable[..., Any]


def function(
    *parameters: Kind, result: Kind, required: int | None = None, name: str = "", **more: Any
) -> Callable[[Implementation], Implementation]:
    """Put a function into the table under its own name."""

    def register(call: Implementation) -> Implementation:
        wanted = len(parameters) if required is None else required
        FUNCTIONS[name or call.__name__] = Function(call, parameters, result, wanted, **more)
        return call

    return register


# Text


@function(TEXT, result=TEXT)
def upper(text: str | None) -> str | None:
    """`text` in capitals."""
    return None if text is None else text.upper()


@function(TEXT, result=TEXT)
def lower(text: str | None) -> str | None:
    """`text` in small letters."""
    return None if text is None else text.lower()


@function(TEXT, result=TEXT)
def trim(text: str | None) -> str | None:
    """`text` without the white space around it."""
    return None if text is None else text.strip()


@function(TEXT, NUMBER, TEXT, result=TEXT, required=2)
def pad_left(text: str | None, width: Decimal | None, fill: str | None = " ") -> str | None:
    """`text` filled up on its left to `width` characters, with blanks or the one character given."""
    return None if text is None else text.rjust(_width(width), _fill(fill))


@function(TEXT, NUMBER, TEXT, result=TEXT, required=2)
def pad_right(text: str | None, width: Decimal | None, fill: str | None = " ") -> str | None:
    """`text` filled up on its right to `width` characters, with blanks or the one character given."""
    return None if text is None else text.ljust(_width(width), _fill(fill))


@function(TEXT, NUMBER, NUMBER, result=TEXT, required=2)
def substring(text: str | None, start: Decimal | None, length: Decimal | None = None) -> str | None:
    """`length` characters from character `start` on, counted from 1; all that follow without `length`."""
    if text is None:
        return None
    first = integer(start, "the start of a substring") - 1
    if first < 0:
        raise EvaluationError("the start of a substring is counted from 1")
    if length is None:
        return text[first:]
    return text[first : first + max(0, integer(length, "the length of a substring"))]


@function(TEXT, TEXT, TEXT, result=TEXT)
def replace(text: str | None, old: str | None, new: str | None) -> str | None:
    """`text` with every `old` replaced by `new`."""
    if text is None or not old:
        return text
    new = new or ""
    sized(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


function(TEXT, result=Kind.TEXT, required=1, many=True, name="concat")(concat)


@function(TEXT, result=Kind.NUMBER)
def length(text: str | None) -> Decimal:
    """How many characters `text` has; null has 0."""
    return Decimal(0 if text is None else len(text))


@function(TEXT, TEXT, result=LIST)
def split(text: str | None, separator: str | None) -> list[str | None]:
    """The parts of `text` between the separators; of null none."""
    if text is None:
        return []
    if not separator:
        raise EvaluationError("text cannot be split at nothing")
    listed(text.count(separator) + 1)
    return list(text.split(separator))


@function(LIST, TEXT, result=Kind.TEXT)
def join(entries: list[str | None], separator: str | None) -> str:
    """The entries one after the other, with the separator between them; null and empty ones are left out."""
    given = [entry for entry in entries if entry]
    separator = separator or ""
    sized(sum(map(len, given)) + len(separator) * len(given))
    return separator.join(given)


@function(TEXT, TEXT, result=Kind.BOOLEAN)
def contains(text: str | None, part: str | None) -> bool:
    """Whether `part` occurs in `text`; null contains nothing."""
    return text is not None and part is not None and part in text


@function(TEXT, TEXT, result=Kind.BOOLEAN)
def starts_with(text: str | None, part: str | None) -> bool:
    """Whether `text` begins with `part`."""
    return text is not None and part is not None and text.startswith(part)


@function(TEXT, TEXT, result=Kind.BOOLEAN)
def ends_with(text: str | None, part: str | None) -> bool:
    """Whether `text` ends in `part`."""
    return text is not None and part is not None and text.endswith(part)


def _replacement(pattern: str, template: str) -> tuple[Regex, Template]:
    compiled = Regex(pattern)
    return compiled, Template(template, compiled.groups)


@function(TEXT, TEXT, TEXT, result=TEXT, literal=(1, 2), prepare=_replacement)
def regex_replace(text: str | None, pattern: Regex, template: Template) -> str | None:
    r"""`text` with every match of the pattern replaced; `\1` in the replacement is the first group."""
    return None if text is None else pattern.replace(text, template)


# Null and lists


@function(ANY, result=ANY, required=1, many=True)
def coalesce(*values: Any) -> Any:
    """The first of the values that is neither null nor empty text nor the HL7 null; else null."""
    return next((value for value in values if value not in (None, "", HL7_NULL)), None)


@function(Kind.TEXT | Kind.NULL | Kind.NUMBER | Kind.LIST | Kind.SEGMENT, result=Kind.BOOLEAN)
def exists(value: Any) -> bool:
    """Whether there is such a segment, field or component, even an empty one; of a list, any entry."""
    return bool(value) if isinstance(value, (list, int)) else value is not None


@function(ANY | Kind.LIST, result=Kind.BOOLEAN)
def valued(value: Any) -> bool:
    """Whether the value is neither null nor empty nor the HL7 null; a list: whether any entry is."""
    if isinstance(value, list):
        return any(entry not in (None, "", HL7_NULL) for entry in value)
    return value not in (None, "", HL7_NULL)


@function(ANY, result=Kind.BOOLEAN)
def is_null(value: Any) -> bool:
    """Whether the value is the HL7 null, two quotes: the receiver shall delete what it has."""
    return bool(value == HL7_NULL)


@function(Kind.LIST | Kind.SEGMENT, result=Kind.NUMBER)
def count(values: Any) -> Decimal:
    """How many entries a list has, or how many segments of a name there are."""
    return Decimal(values if isinstance(values, int) else len(values))


@function(LIST, result=TEXT)
def first(entries: list[str | None]) -> str | None:
    """The first entry of a list; null where it has none."""
    return entries[0] if entries else None


@function(LIST, result=TEXT)
def last(entries: list[str | None]) -> str | None:
    """The last entry of a list; null where it has none."""
    return entries[-1] if entries else None


# Numbers


@function(ANY, result=NUMBER)
def number(value: str | Decimal | None) -> Decimal | None:
    """The number that text writes; empty text gives null, other text is an error."""
    return as_number(value)


@function(ANY, result=TEXT)
def text(value: str | Decimal | None) -> str | None:
    """A number as text."""
    return as_text(value)


@function(ANY, result=Kind.BOOLEAN)
def is_number(value: str | Decimal | None) -> bool:
    """Whether the value is a number or text that writes one."""
    try:
        return as_number(value) is not None
    except EvaluationError:
        return False


@function(NUMBER, NUMBER, result=NUMBER, required=1, name="round")
def rounded(value: Decimal | None, decimals: Decimal | None = ZERO) -> Decimal | None:
    """The number with so many decimals, none without; a half is rounded away from zero."""
    if value is None:
        return None
    places = integer(decimals, "the number of decimals")
    if not 0 <= places <= MAX_DECIMALS:
        raise EvaluationError(f"a number is rounded to 0 to {MAX_DECIMALS} decimals")
    try:
        return value.quantize(Decimal(1).scaleb(-places), context=NUMBERS)
    except decimal.DecimalException:
        raise EvaluationError("a number has too many digits to round it") from None


@function(NUMBER, NUMBER, TEXT, TEXT, result=TEXT, required=2)
def format_number(
    value: Decimal | None, decimals: Decimal | None, point: str | None = ".", group: str | None = ""
) -> str | None:
    """The number as text with so many decimals, a decimal point and a mark between thousands."""
    exact = rounded(value, decimals)
    if exact is None:
        return None
    written = format(exact, ",f").replace(",", "\0").replace(".", point or "")
    written = written.replace("\0", group or "")
    sized(len(written))
    return written


def _unit(name: str) -> tuple[units.Unit]:
    try:
        return (units.parse(name),)
    except ValueError as error:
        raise ValueError(f"the unit {name!r} {error}") from None


@function(NUMBER, TEXT, TEXT, NUMBER, result=NUMBER, required=3, literal=(2,), prepare=_unit)
def convert(
    value: Decimal | None, source: str | None, target: units.Unit, molar_mass: Decimal | None = None
) -> Decimal | None:
    """A number of one UCUM unit in another; a molar mass in g/mol leads between mass and amount of substance."""
    if value is None:
        return None
    try:
        unit = units.parse(source or "")
    except ValueError as error:
        raise EvaluationError(f"the unit to convert from {error}") from None
    try:
        return units.convert(value, unit, target, molar_mass)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def integer(value: Decimal | None, what: str) -> int:
    """A whole number of reasonable size. Raises EvaluationError."""
    if value is None or value != value.to_integral_value() or abs(value) > MAX_INTEGER:
        raise EvaluationError(f"{what} must be a whole number")
    return int(value)


def _width(width: Decimal | None) -> int:
    characters = integer(width, "the width")
    sized(characters)
    return characters


def _fill(fill: str | None) -> str:
    if fill is None or len(fill) != 1:
        raise EvaluationError("text is padded with one character")
    return fill
