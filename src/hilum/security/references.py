"""Secret references: a configuration names where a secret is kept, so that it never holds one.

`${env:NAME}` is a variable of the environment, `${file:PATH}` a file's text without its last line end,
`${secret:NAME}` a credential or certificate of the vault, `${secret:NAME.FIELD}` a field of it. A reference may be a
whole value or a part of one; `$${` is a literal `${`. What a reference stands for is not looked at again, never appears
in an error, and is masked wherever a text leaves the hub.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from hilum import telemetry
from hilum.errors import ConfigError

KINDS = frozenset({"env", "file", "secret"})
"""What there is, and what the operator's own file may use."""

FROM_API = frozenset({"secret"})
"""What a configuration may use that comes through the API: the machine's files and variables are the operator's."""

Secrets = Callable[[str], str]
"""Gives the value of `NAME` or `NAME.FIELD` of the vault. Raises ConfigError (no such thing, and what there is)."""


class Entries(Protocol):
    """The vault, by the names of what is in it."""

    async def values(self, organization: int, study: int | None, wanted: set[str]) -> dict[str, str]:
        """What `NAME` and `NAME.FIELD` stand for where something of `study` may use it. Raises StoreError."""
        ...


LARGEST = 65_536  # bytes that a secret's file may have

_OPEN = ("url", "folder", "host", "port", "directory", "path")  # where a variable is a place more often than a secret
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


def vault_names(value: Any) -> set[str]:
    """The names of the vault's entries that `value` refers to; none where a reference is malformed."""
    try:
        return {one.name.partition(".")[0] for one in references(value) if one.kind == "secret"}
    except ConfigError:
        return set()


def missing(name: str, known: Collection[str]) -> str:
    """Why `name` has no value, for people; `known` are the names that have one."""
    entry, _, field = name.partition(".")
    fields = sorted(one.partition(".")[2] for one in known if one.startswith(f"{entry}."))
    if not fields:
        return "the vault has no such entry that this integration may use"
    if not field:
        return f"say which field is meant, as in {entry}.{fields[0]}; there are: {', '.join(fields)}"
    return f"{entry} has no {field}; there are: {', '.join(fields)}"


def resolve(
    value: Any,
    *,
    environ: Mapping[str, str],
    folder: Path | None,
    where: str = "",
    allowed: Collection[str] = KINDS,
    secrets: Secrets | None = None,
) -> Any:
    """`value` with every reference in its strings (not in its keys) replaced, at any depth.

    A relative file is looked for in `folder`; without a folder it must be absolute. `secrets` looks into the vault;
    None: it is not open here. Raises ConfigError that names the reference and its place where one is malformed,
    missing or of a kind not `allowed`.
    """

    def replace(place: str) -> Callable[[re.Match[str]], str]:
        def one(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            return _look_up(_read(match, place), environ, folder, allowed, secrets)

        return one

    if isinstance(value, str):
        return _REFERENCE.sub(replace(where), value) if "${" in value else value

    def below(item: Any, place: str) -> Any:
        return resolve(item, environ=environ, folder=folder, where=place, allowed=allowed, secrets=secrets)

    if isinstance(value, Mapping):
        return {key: below(item, _below(where, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [below(item, f"{where}[{number}]") for number, item in enumerate(value)]
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


def _look_up(
    reference: Reference,
    environ: Mapping[str, str],
    folder: Path | None,
    allowed: Collection[str],
    secrets: Secrets | None,
) -> str:
    label = f"${{{reference.kind}:{reference.name}}}"
    if reference.kind not in allowed:
        raise ConfigError(f"{label}: such references are not allowed here", where=reference.where)
    if reference.kind == "secret":
        return _of_vault(reference, label, secrets)
    if reference.kind == "file":
        value = _file(reference, label, folder)
        telemetry.secrets.add(value)
        return value
    if reference.name not in environ:
        raise ConfigError(f"{label}: the environment has no such variable", where=reference.where)
    value = environ[reference.name]
    if telemetry.names_secret(reference.name) or not reference.where.endswith(_OPEN):
        telemetry.secrets.add(value)
    return value


def _of_vault(reference: Reference, label: str, secrets: Secrets | None) -> str:
    if secrets is None:
        raise ConfigError(f"{label}: the vault is not open here", where=reference.where)
    try:
        return secrets(reference.name)
    except ConfigError as error:
        raise ConfigError(f"{label}: {error}", where=reference.where) from None


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
