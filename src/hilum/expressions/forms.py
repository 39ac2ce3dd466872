"""The formats whose messages rules can change, and how paths of each are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hilum.expressions.json_paths import NO_LOOP
from hilum.expressions.paths import Loops
from hilum.expressions.targets import (
    Hl7Into,
    Hl7Source,
    Hl7Target,
    Hl7Through,
    Into,
    JsonInto,
    JsonTarget,
    JsonThrough,
    Target,
    Through,
    hl7_fixed,
    json_fixed,
)
from hilum.expressions.values import Kind
from hilum.formats.hl7v2 import Message
from hilum.formats.json_document import JsonDocument

_SCALAR = Kind.TEXT | Kind.NULL | Kind.NUMBER


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A format. What reads a path raises ValueError, worded for a person."""

    name: str
    title: str
    target: Callable[[str, Loops], Target]  # a place that is written
    source: Callable[[str, Loops], Target]  # one that is copied from
    removable: Callable[[str, Loops], Target]
    through: Callable[[str, Loops], Through]
    into: Callable[[str, Loops], Into]
    fixed: Callable[[Any], Any]  # what `set` and `default` write
    takes: Kind  # what `compute` writes
    new: Callable[[], Any]  # an empty message
    takes_first: bool  # move: away from its old place before it is put into the new one


FORMS: Final[dict[str, Form]] = {
    "hl7v2": Form(
        "hl7v2", "HL7 v2", Hl7Target, Hl7Source, partial(Hl7Target, segment=True), Hl7Through, Hl7Into, hl7_fixed,
        _SCALAR, lambda: Message.parse(b"MSH|^~\\&|\r"), takes_first=False,
    ),
    "json": Form(
        "json", "JSON", JsonTarget, JsonTarget, partial(JsonTarget, several=True), JsonThrough, JsonInto, json_fixed,
        _SCALAR | Kind.BOOLEAN | Kind.LIST | Kind.JSON, lambda: JsonDocument(None), takes_first=True,
    ),
}  # fmt: skip

__all__ = ["FORMS", "NO_LOOP", "Form"]
