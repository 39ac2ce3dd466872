"""What is installed here, compared with what this release needs (installation qualification)."""

from __future__ import annotations

import dataclasses
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import hilum
from hilum.exporting.definition import Asked
from hilum.exporting.means import Means
from hilum.model.organization import Settings
from hilum.store import installation, organizations

_NEEDED = re.compile(r"^([A-Za-z0-9._-]+)[^>=<!~;]*(?:>=\s*([0-9.]+))?[^;]*(?:;\s*(.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_SECRET = ("oidc", "audit_feeds", "policy")  # how many there are is told, not what is in them


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """`passed` None: it is told, and nothing is expected of it."""

    name: str
    expected: str
    found: str
    passed: bool | None


def software() -> Iterator[Item]:
    """Python, Hilum and what it needs. Blocks a little: it looks at the disk."""
    wanted = metadata.distribution("hilum").metadata["Requires-Python"] if _installed("hilum") else ">=3.11"
    least = wanted.removeprefix(">=")
    yield Item("Python", wanted, platform.python_version(), _reaches(platform.python_version(), least))
    yield Item("Python, made by", "", f"{platform.python_implementation()}, {sys.platform}", None)
    yield Item("Operating system", "", platform.platform(), None)
    yield Item("Hilum", "", hilum.__version__, None)
    for line in (metadata.requires("hilum") or ()) if _installed("hilum") else ():
        found = _NEEDED.match(line)
        if found is None:
            continue
        name, least, condition = found[1], found[2] or "", found[3] or ""
        extra = _EXTRA.search(condition)
        version = _installed(name)
        expected = (f">= {least}" if least else "any") + (f", for hilum[{extra[1]}]" if extra else "")
        if not version:  # what an extra brings is wanted only where that is used
            yield Item(name, expected, "not installed", None if condition else False)
        else:
            yield Item(name, expected, version, _reaches(version, least))


async def hub(means: Means, asked: Asked) -> list[Item]:
    """The store, its schema and the keys. Raises StoreError."""
    own = means.store.within(asked.scope.organization)
    found = await own.load(installation.read)
    newest = installation.newest()
    key = means.store.evidence.public
    items = [
        Item("Database", "", found.database, None),
        Item("Revision of the schema", newest, found.revision or "none", found.revision == newest),
        *(Item(name, expected, value, value == expected) for name, expected, value in found.settings),
        Item("Key that seals the audit trail", "there is one", f"{key.id} (Ed25519)", bool(key.id)),
    ]
    if means.store.database.embedded:
        mode = means.store.folder.stat().st_mode & 0o777
        items.append(Item("Data folder, who may enter it", "", f"mode {mode:03o}", None))
    return items


async def settings(means: Means, asked: Asked) -> list[tuple[str, str]]:
    """What the organization has set, by name. Raises StoreError, NotFound."""
    home = await means.store.within(asked.scope.organization).read(organizations.get, asked.scope.organization)
    return [("name", home.name), ("environment", home.environment), *_told(home.settings)]


def _told(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, value in settings.model_dump(mode="json").items():
        if name in _SECRET:
            count = len(value) if isinstance(value, list) else int(value is not None)
            yield name, f"{count} of them"
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", _text(each)) for key, each in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _installed(name: str) -> str:
    """Its version; empty where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _reaches(version: str, least: str) -> bool:
    """Is a version at least the other one, by its numbers?"""
    return _numbers(version) >= _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", re.split(r"[a-z+-]", version)[0]))
