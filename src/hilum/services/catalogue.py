"""What can be configured: every connector and step with the JSON Schema of its settings."""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import Any

from pydantic import BaseModel

from hilum.sdk.contracts import Connector, Step
from hilum.sdk.registry import Registry


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectorEntry:
    """`parts` are of source, destination, probe; `schema` describes the keys of its endpoints."""

    name: str
    summary: str
    schemes: list[str]
    parts: list[str]
    format: str
    extra: str | None  # the optional extra of the hilum package that it needs
    schema: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class StepEntry:
    """`repeatable`: the same message always gives the same."""

    name: str
    summary: str
    repeatable: bool
    schema: dict[str, Any]


def connectors(registry: Registry) -> list[ConnectorEntry]:
    """Every connector, by name."""
    each = {id(one): one for one in registry.connectors.values()}
    return sorted(map(_connector, each.values()), key=lambda one: one.name)


def steps(registry: Registry) -> list[StepEntry]:
    """Every step, by name."""
    return [_step(name, one) for name, one in sorted(registry.steps.items())]


def _connector(one: Connector) -> ConnectorEntry:
    module = one.config.__module__
    parts = {"source": one.source, "destination": one.destination, "probe": one.probe}
    return ConnectorEntry(
        name=module.rpartition(".")[2],
        summary=_summary(module),
        schemes=list(one.schemes),
        parts=[name for name, part in parts.items() if part is not None],
        format=one.format,
        extra=one.extra,
        schema=_schema(one.config),
    )


def _step(name: str, one: type[Step[Any]]) -> StepEntry:
    return StepEntry(name, _summary(one.__module__), one.deterministic, _schema(one.Config))


@functools.cache
def _schema(config: type[BaseModel]) -> dict[str, Any]:
    """Made once: it is the same for everybody, as long as the process lives."""
    return config.model_json_schema()


def _summary(module: str) -> str:
    """The first line of a plug-in's docstring is its catalogue text."""
    return (sys.modules[module].__doc__ or "").strip().partition("\n")[0]
