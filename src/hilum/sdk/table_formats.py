"""Finds importers and exporters, when the first one is wanted: they bring libraries that a hub at work does without."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError, FormatError
from hilum.sdk import registry
from hilum.sdk.tables import Exporter, Importer

_HEAD = 4_096  # bytes by which a file is recognised


@functools.cache
def exporters() -> Mapping[str, type[Exporter[Any]]]:
    """Every exporter by each of its names. Raises ConfigError where two claim one, or a module keeps no contract."""
    return _found("exporters", "exporter", Exporter)


@functools.cache
def importers() -> Mapping[str, type[Importer[Any]]]:
    """Every importer by each of its names. Raises ConfigError as `exporters` does."""
    return _found("importers", "importer", Importer)


def exporter(name: str) -> type[Exporter[Any]]:
    """Raises ConfigError naming the formats that exist."""
    found = exporters().get(name.lower())
    if found is None:
        known = ", ".join(sorted({one.names[0] for one in exporters().values()}))
        raise ConfigError(f"no export format is called {name!r}; there are: {known}", where="format")
    return found


def importer(file: str, path: Path, name: str | None = None) -> type[Importer[Any]]:
    """By its `name`, else by the suffix of `file` and how the content at `path` begins. Raises ConfigError."""
    if name is not None:
        found = importers().get(name.lower())
        if found is None:
            known = ", ".join(sorted({one.names[0] for one in importers().values()}))
            raise ConfigError(f"no import format is called {name!r}; there are: {known}", where="format")
        return found
    suffix = Path(file).suffix.lower()
    fitting = {one for one in importers().values() if suffix in one.suffixes}
    if not fitting:
        known = ", ".join(sorted({one for each in importers().values() for one in each.suffixes}))
        raise ConfigError(f"nothing reads files that end in {suffix or 'nothing'}; known: {known}", where="format")
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    recognised = [one for one in sorted(fitting, key=lambda one: one.rank) if one.recognises(head)]
    if not recognised:
        raise FormatError(f"this is no {' or '.join(sorted(one.names[0] for one in fitting))} file")
    return recognised[0]


def about(kind: type[Exporter[Any]] | type[Importer[Any]]) -> str:
    """Its catalogue text: the first line of its module's docstring."""
    return inspect.cleandoc(importlib.import_module(kind.__module__).__doc__ or "").partition("\n")[0]


def form(kind: type[Exporter[Any]] | type[Importer[Any]]) -> dict[str, Any]:
    """JSON Schema of its options."""
    found: dict[str, Any] = kind.Config.model_json_schema()
    return {key: value for key, value in found.items() if not re.match("title|description", key)}


def _found(room: str, attribute: str, contract: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _, module in registry.modules(room):
        kind = module.__dict__.get(attribute)
        if not (isinstance(kind, type) and issubclass(kind, contract)):
            raise ConfigError(f"{module.__name__} defines no `{attribute}`")
        for name in kind.__dict__["names"]:
            registry.claim(found, name, kind, f"{attribute} {name!r}")
    return found
