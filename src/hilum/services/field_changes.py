"""What the audit trail shows of a changed document: each field that differs, by its path, before and after.

A secret that stands in a file itself, where only a reference should, is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "***"
_SECRET = re.compile(
    r"(?i)(password|passphrase|secret|token|private|credential|authorization|cookie|api[_-]?key)[^.]*$"
)
_KEY = re.compile(r"(?i)\b(tls|authentication)\b.*\bkey$")  # other keys are those of lanes and lookups
_SIGNED_IN = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # user:password of a URL
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def field_changes(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of `old` and of `new` (None: there was, or is, nothing) that are not the same in both."""
    before, after = dict(_fields(old or {})), dict(_fields(new or {}))
    differ = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return (
        {path: _shown(path, value) for path, value in sorted(before.items()) if path in differ},
        {path: _shown(path, value) for path, value in sorted(after.items()) if path in differ},
    )


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its path, such as endpoints[out].url: what has a name is found by that, wherever it stands."""
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _fields(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            name = one.get("name", number) if isinstance(one, Mapping) else number
            yield from _fields(one, f"{path}[{name}]")
    elif value not in _NOTHING:
        yield path, value


def _shown(path: str, value: Any) -> Any:
    """As the chain takes it: it has no fractions."""
    if isinstance(value, float):
        return repr(value)
    if not isinstance(value, str):
        return value
    if (_SECRET.search(path) or _KEY.search(path)) and not value.startswith("${"):
        return HIDDEN
    return _SIGNED_IN.sub(HIDDEN, value)
