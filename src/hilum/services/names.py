"""Names for people, numbers for rows: organizations, endpoints and route versions.

Numbers are never used again, so what was read once stays true; an unknown one is looked for anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hilum.errors import NotFound
from hilum.model.access import SYSTEM, Scope
from hilum.model.configuration import RESERVED
from hilum.store import Store, configuration, endpoints
from hilum.store.endpoints import Known


class Names:
    """Shared by the services of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._organizations: dict[str, int] = {}
        self._endpoints: dict[int, str] = {}
        self._routes: dict[int, str] = {}

    async def organization(self, name: str | None = None) -> int:
        """Its number; without a name the first one's, or where there is none the hub's own. Raises NotFound."""
        if name == RESERVED:
            return SYSTEM
        if not self._organizations or (name is not None and name not in self._organizations):
            self._organizations = await self._store.read(endpoints.organizations)
        if name is None:
            return next(iter(self._organizations.values()), SYSTEM)
        if name not in self._organizations:
            raise NotFound(f"no organization is called {name}")
        return self._organizations[name]

    async def organizations(self, numbers: Iterable[int]) -> Mapping[int, str]:
        """Their names by number."""
        if not set(numbers) <= set(self._organizations.values()):
            self._organizations = await self._store.read(endpoints.organizations)
        return {number: name for name, number in self._organizations.items()}

    async def endpoints(self, numbers: Iterable[int]) -> Mapping[int, str]:
        """References (integration/endpoint) by number, of these at least."""
        if not self._endpoints.keys() >= set(numbers):
            await self._refresh()
        return self._endpoints

    async def routes(self, versions: Iterable[int]) -> Mapping[int, str]:
        """Route versions (`adt-to-lab v1`) by number, of these at least."""
        if not self._routes.keys() >= set(versions):
            await self._refresh()
        return self._routes

    async def known(self, scope: Scope, direction: str) -> list[Known]:
        """The endpoints within that serve, as configured right now."""
        return [one for one in await self._all(scope) if one.direction == direction and one.serves]

    async def endpoint(self, scope: Scope, reference: str, direction: str | None = None) -> int:
        """The number of an endpoint, also of a removed one. Raises NotFound."""
        for one in await self._all(scope):
            if one.reference == reference and direction in (None, one.direction):
                return one.number
        raise NotFound(f"there is no {direction + ' ' if direction else ''}endpoint {reference}")

    async def visible(self, scope: Scope) -> frozenset[int] | None:
        """The numbers of all endpoints within, removed ones too; None: the organization's, whichever they are."""
        if scope.studies is None:
            return None
        return frozenset(one.number for one in await self._all(scope))

    async def _all(self, scope: Scope) -> list[Known]:
        known = await self._store.within(scope.organization).read(endpoints.read)
        return [one for one in known if one.organization == scope.organization and scope.admits(one.study)]

    async def _refresh(self) -> None:
        self._endpoints, self._routes = await self._store.read(configuration.names)
