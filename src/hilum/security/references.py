"""Secret references: a configuration names where a secret is kept, so that it never holds one.

`${env:NAME}` is a variable of the environment, `${file:PATH}` a file's text without its last line end,
`${secret:NAME}` an entry of the vault. A reference may be a whole value or a part of one; `$${` is a
literal `${`. What a reference stands for is not looked at again and never appears in an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError

KINDS = frozenset({"env", "file", "secret"})
OPERATOR = frozenset({"env", "file"})
"""The kinds that the operator's own file may use. What comes through the API may name `secret` alone."""

LARGEST = 65_536  # bytes that a secret's file may have

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\})?")


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """One reference: its `kind`, the `name` of a variable, file or entry, and `where` it stands."""

    kind: str
    name: str
    where: str


def references(value: Any, where: str = "") -> list[Reference]:
    """Every reference in `value`, in order. Raises ConfigError where one is malformed."""
    return [
        _read(match, place)
        for place, text in _texts(value, where)
        for match in _REFERENCE.finditer(text)
        if match[0] != "$${"
    ]


def resolve(
    value: Any,
    *,
    environ: Mapping[str, str],
    folder: Path | None,
    where: str = "",
    allowed: Collection[str] = OPERATOR,
) -> Any:
    """`value` with every reference in its strings (not in its keys) replaced, at any depth.

    A relative file is looked for in `folder`; without a folder it must be absolute. Raises ConfigError
    that names the reference and its place where one is malformed, missing or of a kind not `allowed`.
    """

    def replace(place: str) -> Callable[[re.Match[str]], str]:
        def one(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            return _look_up(_read(match, place), environ, folder, allowed)

        return one

    if isinstance(value, str):
        return _REFERENCE.sub(replace(where), value) if "${" in value else value
    if isinstance(value, Mapping):
        return {
            key: resolve(item, environ=environ, folder=folder, where=_below(where, key), allowed=allowed)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            resolve(item, environ=environ, folder=folder, where=f"{where}[{number}]", allowed=allowed)
            for number, item in enumerate(value)
        ]
    return value


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, _below(where, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _texts(item, f"{where}[{number}]")


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _read(match: re.Match[str], where: str) -> Reference:
    kind, colon, name = match[1].partition(":")
    if not match[2]:
        raise ConfigError("a reference is not closed: `}` is missing", where=where)
    if not colon or kind not in KINDS or not name:
        raise ConfigError(
            "a reference is ${env:NAME}, ${file:PATH} or ${secret:NAME}; write $${ for a literal ${",
            where=where,
        )
    return Reference(kind, name, where)


def _look_up(reference: Reference, environ: Mapping[str, str], folder: Path | None, allowed: Collection[str]) -> str:
    label = f"${{{reference.kind}:{reference.name}}}"
    if reference.kind == "secret":
        raise ConfigError(f"{label} needs the vault, which this version does not have yet", where=reference.where)
    if reference.kind not in allowed:
        raise ConfigError(f"{label}: such references are not allowed here", where=reference.where)
    if reference.kind == "env":
        if reference.name not in environ:
            raise ConfigError(f"{label}: the environment has no such variable", where=reference.where)
        return environ[reference.name]
    return _file(reference, label, folder)


def _file(reference: Reference, label: str, folder: Path | None) -> str:
    path = Path(reference.name)
    if not path.is_absolute():
        if folder is None:
            raise ConfigError(f"{label}: the path must be absolute", where=reference.where)
        path = folder / path
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{label}: the file is not UTF-8 text", where=reference.where) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(f"{label}: cannot be read: {reason}", where=reference.where) from None
    if len(content) > LARGEST:
        raise ConfigError(f"{label}: the file has more than {LARGEST} bytes", where=reference.where)
    return text.removesuffix("\n").removesuffix("\r")
