"""Looks up what can be signed: the record of an entity, as it is right now."""

from __future__ import annotations

from hilum.errors import NotFound
from hilum.model.access import Scope
from hilum.security.signing import digest
from hilum.store import Store, records
from hilum.store.records import Record

NOUNS = tuple(records.READERS)


class Records:
    """One registry for all nouns; each is a function of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, scope: Scope, entity: str) -> Record | None:
        """None where there is no such record within `scope`."""
        found = await self._store.within(scope.organization).read(records.read, scope.organization, entity)
        return found if found is not None and found.within(scope) else None

    async def of(self, scope: Scope, entity: str) -> Record:
        """Raises NotFound."""
        found = await self.find(scope, entity)
        if found is None:
            raise NotFound(f"there is no {entity} that can be signed")
        return found

    async def digests(self, scope: Scope, entities: set[str]) -> dict[str, tuple[int, str]]:
        """Version and digest of the records that there are, by entity."""
        found = {one: await self.find(scope, one) for one in sorted(entities)}
        return {name: (one.version, digest(one.document)) for name, one in found.items() if one is not None}
