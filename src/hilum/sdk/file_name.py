"""What a delivery's file is called: a template with words in braces, of which only safe characters remain."""

from __future__ import annotations

import re
import string

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.sdk.contracts import Outbound

DEFAULT = "{id}.hl7"
DESCRIPTION = "Out: {id} is the delivery's, {control_id} MSH-10, any other an attribute."
MOST = 1_000
"""Files of one name and different content, before a delivery is given up."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_WORD = 80


def check(template: str) -> str:
    """The template itself. Raises ValueError where it could lead to another folder, or is no template."""
    words = 0
    for literal, word, spec, conversion in string.Formatter().parse(template):
        if _UNSAFE.search(literal):
            raise ValueError("may hold letters, digits, . _ - and {words} only")
        if word is not None:
            words += 1
            if not word.isidentifier() or spec or conversion:
                raise ValueError(f"{{{word}}} is no plain word")
    if not words or template.startswith("."):
        raise ValueError("needs a word such as {id}, and must not begin with a dot")
    return template


def called(template: str, outbound: Outbound) -> str:
    """The name of a delivery's file. What an attribute cannot say is `none`."""
    name = ""
    for literal, word, _, _ in string.Formatter().parse(template):
        name += literal
        if word is not None:
            value = outbound.id if word == "id" else outbound.attributes.get(word, "")
            if not value and word == "control_id":
                value = _control_id(outbound.body)
            name += _UNSAFE.sub("_", value)[:_LONGEST_WORD] or "none"
    return name if not name.startswith(".") else f"_{name}"


def numbered(name: str, number: int) -> str:
    """The name that is tried as the `number`th, from 1, where those before are others' already: a.txt, a-2.txt."""
    stem, dot, end = name.partition(".")
    return f"{stem}-{number}{dot}{end}" if number > 1 else name


def shown(name: str) -> str:
    """A name as text, also where it is no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _control_id(body: bytes) -> str:
    try:
        return hl7v2.Message.parse(body).control_id
    except FormatError:
        return ""
