"""Regular expressions in linear time: RE2 never backtracks, so that no pattern can hang a route."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.expressions.values import EvaluationError, sized

MAX_PATTERN = 500  # characters
MAX_SUBJECT = 100_000  # characters that are matched
MAX_REPLACED = 10_000  # characters in which matches are replaced: each match may look at all that follows it
MAX_MATCHES = 1_000  # that are replaced, for the same reason
MAX_REPLACEMENT = 200  # characters

# RE2 reads UTF-8; a byte that could not be decoded travels in a private plane and comes back as it was.
_SURROGATES = {0xDC00 + byte: 0x10F700 + byte for byte in range(0x80, 0x100)}
_RESTORED = {there: here for here, there in _SURROGATES.items()}
_GROUP = re.compile(r"\\(.)", re.DOTALL)


class Regex:
    """A compiled pattern. Raises ValueError, worded for a person."""

    __slots__ = ("_regex",)

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
        options = re2.Options()
        options.log_errors = False
        try:
            self._regex: Any = re2.compile(pattern, options)
        except re2.error as error:
            reason = error.args[0] if error.args else b""
            text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            raise ValueError(f"the pattern cannot be used: {text}") from None
        except UnicodeEncodeError:
            raise ValueError("the pattern cannot be used: a character is no character") from None

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` matches."""
        if len(text) > MAX_SUBJECT:
            raise EvaluationError(f"a text of more than {MAX_SUBJECT:,} characters cannot be matched")
        return self._regex.fullmatch(text if text.isascii() else text.translate(_SURROGATES)) is not None

    def replace(self, text: str, template: Template) -> str:
        """`text` with every match replaced."""
        if len(text) > MAX_REPLACED:
            raise EvaluationError(f"matches cannot be replaced in more than {MAX_REPLACED:,} characters")
        pieces: list[str] = []
        end = length = 0
        text = text.translate(_SURROGATES)
        for count, match in enumerate(self._regex.finditer(text), start=1):
            if count > MAX_MATCHES:
                raise EvaluationError(f"more than {MAX_MATCHES:,} matches to replace")
            piece = text[end : match.start()] + template.fill(match)
            length += len(piece)
            sized(length)
            pieces.append(piece)
            end = match.end()
        return ("".join(pieces) + text[end:]).translate(_RESTORED)

    @property
    def groups(self) -> int:
        return int(self._regex.groups)


class Template:
    r"""What replaces a match: text in which `\1` is the first group, `\0` the match and `\\` a backslash."""

    __slots__ = ("_pieces",)

    def __init__(self, text: str, groups: int) -> None:
        if len(text) > MAX_REPLACEMENT:
            raise ValueError(f"a replacement has at most {MAX_REPLACEMENT} characters")
        pieces: list[str | int] = []
        end = 0
        for match in _GROUP.finditer(text):
            pieces.append(text[end : match.start()])
            pieces.append(_meaning(match[1], groups))
            end = match.end()
        if text[end:].endswith("\\"):
            raise ValueError("a replacement ends in a single backslash")
        self._pieces = [*pieces, text[end:]]

    def fill(self, match: Any) -> str:
        """The replacement of one match."""
        return "".join(piece if isinstance(piece, str) else match.group(piece) or "" for piece in self._pieces)


def _meaning(char: str, groups: int) -> str | int:
    if char == "\\":
        return char
    if char in "0123456789" and int(char) <= groups:
        return int(char)
    raise ValueError(f"a replacement knows \\0 to \\{groups} and \\\\, not \\{char}")


@lru_cache(maxsize=512)
def regex(pattern: str) -> Regex:
    """A Regex, compiled once. Raises ValueError."""
    return Regex(pattern)
