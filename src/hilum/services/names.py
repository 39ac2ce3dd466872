"""Names for people, numbers for rows: organizations, endpoints and route versions.

Numbers are never used again, so what was read once stays true; an unknown one is looked for anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hilum.errors import NotFound
from hilum.store import Store, configuration, endpoints
from hilum.store.endpoints import Known

NOBODY = 0  # the organization of a hub that nothing was applied to: it has nothing to list


class Names:
    """Shared by the services of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._organizations: dict[str, int] = {}
        self._endpoints: dict[int, str] = {}
        self._routes: dict[int, str] = {}

    async def organization(self, name: str | None = None) -> int:
        """Its number; without a name the first one's. Raises NotFound."""
        if not self._organizations or (name is not None and name not in self._organizations):
            self._organizations = await self._store.read(endpoints.organizations)
        if name is None:
            return next(iter(self._organizations.values()), NOBODY)
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

    async def known(self, organization: int, direction: str) -> list[Known]:
        """The endpoints of an organization that serve, as configured right now."""
        return [
            one
            for one in await self._store.read(endpoints.read)
            if one.organization == organization and one.direction == direction and one.serves
        ]

    async def endpoint(self, organization: int, reference: str, direction: str | None = None) -> int:
        """The number of an endpoint, also of a removed one. Raises NotFound."""
        for one in await self._store.read(endpoints.read):
            if (one.organization, one.reference) == (organization, reference) and direction in (None, one.direction):
                return one.number
        raise NotFound(f"there is no {direction + ' ' if direction else ''}endpoint {reference}")

    async def _refresh(self) -> None:
        self._endpoints, self._routes = await self._store.read(configuration.names)
