"""What people write: normalised to NFC, and without characters that nobody sees (ledger S0-34).

Control characters end lines of logs and terminals' sanity, bidirectional overrides show one thing and say another.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from hilum.model.configuration import Name

__all__ = ["Base64", "Email", "Line", "Name", "Note", "Opaque", "Password", "Prose", "Reason", "line", "prose", "seen"]

_UNSEEN = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
_NOT_IN_A_LINE = re.compile(f"[\t\n\u2028\u2029{_UNSEEN}]")
_NOT_IN_PROSE = re.compile(f"[{_UNSEEN}]")
_EMAIL = re.compile(r"[^@\s\"(),:;<>\[\]\\]+@[^@\s\"(),:;<>\[\]\\.]+(\.[^@\s\"(),:;<>\[\]\\.]+)*")


def line(text: str) -> str:
    """One line as it is kept."""
    text = unicodedata.normalize("NFC", text.strip())
    if _NOT_IN_A_LINE.search(text):
        raise PydanticCustomError("line", "must be one line without control characters")
    return text


def _some(text: str) -> str:
    if not text:
        raise PydanticCustomError("line", "must not be empty")
    return text


def prose(text: str) -> str:
    """Several lines as they are kept."""
    text = unicodedata.normalize("NFC", text.strip().replace("\r\n", "\n"))
    if _NOT_IN_PROSE.search(text):
        raise PydanticCustomError("prose", "must not hold control characters")
    return text


def seen(text: str) -> str:
    """What is left without characters that nobody sees; for headers, whose senders no error would reach."""
    return _NOT_IN_A_LINE.sub("", unicodedata.normalize("NFC", text)).strip()


def _typed(secret: SecretStr) -> SecretStr:
    if _NOT_IN_A_LINE.search(secret.get_secret_value()):
        raise PydanticCustomError("line", "must be one line without control characters")
    return secret


def _unpacked(value: object) -> object:
    """Strict: characters outside the alphabet are a mistake, not to be left out."""
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _email(text: str) -> str:
    text = line(text).lower()
    if not _EMAIL.fullmatch(text) or len(text.partition("@")[0]) > 64:
        raise PydanticCustomError("email", "must be an e-mail address")
    return text


Note = Annotated[str, Field(max_length=200), AfterValidator(line)]
"""One line, which may be empty."""

Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(line), AfterValidator(_some)]
"""One line with something in it: a title, a person's name."""

Prose = Annotated[str, Field(max_length=2_000), AfterValidator(prose)]
"""Several lines, or none: a description."""

Reason = Annotated[str, Field(max_length=500), AfterValidator(line)]
"""Why something is done, in a line that may be empty."""

Password = Annotated[SecretStr, Field(min_length=1, max_length=256), AfterValidator(_typed)]
"""What a person types and nobody sees."""

Opaque = Annotated[SecretStr, AfterValidator(_typed)]
"""What a program was given and gives back."""

Base64 = Annotated[bytes, BeforeValidator(_unpacked)]
"""Bytes, in base64 (RFC 4648) and nothing else."""

Email = Annotated[str, StringConstraints(min_length=3, max_length=254), AfterValidator(_email)]
"""An address, in lower case: nobody has two that differ in that alone."""
