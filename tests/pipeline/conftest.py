"""Routes compiled with our own steps alone, between endpoints that need no connector."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hilum.steps
from hilum.model.configuration import Endpoint, Route
from hilum.pipeline import Pipeline, compile_route
from hilum.sdk.registry import Registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    names = [found.name for found in pkgutil.iter_modules(hilum.steps.__path__)]
    return Registry({}, {name: importlib.import_module(f"hilum.steps.{name}").step for name in names}, {}, {})


@pytest.fixture(scope="session")
def compiled(registry: Registry) -> Callable[..., Pipeline]:
    """Compile a route of these steps from hub/in to lab/out (and ward/out, whose lane has a key)."""

    def call(
        steps: list[Any],
        *,
        to: tuple[str, ...] = ("lab/out",),
        otherwise: tuple[str, ...] = (),
        format: str = "hl7v2",
        key: str = "PID-3.1",
        zone: str = "Europe/Berlin",
        folder: Path | None = None,
        materials: Mapping[str, str] | None = None,
        mappings: Mapping[str, Any] | None = None,
    ) -> Pipeline:
        values = {"name": "r", "from": "hub/in", "steps": steps, "to": list(to), "otherwise": list(otherwise)}
        url = "mllp://127.0.0.1:1"
        return compile_route(
            Route.model_validate(values),
            registry=registry,
            source=Endpoint(name="in", direction="inbound", url=url, timezone=zone),
            source_format=format,
            destinations={
                "lab/out": Endpoint(name="out", direction="outbound", url=url),
                "ward/out": Endpoint.model_validate(
                    {"name": "out", "direction": "outbound", "url": url, "lane": {"key": key}}
                ),
            },
            folder=folder,
            materials=materials,
            mappings=mappings,
        )

    return call
