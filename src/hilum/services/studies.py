"""Studies: the parts of an organization that roles and keys can be bound to."""

from __future__ import annotations

import dataclasses
import uuid

from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.services.messages import stamp
from hilum.store import Store, studies


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """`name` is what configuration files and roles say; it never changes."""

    id: uuid.UUID
    name: str
    title: str
    version: int
    created_at: str


class Studies:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, scope: Scope, offset: int, limit: int) -> tuple[list[Study], int]:
        """Those within, by name, and how many there are."""
        read = self._store.within(scope.organization).read
        found, total = await read(studies.listed, scope.organization, scope.studies, offset, limit)
        return [_view(one) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> Study:
        """Raises NotFound."""
        found = await self._store.within(scope.organization).read(studies.find, scope.organization, identifier)
        scope.check(found.id, f"there is no study {identifier}")
        return _view(found)

    async def create(self, act: Act, name: str, title: str) -> Study:
        """Raises Conflict."""
        change = self._store.within(act.organization).change
        return _view(await change(act, studies.create, act.organization, name, title))

    async def change(self, act: Act, identifier: uuid.UUID, version: int, title: str) -> Study:
        """Raises NotFound, Stale."""
        change = self._store.within(act.organization).change
        return _view(await change(act, studies.change, act.organization, identifier, version, {"title": title}))

    async def archive(self, act: Act, identifier: uuid.UUID) -> None:
        """Raises NotFound, Conflict while integrations belong to it."""
        await self._store.within(act.organization).change(act, studies.archive, act.organization, identifier)


def _view(one: studies.Study) -> Study:
    return Study(one.uuid, one.name, one.title, one.version, stamp(one.created_at))
