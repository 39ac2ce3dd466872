"""Route versions ready to run: the pinned ones to look back, the current ones to go again."""

from __future__ import annotations

import dataclasses

from hilum.errors import ConfigError
from hilum.intake.identity import Identify
from hilum.intake.routing import Compiled, Routing, unpin
from hilum.model.configuration import Endpoint, Integration
from hilum.pipeline import Pipeline
from hilum.sdk.registry import Registry
from hilum.store import Store, configuration
from hilum.store.configuration import RouteVersion, Stored

_KEPT = 256  # compiled versions that are remembered


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """How what an endpoint received is recognised, and where it goes today."""

    identify: Identify
    routing: Routing


class Routes:
    """Compiles at first use. These pipelines are the services' own: they run in threads, the engine's on its loop."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._compiled: dict[int, Pipeline] = {}

    async def pipeline(self, version: int) -> Pipeline:
        """A pinned version. Raises ConfigError where it no longer compiles."""
        found = self._compiled.get(version)
        if found is None:
            row = await self._store.read(configuration.version, version)
            if row is None:
                raise ConfigError(f"there is no route version {version}")
            found = self._compile(row)
        return found

    async def of_endpoint(self, organization: int, number: int) -> Start:
        """The current routes of an endpoint; none start at one that was removed. Raises ConfigError."""
        stored = next(one for one in await self._store.read(configuration.read) if one.id == organization)
        reference = next(name for name, one in stored.endpoints.items() if one == number)
        starting = [
            Compiled(
                one.id, one.name, (pipeline := self._compiled.get(one.id) or self._compile(one)),
                {to: stored.endpoints[to] for to in pipeline.destinations},
            )
            for one in stored.routes.values()
            if one.document["route"]["from"] == reference
        ]  # fmt: skip
        return Start(self._identify(stored, number, reference), Routing(self._store.hash, starting))

    def _identify(self, stored: Stored, number: int, reference: str) -> Identify:
        """Makes search keys alone: what goes again is no repeat, so it gets no key for de-duplication."""
        endpoint = _endpoint(stored, reference)
        if endpoint is None:  # removed: what it received is read as HL7 v2, which most is
            return Identify(self._store.hash, stored.id, number, "hl7v2", {}, dedupe=False)
        connector = self._registry.connector(endpoint.scheme, reference)
        form = str(endpoint.options.get("format", connector.format))
        return Identify(self._store.hash, stored.id, number, form, endpoint.search, dedupe=False)

    def _compile(self, row: RouteVersion) -> Pipeline:
        if len(self._compiled) >= _KEPT:
            self._compiled.clear()
        found = self._compiled[row.id] = unpin(row.document, self._registry)
        return found


def _endpoint(stored: Stored, reference: str) -> Endpoint | None:
    integration, _, name = reference.partition("/")
    document = stored.integrations.get(integration)
    found = Integration.model_validate(document).endpoints if document else []
    return next((one for one in found if one.name == name), None)
