"""Finds plug-ins by walking our packages and the entry points, loudly: a duplicate name is a start-up error."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

from hilum.errors import ConfigError
from hilum.sdk.contracts import Connector, Step

JobRun = Callable[..., Awaitable[Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """Everything that was found: connectors by URL scheme, steps by verb, jobs by kind."""

    connectors: dict[str, Connector]
    steps: dict[str, type[Step[Any]]]
    jobs: dict[str, JobRun]
    documents: dict[str, str]  # a plug-in's docstring by `<kind>/<name>`, for catalogues and reference pages

    def connector(self, scheme: str, where: str = "") -> Connector:
        """Raises ConfigError naming the schemes that exist."""
        found = self.connectors.get(scheme)
        if found is None:
            known = ", ".join(sorted(self.connectors))
            raise ConfigError(f"no connector speaks {scheme!r}; there are: {known}", where=where)
        return found

    def step(self, verb: str, where: str = "") -> type[Step[Any]]:
        """Raises ConfigError naming the verbs that exist."""
        found = self.steps.get(verb)
        if found is None:
            raise ConfigError(f"no step is called {verb!r}; there are: {', '.join(sorted(self.steps))}", where=where)
        return found


def discover() -> Registry:
    """Import every plug-in once. Raises ConfigError where two claim one name, or a module keeps no contract."""
    registry = Registry({}, {}, {}, {})
    for name, module in modules("connectors"):
        connector = _attribute(module, "connector", Connector)
        for scheme in connector.schemes:
            claim(registry.connectors, scheme, connector, f"connector scheme {scheme!r}")
        registry.documents[f"connectors/{name}"] = module.__doc__ or ""
    for name, module in modules("steps"):
        step = module.__dict__.get("step")
        if not (isinstance(step, type) and issubclass(step, Step)):
            raise ConfigError(f"{module.__name__} defines no `step`")
        claim(registry.steps, name, step, f"step {name!r}")
        registry.documents[f"steps/{name}"] = module.__doc__ or ""
    for name, module in modules("jobs"):
        run = module.__dict__.get("run")
        if not callable(run):
            raise ConfigError(f"{module.__name__} defines no `run`")
        claim(registry.jobs, name, run, f"job {name!r}")
        registry.documents[f"jobs/{name}"] = module.__doc__ or ""
    return registry


def modules(kind: str) -> Iterator[tuple[str, ModuleType]]:
    package = importlib.import_module(f"hilum.{kind}")
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda item: item.name):
        yield found.name, importlib.import_module(f"{package.__name__}.{found.name}")
    for point in importlib.metadata.entry_points(group=f"hilum.{kind}"):
        yield point.name, point.load()


def _attribute(module: ModuleType, name: str, kind: type[Connector]) -> Connector:
    found = module.__dict__.get(name)
    if not isinstance(found, kind):
        raise ConfigError(f"{module.__name__} defines no `{name}`")
    return found


def claim(names: dict[str, Any], name: str, value: Any, what: str) -> None:
    if name in names:
        raise ConfigError(f"{what} is claimed twice")
    names[name] = value
