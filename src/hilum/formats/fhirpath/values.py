"""What FHIRPath works on: collections, as lists of JSON values; three-valued logic; what a name means."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from hilum.formats.json_document import equal

MAX_ITEMS: Final = 100_000  # that one expression looks at

Items = list[Any]


class FhirPathError(ValueError):
    """An expression cannot be evaluated on this resource. Its text repeats no value of it."""


@dataclasses.dataclass(slots=True)
class Run:
    """One evaluation. `resource` is the root, `context` where it began, `index` the number of $this in a loop."""

    resource: Any
    context: Any
    index: int = 0
    left: int = MAX_ITEMS

    def visit(self, items: Items) -> Items:
        """The items, counted."""
        self.left -= len(items) + 1
        if self.left < 0:
            raise FhirPathError(f"a FHIRPath looks at more than {MAX_ITEMS:,} values")
        return items


Evaluate = Callable[[Items, Run], Items]
"""Of the focus: a collection."""

PRIMITIVES: Final = {
    "String": str, "string": str, "code": str, "id": str, "uri": str, "url": str, "canonical": str, "oid": str,
    "uuid": str, "markdown": str, "date": str, "dateTime": str, "instant": str, "time": str, "base64Binary": str,
    "Boolean": bool, "boolean": bool, "Integer": int, "integer": int, "positiveInt": int, "unsignedInt": int,
    "Decimal": Decimal, "decimal": Decimal, "Date": str, "DateTime": str, "Time": str,
}  # fmt: skip
COMPLEX: Final = frozenset({
    "Address", "Age", "Annotation", "Attachment", "CodeableConcept", "Coding", "ContactPoint", "Count", "Distance",
    "Dosage", "Duration", "Expression", "HumanName", "Identifier", "Meta", "Money", "Period", "Quantity", "Range",
    "Ratio", "Reference", "SampledData", "Signature", "Timing",
})  # fmt: skip
_CHOICES: Final = tuple(sorted({name[0].upper() + name[1:] for name in PRIMITIVES} | COMPLEX))


class Choice(dict[str, Any]):
    """A complex value that stood under value[x]: it knows of which type it is."""

    __slots__ = ("type",)
    type: str


class Named(str):
    """A text that stood under value[x]."""

    type: str


def children(item: Any, name: str) -> Iterable[Any]:
    """What `name` means below an item: a member, each entry of an array, or a choice (value: valueQuantity)."""
    if not isinstance(item, dict):
        return ()
    found = item.get(name)
    if found is None and name not in item:
        found = _choice(item, name)
    if found is None:
        return ()
    return [one for one in found if one is not None] if isinstance(found, list) else (found,)


def _choice(item: dict[str, Any], name: str) -> Any:
    size = len(name)
    for key, value in item.items():
        if len(key) > size and key.startswith(name) and key[size:] in _CHOICES:
            if isinstance(value, dict):
                typed = Choice(value)
                typed.type = key[size:]
                return typed
            if isinstance(value, str):
                text = Named(value)
                text.type = key[size:]
                return text
            return value
    return None


def is_type(item: Any, name: str) -> bool:
    """Whether an item is of a type, as far as JSON tells: resources and choices say it, primitives show it."""
    if isinstance(item, (Choice, Named)):
        return item.type == name or item.type == name[0].upper() + name[1:]
    if name in PRIMITIVES:
        kind = PRIMITIVES[name]
        if kind is Decimal:
            return isinstance(item, (float, Decimal)) or (isinstance(item, int) and not isinstance(item, bool))
        return isinstance(item, kind) and (kind is bool or not isinstance(item, bool))
    return isinstance(item, dict) and item.get("resourceType") == name


def single(items: Items, what: str) -> Any:
    """The only item, None where there is none. Raises FhirPathError where there are several."""
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one value, and there are several")
    return items[0] if items else None


def truth(items: Items, what: str) -> bool | None:
    """A collection as a condition: of one item that is none it says that there is something."""
    one = single(items, what)
    return one if one is None or isinstance(one, bool) else True


def text(items: Items, what: str) -> str | None:
    """The only item, which must be text."""
    one = single(items, what)
    if one is not None and not isinstance(one, str):
        raise FhirPathError(f"{what} takes text")
    return one


def number(items: Items, what: str) -> Decimal | None:
    """The only item, which must be a number."""
    one = single(items, what)
    if one is None:
        return None
    if isinstance(one, bool) or not isinstance(one, (int, float, Decimal)):
        raise FhirPathError(f"{what} takes numbers")
    found = Decimal(repr(one)) if isinstance(one, float) else Decimal(one)
    if abs(found.adjusted()) > 999:
        raise FhirPathError("a number is out of range")
    return found


def whole(items: Items, what: str) -> int | None:
    """The only item, which must be a whole number of reasonable size."""
    found = number(items, what)
    if found is None:
        return None
    if found != found.to_integral_value() or abs(found) > 1_000_000_000:
        raise FhirPathError(f"{what} takes a whole number")
    return int(found)


def answer(value: bool | None) -> Items:
    return [] if value is None else [value]


def union(left: Items, right: Items, run: Run) -> Items:
    """Each value once, in order."""
    found: Items = []
    for one in [*left, *right]:
        run.visit(found)
        if not any(equal(one, other) for other in found):
            found.append(one)
    return found
