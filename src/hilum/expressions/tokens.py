"""An expression's text as tokens, each with the place where it begins, so that an error can point at it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from hilum.errors import ExpressionError
from hilum.expressions import json_paths, paths
from hilum.expressions.values import MAX_SOURCE

WORDS = frozenset({"and", "or", "not", "in", "matches", "if", "else", "true", "false", "null"})

_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<path>{paths.SYNTAX})
    |(?P<number>[0-9]{{1,28}}(?:\.[0-9]{{1,28}})?(?![A-Za-z0-9_.$]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<query>{json_paths.SYNTAX})
    |(?P<variable>\$[a-z_][a-z0-9_]*)
    |(?P<name>[a-z_][a-z0-9_]*)
    |(?P<mark>[=!<>]=|[-<>+*/&(),\[\]])""",
    re.VERBOSE | re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """`kind` is path (HL7 v2), query (JSONPath), number, text, variable, name or end; words and marks are their own."""

    kind: str
    text: str
    at: int  # its first character, counted from 0


class Source:
    """The text of an expression; `where` is its place in the configuration."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        if len(text) > MAX_SOURCE:
            raise ExpressionError(f"an expression has at most {MAX_SOURCE:,} characters", where=where)

    def error(self, reason: str, at: int) -> ExpressionError:
        """The error to raise for what stands at character `at`, with a caret under it."""
        begin = self.text.rfind("\n", 0, at) + 1
        line = self.text[begin:].partition("\n")[0]
        start = max(0, at - begin - 60)
        shown = line[start : start + 100].replace("\t", " ")
        caret = " " * (at - begin - start) + "^"
        return ExpressionError(f"{reason} (character {at + 1})\n  {shown}\n  {caret}", where=self.where)

    def tokens(self) -> Iterator[Token]:
        """The tokens, and one of kind `end`. Raises ExpressionError."""
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self.error(_unreadable(self.text[at]), at)
            kind, text = str(match.lastgroup), match[0]
            if kind == "mark" or (kind == "name" and text in WORDS):
                yield Token(text, text, at)
            elif kind != "space":
                yield Token(kind, text, at)
            at = match.end()
        yield Token("end", "", len(self.text))


def _unreadable(char: str) -> str:
    if char in "'\"":
        return "a text begins here and does not end"
    if char == "=":
        return "to compare, write =="
    if char == "!":
        return "to negate, write not"
    return f"cannot read {char!r}"
